import { randomBytes } from "node:crypto";
import { type AddressInfo, connect, type Socket } from "node:net";
import { openData } from "@aimo/node/data-dir";
import { recoverAddress } from "@aimo/node/fast-crypto";
import { silentLog } from "@aimo/node/log";
import { PROTOCOL_VERSION } from "@aimo/protocol/deployment";
import type { RelayHooks } from "@aimo/protocol/relay-hooks";
import { domainSeparator } from "@aimo/protocol/typed-data";
import type { FastifyInstance } from "fastify";
import type { Address, Hex } from "viem";
import { privateKeyToAccount } from "viem/accounts";
import { Observations } from "../../../relay/src/core/observations.ts";
import { RoutingState } from "../../../relay/src/core/routing-state.ts";
import type { Offer } from "../../../relay/src/core/types.ts";
import type { VoucherBook } from "../../../relay/src/core/vouchers.ts";
import type { Admission } from "../../../relay/src/flow/admission.ts";
import type { ProviderCredit } from "../../../relay/src/flow/credit.ts";
import { BooksDesk } from "../../../relay/src/flow/desk.ts";
import { HookedServing } from "../../../relay/src/flow/hooked-serving.ts";
import { Hooks } from "../../../relay/src/flow/hooks.ts";
import type { Accounts, Bills, Idempotency, Ledger } from "../../../relay/src/flow/ports.ts";
import { Serving } from "../../../relay/src/flow/serve.ts";
import type { ServeDependencies, ServeLimits } from "../../../relay/src/flow/serve-ports.ts";
import { createVoucherGate } from "../../../relay/src/flow/vouchers.ts";
import { buildApp, type HttpSettings } from "../../../relay/src/http/app.ts";
import { Gate } from "../../../relay/src/http/gate.ts";
import { AuthSessionStore } from "../../../relay/src/store/auth-sessions.ts";
import { KeyStore } from "../../../relay/src/store/keys.ts";
import { PresetStore } from "../../../relay/src/store/presets.ts";
import { type CacheLimits, MemoryReplyCache } from "../../../relay/src/store/reply-cache.ts";
import { Providers } from "../../../relay/src/upstream/providers.ts";
import { openTestBatching } from "./batching.ts";
import { PlainIdempotency } from "./plain-idempotency.ts";
import { PlainLedger } from "./plain-ledger.ts";
import { type StandIn, startStandIn } from "./stand-in-provider.ts";
import { type TestLimitsOptions, testLimits } from "./test-limits.ts";
import { CACHE_LIMITS, HOOK_LIMITS, LIMITS, SETTINGS } from "./test-settings.ts";

export const CHAIN_ID = 31_337;
export const RELAY_ID = 3;
export const USER_ID = 9;
export const FEE_BPS = 500;
const RELAY_KEY: Hex = `0x${"11".repeat(32)}`;
export const SETTLEMENT: Address = "0x00000000000000000000000000000000000000AA";
const NO_SIGNATURE: Hex = `0x${"00".repeat(65)}`;
const GENESIS: Hex = `0x${"00".repeat(32)}`;
export const SEPARATOR = domainSeparator({ chainId: CHAIN_ID, verifyingContract: SETTLEMENT });
export const owner = privateKeyToAccount(`0x${"22".repeat(32)}`);
export const USD = 1_000_000_000_000n;
export type TestRelay = {
  readonly url: string;
  readonly app: FastifyInstance;
  readonly key: string;
  readonly keys: KeyStore;
  readonly sessions: AuthSessionStore;
  readonly ledger: PlainLedger;
  readonly serving: Serving;
  readonly admission: Admission;
  readonly routing: RoutingState;
  readonly upstream: Providers;
  readonly providers: readonly StandIn[];
  readonly idempotency: Idempotency;
  readonly cache: MemoryReplyCache;
  offers: readonly Offer[];
  readonly groups: object[];
  post(path: string, body: unknown, headers?: Record<string, string>): Promise<Response>;
  close(): Promise<void>;
};

export type TestRelayOptions = {
  readonly providers?: number;
  readonly free?: bigint;
  readonly limits?: Partial<ServeLimits>;
  readonly settings?: Partial<HttpSettings>;
  readonly accounts?: Partial<Accounts>;
  readonly bills?: Partial<Bills>;
  readonly credit?: Pick<ProviderCredit, "covers" | "begin">;
  readonly pausedUntil?: () => number | undefined;
  readonly connections?: number;
  readonly firstByteMs?: number;
  /** Instead of the ledger in plain sight. */
  readonly realLedger?: Ledger;
  /** SIGNED channels; none by default. */
  readonly book?: Pick<VoucherBook, "voucherStateOf" | "takeVoucher">;
  readonly now?: () => number;
  /** What the router's chance is; the first offer by default. */
  readonly random?: () => number;
  readonly admission?: TestLimitsOptions;
  readonly hooks?: RelayHooks;
  readonly log?: ServeDependencies["log"];
  readonly cache?: Partial<CacheLimits>;
  readonly counts?: ServeDependencies["counts"];
};

const METERED_ONLY = { voucherStateOf: () => undefined, takeVoucher: () => {} };

/** A relay's HTTP interface and flow over real sockets, with stand-ins for providers and a ledger in plain sight. */
export async function startTestRelay(options: TestRelayOptions = {}): Promise<TestRelay> {
  const now = options.now ?? Date.now;
  const providers = await Promise.all(
    Array.from({ length: options.providers ?? 1 }, (_, index) =>
      startStandIn({
        ...{ providerId: index + 1, relayId: RELAY_ID, chainId: CHAIN_ID, separator: SEPARATOR },
        relaySigner: privateKeyToAccount(RELAY_KEY).address,
        privateKey: `0x${(51 + index).toString(16).padStart(2, "0").repeat(32)}`,
      }),
    ),
  );
  const db = await openData({
    location: "memory",
    identity: { chainId: CHAIN_ID, genesisHash: GENESIS, settlement: SETTLEMENT },
  });
  const plain = new PlainLedger();
  const ledger = options.realLedger ?? plain;
  plain.open(USER_ID, options.free ?? 5n * USD);
  const keys = await KeyStore.open(db, now);
  const sessions = new AuthSessionStore(now);
  const groups: object[] = [];
  let cumulative = 0n;
  const upstream = new Providers({
    identity: { chainId: CHAIN_ID, relayId: RELAY_ID, privateKey: RELAY_KEY },
    limits: {
      connections: options.connections ?? 1_024,
      connectMs: 1_000,
      firstByteMs: options.firstByteMs ?? 20_000,
      idleMs: 20_000,
    },
    billing: {
      onGroup: async (group, _signature, receipts) => {
        groups.push(group);
        cumulative += receipts.reduce((sum, { cost }) => sum + cost, 0n);
        return { cumulative, signature: NO_SIGNATURE };
      },
      onVoucher: async (voucher) => voucher,
    },
    now,
    log: silentLog(),
  });
  const accounts: Accounts = {
    userIdOf: async (address) => (address === owner.address ? USER_ID : 0),
    creditsOf: async () => 2n * USD,
    refreshChannel: async () => undefined,
    openChannel: async () => `0x${"ab".repeat(32)}`,
    ...options.accounts,
  };
  const routing = new RoutingState();
  const settings = { ...SETTINGS, ...options.settings };
  const { tiers, rates, admission } = testLimits({ now, ...settings, ...options.admission });
  const observations = new Observations();
  const log = options.log ?? silentLog();
  const credit = options.credit ?? { covers: () => true, begin: () => () => {} };
  const randomHex = (bytes: number): Hex => `0x${randomBytes(bytes).toString("hex")}`;
  const dependencies: ServeDependencies = {
    relayId: RELAY_ID,
    separator: SEPARATOR,
    offers: {
      live: (model) => relay.offers.filter((offer) => offer.model.slug === model),
      knows: (model) => model === "stand-in",
    },
    desk: new BooksDesk({
      ...{ ledger, accounts, admission, credit, now, randomHex },
      vouchers: createVoucherGate({
        ...{ relayId: RELAY_ID, separator: SEPARATOR, recover: recoverAddress },
        book: options.book ?? METERED_ONLY,
      }),
      feeBps: () => FEE_BPS,
      onHold: () => {},
      onCommit: ({ model }, outcome) => observations.add(model, outcome, now()),
    }),
    ...{ upstream, credit, routing },
    counts: options.counts ?? { wants: () => false, take: () => {} },
    limits: { ...LIMITS, ...options.limits },
    now,
    protocolNow: () => Math.floor(now() / 1000),
    random: options.random ?? (() => 0),
    ...{ randomHex, log },
  };
  const serving = options.hooks
    ? new HookedServing(dependencies, new Hooks({ ...HOOK_LIMITS, hooks: options.hooks, tiers, log }))
    : new Serving(dependencies);
  const idempotency = new PlainIdempotency();
  const cache = new MemoryReplyCache({ ...CACHE_LIMITS, ...options.cache }, now);
  const batching = await openTestBatching(db, { keys, rates, serving, admission });
  const domain = "relay.test";
  const app = await buildApp({
    settings,
    log: silentLog(),
    ...{ now, keys, sessions, accounts, serving, admission, idempotency, ledger },
    ...{ relayId: RELAY_ID, chainId: CHAIN_ID },
    maxKeptBytes: 256 * 1024,
    ...{ ...batching, cache, presets: new PresetStore(db, now) },
    offers: {
      all: () => relay.offers,
      live: (model) => relay.offers.filter((offer) => offer.model.slug === model),
      knows: (model) => model === "stand-in",
    },
    gate: new Gate({ keys, sessions, rates }),
    feeBps: () => FEE_BPS,
    seen: {
      observed: (providerId, model) => observations.read(providerId, model, now()),
      isResting: (offer) => routing.isResting(offer, now()),
    },
    domains: () => [domain],
    bills: {
      list: async () => ({ data: [], has_more: false }),
      settlement: async () => undefined,
      proof: async () => undefined,
      ...options.bills,
    },
    identity: () => ({
      protocol_version: PROTOCOL_VERSION,
      relay: { id: RELAY_ID, owner: owner.address, signer: owner.address, fee_bps: FEE_BPS, bond_pusd: "0" },
      chain: { id: CHAIN_ID, genesis_hash: GENESIS, profile: "local", deployed_at_block: 0 },
      contracts: {},
    }),
    pausedUntil: options.pausedUntil ?? (() => undefined),
    metrics: { contentType: "text/plain", read: async () => "", onRefusal: () => {} },
  });
  await app.listen({ host: "127.0.0.1", port: 0 });
  const url = `http://127.0.0.1:${(app.server.address() as AddressInfo).port}`;
  const { key } = await keys.create(
    { userId: USER_ID, owner: owner.address },
    {
      name: "t",
      limit: undefined,
      limitReset: undefined,
      expiresAt: undefined,
      models: undefined,
      disabled: false,
    },
  );
  const relay: TestRelay = {
    ...{ url, app, key, keys, sessions, ledger: plain, serving, admission },
    ...{ routing, upstream, providers, idempotency, cache, groups },
    offers: providers.map((provider) => provider.offer()),
    post: (path, body, headers = {}) =>
      fetch(url + path, {
        method: "POST",
        headers: { authorization: `Bearer ${key}`, "content-type": "application/json", ...headers },
        body: typeof body === "string" ? body : JSON.stringify(body),
      }),
    close: async () => {
      app.server.closeAllConnections();
      await Promise.all([batching.batches.stop(), admission.close(0, () => serving.stop())]);
      serving.close();
      await app.close();
      await upstream.close();
      await Promise.all(providers.map((provider) => provider.close()));
      await db.close();
    },
  };
  return relay;
}

export const CHAT = { model: "stand-in", messages: [{ role: "user", content: "Hello" }], max_tokens: 64 };

// biome-ignore lint/suspicious/noExplicitAny: replies are judged by the assertions, not by their types
export type Json = any;

export async function jsonOf(response: Response): Promise<Json> {
  return response.json();
}

/** The data of each event of a whole stream, parsed where it is JSON. */
export function eventsOf(text: string): Json[] {
  return text
    .split("\n\n")
    .flatMap((frame) => frame.split("\n").filter((line) => line.startsWith("data: ")))
    .map((line) => line.slice(6))
    .map((data) => (data.startsWith("{") ? JSON.parse(data) : data));
}

/** Resolves when `condition` holds; for states of which no event tells. */
export async function until(condition: () => boolean, limitMs = 5_000): Promise<void> {
  for (const deadline = Date.now() + limitMs; !condition(); ) {
    if (Date.now() > deadline) throw new Error(`The condition did not come true within ${limitMs} ms.`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** The n-th provider of a test relay. */
export function providerOf(relay: TestRelay, index = 0): StandIn {
  const provider = relay.providers[index];
  if (!provider) throw new RangeError(`There is no provider ${index}.`);
  return provider;
}

/** A client that reads as slowly as it likes. */
export function openRaw(relay: TestRelay, body: object, headers: Record<string, string> = {}): Socket {
  const text = JSON.stringify(body);
  const socket = connect(Number(new URL(relay.url).port), "127.0.0.1");
  socket.write(
    `POST /v1/chat/completions HTTP/1.1\r\nhost: relay\r\nauthorization: Bearer ${relay.key}\r\n` +
      Object.entries(headers)
        .map(([name, value]) => `${name}: ${value}\r\n`)
        .join("") +
      `content-type: application/json\r\ncontent-length: ${Buffer.byteLength(text)}\r\n\r\n${text}`,
  );
  return socket;
}
