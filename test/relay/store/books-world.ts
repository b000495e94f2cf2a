import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Database, openData } from "@aimo/node/data-dir";
import { addressOfPublicKey, publicKeyOf, recoverAddress, sign } from "@aimo/node/fast-crypto";
import { toHex, uint, ZERO_32 } from "@aimo/protocol/bytes";
import { buildGroup, groupDigest, type ReceiptGroup } from "@aimo/protocol/groups";
import { requestHashOf, type UsageReceipt, usageDigest } from "@aimo/protocol/receipts";
import { domainSeparator } from "@aimo/protocol/typed-data";
import type { Address, Hex } from "viem";
import type { Caller, ChannelOnChain, GenerationStart, Outcome } from "../../../relay/src/core/types.ts";
import { createBilling } from "../../../relay/src/flow/billing.ts";
import type { ReceiptJudge } from "../../../relay/src/flow/ports.ts";
import { createBills } from "../../../relay/src/store/bills.ts";
import { Books } from "../../../relay/src/store/books.ts";
import { IdempotentReplies } from "../../../relay/src/store/idempotency.ts";
import { Journal } from "../../../relay/src/store/journal.ts";
import { LevelLedger } from "../../../relay/src/store/ledger.ts";
import { createBillingStore, createSettlingStore } from "../../../relay/src/store/money.ts";
import { UnpostedReceipts } from "../../../relay/src/store/unposted.ts";

export const RELAY_ID = 7;
export const USD = 10n ** 12n;
const OWNER: Address = "0x1111111111111111111111111111111111111111";
const NO_IDENTITY = { chainId: 1, genesisHash: ZERO_32 as Hex, settlement: OWNER };

/** A wall clock in milliseconds that tests move; protocol time is its seconds. */
export type Clock = { ms: number };
export const newClock = (): Clock => ({ ms: 1_790_000_000_000 });

/** The two kinds of database that the books live in: each suite runs on both. */
export const DRIVERS = {
  "memory-level": async () => {
    const db = await openData({ location: "memory", identity: NO_IDENTITY });
    return { db, reopen: async () => db, remove: () => db.close() };
  },
  "classic-level": async () => {
    const folder = await mkdtemp(join(tmpdir(), "aimo-books-"));
    const open = () => openData({ location: { folder }, identity: NO_IDENTITY });
    let db = await open();
    return {
      db,
      reopen: async () => {
        await db.close();
        db = await open();
        return db;
      },
      remove: async () => {
        await db.close();
        await rm(folder, { recursive: true });
      },
    };
  },
} satisfies Record<string, () => Promise<Disk>>;
export type Disk = { db: Database; reopen(): Promise<Database>; remove(): Promise<void> };

export type WorldOptions = {
  relayId?: number;
  separator?: Uint8Array;
  finality?: number;
  /** The relay's own key, and what the chain says of receipts and payments: nothing by default. */
  key?: Hex;
  judge?: ReceiptJudge;
  readPaid?: (providerId: number) => Promise<bigint>;
  oldestIssuedAt?: () => number;
  lostBefore?: number;
  protocolNow?: () => number;
};
export const RELAY_KEY: Hex = toHex(uint(7_000, 32));
const NO_FAULT: ReceiptJudge = { judge: async (cases) => cases.map(() => undefined) };
export type World = Awaited<ReturnType<typeof openWorld>>;

export const SEPARATOR = domainSeparator({ chainId: 1, verifyingContract: OWNER });

/** The relay's books over a database, as `money.ts` puts them together; without channels until they are set. */
export async function openWorld(db: Database, clock: Clock, options: WorldOptions = {}) {
  const { relayId = RELAY_ID, separator = SEPARATOR, finality = 10, key = RELAY_KEY } = options;
  const { judge = NO_FAULT, readPaid = async () => 0n, oldestIssuedAt = () => 0, lostBefore } = options;
  const now = () => clock.ms;
  const { protocolNow = () => Math.floor(clock.ms / 1000) } = options;
  const journal = new Journal(db);
  const unposted = await UnpostedReceipts.open(journal);
  const ledger = await LevelLedger.open({ journal, unposted, now, protocolNow, lostBefore });
  const books = await Books.open(journal, unposted);
  const parts = { journal, ledger, books, now, finality };
  const faults: object[] = [];
  const billing = createBilling({
    ...{ relayId, separator, protocolNow, recover: recoverAddress },
    ...{ signer: signerOf(relayId, key).signer, sign: (digest: Uint8Array) => sign(digest, key) },
    ...{ judge, readPaid, oldestIssuedAt },
    store: createBillingStore(parts),
    log: { warn: (fields) => void faults.push(fields) },
  });
  return {
    ...{ clock, journal, ledger, books, billing, faults, relayId, separator, now, protocolNow },
    store: createSettlingStore(parts),
    bills: createBills({ journal, ledger, relayId, separator }),
    replies: new IdempotentReplies(journal, now),
  };
}

export const channelOf = (userId: number, change: Partial<ChannelOnChain> = {}): ChannelOnChain => ({
  ...{ userId, owner: OWNER, epoch: 1, mode: 0, available: 5n * USD, spent: 0n },
  ...{ settleBy: 2_000_000_060, expiry: 2_000_000_000, thawAmount: 0n, thawEnd: 0 },
  ...{ openedAt: 1, revokedAt: 0, sessionKey: "0x0000000000000000000000000000000000000000" },
  ...change,
});

export const callerOf = (userId: number): Caller => ({
  ...{ userId, owner: OWNER, keyHash: `key-${userId}`, models: undefined },
  ...{ limit: undefined, limitReset: undefined },
});

export type Signer = { readonly id: number; readonly key: Hex; readonly signer: Address };
export const signerOf = (id: number, key: Hex): Signer => ({
  ...{ id, key, signer: addressOfPublicKey(publicKeyOf(key)) },
});
export const PROVIDERS = [1, 2].map((id) => signerOf(id, toHex(uint(id + 1_000, 32)))) as [Signer, Signer];

let counter = 0;
export const startOf = (world: World, userId: number, epoch = 1): GenerationStart => ({
  ...{ id: `gen-${++counter}`, userId, keyHash: `key-${userId}`, epoch, model: "m", route: "chat" },
  ...{ streamed: false, createdAt: world.now(), bodyHash: `0x${"bb".repeat(32)}` as Hex },
});

export type Used = { id: string; receipt: UsageReceipt; receiptHash: Hex; outcome: Outcome };

/** What a provider states about a generation, with the receipt that it will sign. */
export function usageFor(
  world: World,
  start: GenerationStart,
  { provider = PROVIDERS[0], cost, charge = cost }: { provider?: Signer; cost: bigint; charge?: bigint },
): Used {
  const { userId, epoch: channelEpoch, bodyHash, id } = start;
  const nonce = toHex(uint(++counter, 16));
  const requestHash = requestHashOf({ userId, channelEpoch, nonce, bodyHash });
  const responseHash: Hex = `0x${"cc".repeat(32)}`;
  const receipt: UsageReceipt = {
    ...{ relayId: world.relayId, providerId: provider.id, modelId: 1, priceVersion: 1, requestHash },
    ...{ issuedAt: world.protocolNow(), units: [1, 0, 1], cost, responseHash },
  };
  const receiptHash = toHex(usageDigest(world.separator, receipt));
  const { issuedAt, units } = receipt;
  const statement = { attempt: nonce, issuedAt, units, cost: `${cost}`, responseHash, receiptHash };
  const outcome: Outcome = {
    ...{ kind: "usage", providerId: provider.id, nonce, requestHash, modelId: 1, priceVersion: 1 },
    ...{ statement, charge, finishReason: "stop", cancelled: false, attempts: [] },
    ...{ latencyMs: 1, generationMs: 1 },
  };
  return { id, receipt, receiptHash, outcome };
}

/** Holds and commits one request; returns what its provider would sign. */
export function serveOne(
  world: World,
  userId: number,
  { epoch = 1, ...numbers }: { provider?: Signer; cost: bigint; charge?: bigint; epoch?: number },
): Used {
  const start = startOf(world, userId, epoch);
  const used = usageFor(world, start, numbers);
  const { outcome } = used;
  world.ledger.hold(start, callerOf(userId), outcome.kind === "usage" ? outcome.charge : 0n);
  world.ledger.commit(start.id, outcome);
  return used;
}

/** A provider's group over these receipts, signed for real. */
export function signGroup(
  world: World,
  receipts: readonly UsageReceipt[],
  provider: Signer = PROVIDERS[0],
  change: Partial<ReceiptGroup> = {},
) {
  const digests = receipts.map((receipt) => usageDigest(world.separator, receipt));
  const { root } = buildGroup(digests);
  const group: ReceiptGroup = {
    ...{ relayId: world.relayId, providerId: provider.id, count: receipts.length },
    ...{ closedAt: world.protocolNow(), root },
    ...change,
  };
  return { group, signature: sign(groupDigest(world.separator, group), provider.key) };
}

/** Signs the receipts as one group and hands it to billing. */
export function billAll(world: World, used: readonly Used[], provider: Signer = PROVIDERS[0]) {
  const receipts = used.map(({ receipt }) => receipt);
  const { group, signature } = signGroup(world, receipts, provider);
  return world.billing.onGroup(group, signature, receipts, provider);
}
