import type { BilledLine, SettlementBill } from "@aimo/protocol/bill";
import { buildSumTree } from "@aimo/protocol/tree";
import { expect } from "chai";
import type { RequestRecord } from "../../sdk/typescript/src/records.ts";
import { type BillResult, checkBill } from "../../sdk/typescript/src/verify/bill.ts";
import type {
  AccountOnChain,
  ChainFacts,
  PostedRow,
  Problem,
} from "../../sdk/typescript/src/verify/types.ts";
import {
  type Account,
  type Entry,
  FEE_BPS,
  leafNodes,
  makeBatch,
  makeEntries,
  makeEntry,
  NOW,
  PRICES,
  PROVIDER,
  RELAY_ID,
  separatorOf,
} from "./bill-builder.ts";

export const USER = 7;
export const BATCH = 4n;

export const FACTS: ChainFacts = {
  relayId: RELAY_ID,
  separator: separatorOf(),
  postWindow: 60,
  feeBoundAt: () => FEE_BPS,
  providerOf: async (providerId) => (providerId === 2 ? { registeredAt: 1, deactivatedAt: 0 } : undefined),
  wasStaked: async () => true,
  signersOf: async (providerId) =>
    providerId === 2 ? [{ key: PROVIDER.address, validFrom: 0, validUntil: NOW + 1_000 }] : [],
  priceOf: async (providerId, modelId, version) =>
    providerId === 2 && modelId === 5 && version === 1
      ? { prices: PRICES, kinds: ["token", "token", "token"], effectiveFrom: 1, effectiveUntil: undefined }
      : undefined,
};

/** Requests a to e of user 7, between two other users, in batch 4; earlier spending 1,000 pUSD in batch 3. */
type World = {
  readonly entries: readonly Entry[];
  readonly first: Entry;
  readonly others: readonly Account[];
};

let known: World | undefined;

async function makeWorld(): Promise<World> {
  const first = await makeEntry({ name: "first", userId: USER, epoch: 1, after: 0n, tokens: 1 });
  const base = { userId: USER, epoch: 1, after: BigInt(first.line.charge) };
  const entries = await makeEntries(["a", "b", "c", "d", "e"], base);
  const others = await Promise.all(
    [2, 90].map(async (userId) => {
      const lines = await makeEntries([`x${userId}`, `y${userId}`], { userId, epoch: 1, after: 0n });
      return { userId, epoch: 1, cumStart: 0n, lines: lines.map(({ line }) => line) };
    }),
  );
  return { entries, first, others };
}

/** Built once; a bill's signatures cost time. */
export async function prepareWorld(): Promise<void> {
  known ??= await makeWorld();
}

export function world(): World {
  if (!known) throw new Error("Call prepareWorld first.");
  return known;
}

export const linesOf = (entries: readonly Entry[]) => entries.map(({ line }) => line);
export const startOf = () => BigInt(world().first.line.charge);

function postedRow(batch: ReturnType<typeof makeBatch>, rowIndex: number): PostedRow {
  const row = batch.metered[rowIndex];
  if (!row) throw new RangeError(`No row ${rowIndex}.`);
  const { header, transaction } = batch;
  const { cumEnd, delta } = row;
  return {
    batchNo: header.batchNo,
    transaction,
    postedAt: NOW,
    header,
    rowIndex,
    cumEnd,
    delta,
    epoch: 1,
    isSkipped: false,
  };
}

export type Tale = {
  /** What was posted on the chain. */
  readonly committed?: readonly BilledLine[];
  /** What the relay shows later. */
  readonly shown?: (bill: SettlementBill) => unknown;
  readonly account?: (account: AccountOnChain) => AccountOnChain;
  readonly facts?: Partial<ChainFacts>;
  readonly known?: readonly RequestRecord[];
  readonly cumStart?: bigint;
};

/** Posts, lets the relay show its bill, and verifies. */
export async function verify(tale: Tale): Promise<BillResult> {
  const [low, high] = world().others;
  if (!low || !high) throw new Error("The other users are missing.");
  const lines = tale.committed ?? linesOf(world().entries);
  const own = { userId: USER, epoch: 1, cumStart: tale.cumStart ?? startOf(), lines };
  const earlier = makeBatch(3n, [{ ...own, cumStart: 0n, lines: [world().first.line] }]);
  const batch = makeBatch(BATCH, [low, own, high]);
  const rows = [postedRow(earlier, 0), postedRow(batch, 1)];
  const account = { rows, channel: { epoch: 1, spent: rows[1]?.cumEnd ?? 0n }, problems: [] };
  const bills: Record<string, unknown> = {
    3: earlier.bills[0],
    4: (tale.shown ?? ((bill) => bill))(copyOf(batch.bills[1])),
  };
  return checkBill({
    userId: USER,
    account: (tale.account ?? ((same) => same))(account),
    facts: { ...FACTS, ...tale.facts },
    fetchBill: async (batchNo) => bills[String(batchNo)],
    known: tale.known,
  });
}

export type Mutable<T> = T extends object ? { -readonly [K in keyof T]: Mutable<T[K]> } : T;
const copyOf = (bill: SettlementBill | undefined): Mutable<SettlementBill> => structuredClone(bill) as never;
/** A relay that shows its bill with something changed in its store. */
export const changed = (change: (bill: Mutable<SettlementBill>) => void) => (bill: SettlementBill) => {
  const copy = copyOf(bill);
  change(copy);
  return copy;
};
export const changedLine = (index: number, change: (line: Mutable<BilledLine>) => void) =>
  changed(({ lines }) => {
    const line = lines[index];
    if (!line) throw new RangeError(`No line ${index}.`);
    change(line);
  });

export const intervalOf = ({ line }: Entry): [bigint, bigint] => [
  BigInt(line.userCumulative) - BigInt(line.charge),
  BigInt(line.userCumulative),
];
export const entry = (index: number): Entry => {
  const found = world().entries[index];
  if (!found) throw new RangeError(`No entry ${index}.`);
  return found;
};
export const recordOf = ({ line }: Entry): RequestRecord => ({
  id: line.id,
  relay: RELAY_ID,
  bodyHash: line.bodyHash,
  nonce: line.nonce,
  receiptHash: null,
  channel: { user: USER, epoch: 1 },
  costPusd: line.charge,
  createdAt: "2026-01-01T00:00:00.000Z",
});

export function onlyProblem(result: BillResult): Problem {
  expect(result.ok).to.equal(false);
  expect(result.problems.map(({ kind, detail }) => `${kind}: ${detail}`)).to.have.length(1);
  const [problem] = result.problems;
  if (!problem) throw new Error("No problem.");
  return problem;
}

/** A relay that builds its leaf anew from what it shows, as one does that keeps receipts and no trees. */
export const rebuilt = (shown: (bill: SettlementBill) => SettlementBill) => (bill: SettlementBill) => {
  const { lines, userLeaf, ...rest } = shown(bill);
  const [first] = lines;
  if (!first) return { lines, userLeaf, ...rest };
  const { root, sum } = buildSumTree(leafNodes({ lines, userId: userLeaf.userId }));
  const cumStart = String(BigInt(first.userCumulative) - BigInt(first.charge));
  return {
    ...rest,
    lines,
    userLeaf: { ...userLeaf, cumStart, sum: String(sum), count: lines.length, subRoot: root },
  };
};
