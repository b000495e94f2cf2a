import { randomBytes } from "node:crypto";
import { type Database, type DataIdentity, openData } from "@aimo/node/data-dir";
import { initFastCrypto, sign } from "@aimo/node/fast-crypto";
import { generateKey, type NodeKey } from "@aimo/node/keys";
import { silentLog } from "@aimo/node/log";
import { countText } from "@aimo/node/tokens";
import { toHex } from "@aimo/protocol/bytes";
import type { Deployment } from "@aimo/protocol/deployment";
import { digestOf, domainSeparator } from "@aimo/protocol/typed-data";
import type { Assembled } from "@aimo/provider/assemble";
import { assemble } from "@aimo/provider/assemble";
import type { Voucher } from "@aimo/provider/core/outstanding";
import type { ServedModel } from "@aimo/provider/core/types";
import type { VendorName } from "@aimo/provider/core/vendors";
import type { RelayFunds, RelayOnChain, ReservesChain } from "@aimo/provider/flow/ports";
import { createOpenaiUpstream } from "@aimo/provider/upstream/openai";
import type { Hex } from "viem";
import {
  type ConnectParameters,
  connectRelay,
  type InferQuery,
  inferPath,
  type RelayClient,
} from "./relay-client.ts";

/** The serving part of a provider on real sockets, with the chain's words given by the test. */

const address = (digit: string): Hex => `0x${digit.repeat(40)}`;
export const DEPLOYMENT: Deployment = {
  chainId: 31_337,
  genesisHash: `0x${"ab".repeat(32)}`,
  deployedAtBlock: 1,
  profile: "local",
  contracts: {
    accessManager: address("7"),
    reserves: address("8"),
    fraudProofs: address("9"),
    depositRouter: address("a"),
    lens: address("b"),
    clock: address("1"),
    token: address("2"),
    vault: address("3"),
    registry: address("4"),
    stakeManager: address("5"),
    settlement: address("6"),
  },
};
export const IDENTITY: DataIdentity = {
  chainId: DEPLOYMENT.chainId,
  genesisHash: DEPLOYMENT.genesisHash,
  settlement: DEPLOYMENT.contracts.settlement,
};
export const PROVIDER_ID = 3;
export const RELAY_ID = 7;
const SEPARATOR = domainSeparator({
  chainId: DEPLOYMENT.chainId,
  verifyingContract: DEPLOYMENT.contracts.settlement,
});

/** What a relay signs that it owes the provider of these tests. */
export function signVoucher(
  key: NodeKey,
  cumulative: bigint,
  { relayId = RELAY_ID, providerId = PROVIDER_ID } = {},
): { cumulative: bigint; signature: Hex } {
  const digest = digestOf(SEPARATOR, "ProviderVoucher", { relayId, providerId, cumulative });
  return { cumulative, signature: sign(digest, key.privateKey) };
}

const priced = (prices: readonly [bigint, bigint, bigint]) => [
  { version: 1, prices, effectiveFrom: 1 },
  { version: 2, prices, effectiveFrom: 4_000_000_000 },
];
const model = (
  modelId: number,
  slug: string,
  route: ServedModel["route"],
  prices: [bigint, bigint, bigint],
) => ({
  modelId,
  slug,
  route,
  upstream: "main",
  upstreamModel: "served-name",
  contextTokens: 8_192,
  maxOutputTokens: 256,
  description: "A model of the tests.",
  prices,
  versions: priced(prices),
});
export const MODELS: readonly ServedModel[] = [
  model(11, "acme/text", "chat", [150_000n, 75_000n, 600_000n]),
  model(12, "acme/embed", "embeddings", [20_000n, 0n, 0n]),
  model(13, "acme/image", "images", [0n, 0n, 20_000_000_000n]),
  model(14, "acme/speech", "speech", [15_000_000n, 0n, 0n]),
  model(15, "acme/listen", "transcriptions", [100_000n, 0n, 0n]),
  model(16, "acme/moderation", "moderations", [20_000n, 0n, 1_000_000n]),
];

export type World = {
  readonly provider: Assembled;
  readonly key: NodeKey;
  readonly relayKey: NodeKey;
  readonly relays: Map<number, RelayOnChain>;
  /** What the chain says of the relay's reserve and payments; call `covers.refresh` after a change. */
  readonly funds: { -readonly [Field in keyof RelayFunds]: RelayFunds[Field] };
  readonly files: Map<number, Voucher>;
  readonly db: Database;
  readonly models: readonly ServedModel[];
  connect(changes?: Partial<ConnectParameters>): Promise<RelayClient>;
};
export type WorldOptions = {
  readonly upstream: string;
  readonly creditLimit?: bigint;
  readonly redeem?: ReservesChain["redeem"];
  readonly redeemAfterSeconds?: number;
  readonly clock?: () => number;
  readonly maxConcurrency?: number;
  readonly maxBodyBytes?: number;
  readonly vendor?: VendorName;
  readonly db?: Database;
  readonly key?: NodeKey;
  readonly relayKey?: NodeKey;
  readonly models?: readonly ServedModel[];
};

export const openMemory = (): Promise<Database> => openData({ location: "memory", identity: IDENTITY });

export async function startWorld(options: WorldOptions): Promise<World> {
  await initFastCrypto();
  const key = options.key ?? generateKey();
  const relayKey = options.relayKey ?? generateKey();
  const db = options.db ?? (await openMemory());
  const models = options.models ?? MODELS;
  const relays = new Map<number, RelayOnChain>([
    [RELAY_ID, { relayId: RELAY_ID, signer: relayKey.address, active: true, bonded: true }],
  ]);
  const funds = { reserve: 0n, redeemable: 0n, paid: 0n, leaving: undefined as string | undefined };
  const files = new Map<number, Voucher>();
  const upstream = createOpenaiUpstream({
    baseUrl: options.upstream,
    apiKey: "secret",
    vendor: options.vendor ?? "generic",
    connectTimeoutMs: 2_000,
    firstByteTimeoutMs: 10_000,
    stallTimeoutMs: 10_000,
    connections: 16,
  });
  const provider = await assemble(
    {
      providerId: PROVIDER_ID,
      deployment: DEPLOYMENT,
      key,
      listen: { host: "127.0.0.1", port: 0 },
      creditLimit: options.creditLimit ?? 500_000_000_000n,
      redeemAfterSeconds: options.redeemAfterSeconds ?? 3_600,
      redeemLeast: 1_000_000n,
      maxConcurrency: options.maxConcurrency ?? 8,
      maxBodyBytes: options.maxBodyBytes ?? 64 * 1024,
    },
    {
      relays: { relayOf: async (id) => relays.get(id) },
      reserves: { fundsOf: async () => ({ ...funds }), redeem: options.redeem ?? (async () => 0n) },
      files: { write: (relayId, voucher) => void files.set(relayId, voucher), flushed: async () => {} },
      catalogue: {
        byId: (id) => models.find(({ modelId }) => modelId === id),
        bySlug: (slug) => models.find((one) => one.slug === slug),
        all: () => models,
      },
      upstreams: new Map([["main", upstream]]),
      db,
      clock: options.clock ?? (() => Math.floor(Date.now() / 1000)),
      countTokens: countText,
      log: silentLog(),
    },
  );
  const base = {
    url: provider.url,
    chainId: DEPLOYMENT.chainId,
    relayId: RELAY_ID,
    providerId: PROVIDER_ID,
    key: relayKey,
    providerSigner: key.address,
    sign: (cumulative: bigint) => signVoucher(relayKey, cumulative).signature,
  };
  return {
    provider,
    key,
    relayKey,
    relays,
    funds,
    files,
    db,
    models,
    connect: (changes) => connectRelay({ ...base, ...changes }),
  };
}

/** A fresh attempt on a model of this provider. */
export function attemptOn(slug = "acme/text", changes: Partial<InferQuery> = {}): InferQuery {
  return {
    attempt: toHex(randomBytes(16)),
    request: toHex(randomBytes(32)),
    model: slug,
    price: 1,
    id: "gen-1",
    ...changes,
  };
}

export const chatPath = (query: InferQuery): string => inferPath("chat", query);
export const chatBody = (rest: object = {}): string =>
  JSON.stringify({ model: "acme/text", messages: [{ role: "user", content: "Say a word." }], ...rest });
