import { encodeAnnouncement } from "@aimo/node/announcements";
import type { Database } from "@aimo/node/data-dir";
import { isSignedBy } from "@aimo/node/fast-crypto";
import { generateKey } from "@aimo/node/keys";
import { type Log, silentLog } from "@aimo/node/log";
import { type P2p, startP2p } from "@aimo/node/p2p";
import { offersTopic } from "@aimo/protocol/announcement";
import { PROTOCOL_VERSION } from "@aimo/protocol/deployment";
import { groupDigest } from "@aimo/protocol/groups";
import { domainSeparator } from "@aimo/protocol/typed-data";
import { kindsOf } from "@aimo/provider/core/prices";
import type { Claims } from "@aimo/provider/core/types";
import { startDemoServer } from "@aimo/provider/demo/server";
import OpenAI from "openai";
import { type Assembled, assemble } from "../../../relay/src/assemble.ts";
import { makeConfig, type PartialConfig } from "../../../relay/src/config.ts";
import type { ProviderCredit } from "../../../relay/src/flow/credit.ts";
import type { Billing, Idempotency } from "../../../relay/src/flow/ports.ts";
import { IdempotentReplies } from "../../../relay/src/store/idempotency.ts";
import { JobStore } from "../../../relay/src/store/jobs.ts";
import { Journal } from "../../../relay/src/store/journal.ts";
import { KeyStore } from "../../../relay/src/store/keys.ts";
import {
  DEPLOYMENT,
  MODELS,
  openMemory,
  PROVIDER_ID,
  RELAY_ID,
  signVoucher,
  startWorld,
  type World,
} from "../../provider/support/provider.ts";
import { PlainLedger } from "./plain-ledger.ts";
import { USD } from "./test-relay.ts";

const { chainId, contracts } = DEPLOYMENT;
const SEPARATOR = domainSeparator({ chainId, verifyingContract: contracts.settlement });
const DEMO_NAMES = [
  ...["demo-text", "demo-embed", "demo-image"],
  ...["demo-speech", "demo-listen", "demo-moderation"],
];
const DEMO_MODELS = MODELS.map((model, index) => ({ ...model, upstreamModel: DEMO_NAMES[index] ?? "" }));
/** Requests per minute of the slow key: one comes back in three seconds. */
export const SLOW_PER_MINUTE = 20;
/** Below the budget of the tests. */
const MAX_BODY_BYTES = 8 * 1024 * 1024;

export type RelayWithProvider = {
  readonly client: OpenAI;
  readonly url: string;
  readonly key: string;
  /** Another key of the same account, with a limit of its own. */
  readonly slowKey: string;
  readonly ledger: PlainLedger;
  /** Groups as the provider signed them. */
  readonly signed: { readonly count: number; readonly genuine: boolean }[];
  /** Says anew what is offered: an announcement holds for half a minute. */
  announce(): Promise<unknown>;
  /** Stops the relay and starts it anew on the same data. */
  restart(): Promise<void>;
  close(): Promise<void>;
};

export type RelayWithProviderOptions = {
  readonly creditLimit?: bigint;
  readonly log?: Log;
  /** Base URL of an inference server, instead of the demo models. */
  readonly upstream?: string;
  /** What the provider promises of its models. */
  readonly claims?: Claims;
};

/** A relay and a provider, whole but for the chain: libp2p, sessions, demo models, and the official client in front. */
export async function startRelayWithProvider(
  settings: PartialConfig = {},
  { creditLimit, log = silentLog(), upstream, claims = {} }: RelayWithProviderOptions = {},
): Promise<RelayWithProvider> {
  const models = DEMO_MODELS.map((model) => ({ ...model, claims }));
  const relayKey = generateKey();
  const ledger = new PlainLedger();
  ledger.open(1, 5n * USD);
  const signed: { count: number; genuine: boolean }[] = [];
  const demo = await startDemoServer();
  const world = await startWorld({
    ...{ upstream: upstream ?? demo.url, relayKey, models, maxBodyBytes: MAX_BODY_BYTES },
    ...(creditLimit === undefined ? {} : { creditLimit }),
  });
  const db = await openMemory();
  const key = await makeKey(db, relayKey.address);
  const slowKey = await makeKey(db, relayKey.address, SLOW_PER_MINUTE);
  let owed = 0n;
  const billing: Billing = {
    onGroup: async (group, signature, receipts, { signer }) => {
      signed.push({
        count: receipts.length,
        genuine: isSignedBy(signer, groupDigest(SEPARATOR, group), signature),
      });
      owed += receipts.reduce((sum, { cost }) => sum + cost, 0n);
      return signVoucher(relayKey, owed);
    },
    onVoucher: async (voucher) => voucher,
  };
  const start = async () => {
    const journal = new Journal(db);
    const idempotency = new IdempotentReplies(journal, Date.now);
    const jobs = await JobStore.open(journal);
    const about = { db, ledger, billing, idempotency, jobs, world, log, privateKey: relayKey.privateKey };
    const relay = await startRelay(about, settings);
    const gossip = await announce(world, relay);
    const client = new OpenAI({ baseURL: `${relay.url}/v1`, apiKey: key, maxRetries: 0 });
    return { relay, gossip, client, journal };
  };
  const closeRest = async () => {
    await world.provider.close(0);
    await demo.close();
    await db.close();
  };
  let running = await start().catch(async (error: unknown) => {
    await closeRest();
    throw error;
  });
  const stop = async () => {
    await running.gossip.close();
    await running.relay.close();
    await running.journal.close();
  };
  return {
    ...{ ledger, signed, key, slowKey },
    get client() {
      return running.client;
    },
    get url() {
      return running.relay.url;
    },
    announce: () => running.gossip.publish(announcement(world)),
    restart: async () => {
      await stop();
      running = await start();
    },
    close: async () => {
      await stop();
      await closeRest();
    },
  };
}

type RelayParameters = {
  readonly db: Database;
  readonly ledger: PlainLedger;
  readonly billing: Billing;
  readonly idempotency: Idempotency;
  readonly jobs: JobStore;
  readonly world: World;
  readonly log: Log;
  readonly privateKey: `0x${string}`;
};

function startRelay({ world, ...parts }: RelayParameters, settings: PartialConfig): Promise<Assembled> {
  const config = makeConfig({
    ...{ keyFile: "-", rpcUrl: "-", deploymentFile: "-", dataFolder: "memory" },
    ...{ http: { port: 0 }, groupWaitMs: 0, drainMs: 1_000 },
    ...settings,
  });
  return assemble(config, {
    ...{ relayId: RELAY_ID, deployment: DEPLOYMENT, ...parts },
    settling: {
      settleNow: async () => {},
      unsettled: () => ({ amount: 0n, receipts: 0, oldestMs: undefined }),
      close: async () => {},
    },
    bills: {
      list: async () => ({ data: [], has_more: false }),
      settlement: async () => undefined,
      proof: async () => undefined,
    },
    vouchers: { admit: () => {} },
    accounts: {
      userIdOf: async () => 1,
      creditsOf: async () => 0n,
      refreshChannel: async () => undefined,
      openChannel: async () => "0x",
    },
    registry: {
      refusal: (id, signer) =>
        id === PROVIDER_ID && signer === world.key.address ? undefined : "not registered",
      priceOf: (_provider, modelId, version) => {
        const model = world.models.find((one) => one.modelId === modelId);
        return model && { version, prices: model.prices, kinds: kindsOf(model.route) };
      },
      isModel: (modelId, slug) =>
        world.models.some((model) => model.modelId === modelId && model.slug === slug),
    },
    covers: { watch: () => {}, coverOf: () => undefined, readPaid: async () => 0n },
    credit: { covers: () => true, begin: () => () => {} } as unknown as ProviderCredit,
    pausedUntil: () => undefined,
    feeBps: () => 500,
    identity: () => ({}) as never,
    protocolNow: () => Math.floor(Date.now() / 1000),
  });
}

async function announce(world: World, relay: Assembled): Promise<P2p> {
  const gossip = await startP2p({
    ...{ privateKey: world.key.privateKey, listen: [], bootstrap: relay.p2pAddresses, log: silentLog() },
    ...{ topic: offersTopic(DEPLOYMENT), judge: () => ({ ignore: "" }), onAccepted: () => {} },
  });
  await gossip.publish(announcement(world));
  return gossip;
}

function announcement(world: World): Uint8Array {
  const now = Date.now();
  const offered = world.models.map((model) => {
    const { modelId, slug, route, contextTokens, maxOutputTokens, description, claims } = model;
    return {
      ...{ modelId, slug, route, contextTokens, maxOutputTokens, description, ...claims },
      ...{ priceVersion: 1, freeSlots: 8, queued: 0, latencyMs: 0 },
    };
  });
  const about = {
    version: PROTOCOL_VERSION,
    chainId,
    settlement: contracts.settlement,
    providerId: PROVIDER_ID,
    region: "here",
  };
  const times = { sequence: now, issuedAt: now, expiresAt: now + 30_000 };
  return encodeAnnouncement(
    { ...about, ...times, endpoint: world.provider.url, models: offered },
    world.key.privateKey,
  );
}

async function makeKey(db: Database, owner: `0x${string}`, requestsPerMinute?: number): Promise<string> {
  const keys = await KeyStore.open(db, Date.now);
  const settings = {
    name: "",
    limit: undefined,
    limitReset: undefined,
    expiresAt: undefined,
    models: undefined,
  };
  const { key } = await keys.create(
    { userId: 1, owner },
    { ...settings, requestsPerMinute, disabled: false },
  );
  return key;
}
