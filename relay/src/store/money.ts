import type { Hex } from "viem";
import type { Batch, OpenBatch, PostedBatch, PreparedBatch } from "../core/batch.ts";
import type { BillingStore, SettlingStore } from "../flow/ports.ts";
import type { Books } from "./books.ts";
import type { Journal } from "./journal.ts";
import type { LevelLedger } from "./ledger.ts";
import { type BatchRecord, type StoredGeneration, usageOf } from "./records.ts";
import { UnpostedReceipt } from "./unposted.ts";

/** Receipts that are marked as posted in one write: a few milliseconds. */
const MARKED_AT_ONCE = 256;

type Parts = {
  readonly journal: Journal;
  readonly ledger: LevelLedger;
  readonly books: Books;
  readonly now: () => number;
  /** Seconds from posting until nothing can be disputed: 2E. */
  readonly finality: number;
};

/** What billing writes: ledger and books in one turn, into one journal. */
export function createBillingStore({ journal, ledger, books, now }: Parts): BillingStore {
  return {
    statedFor: (requestHash) => ledger.receiptOfRequest(requestHash) as Hex | undefined,
    expected(receiptHash) {
      const generation = ledger.provisionalOf(receiptHash);
      const usage = generation && usageOf(generation);
      return usage && { usage };
    },
    bill(receiptHash, signed, index) {
      const generation = ledger.bill(receiptHash);
      if (!generation) return false;
      const record = { index, billedAt: now(), userCumulative: `${generation.userCumulative}` };
      books.add(new UnpostedReceipt(generation, { signed, record }));
      return true;
    },
    reject: (receiptHash, note) => ledger.giveUp(receiptHash, note),
    owedTo: (providerId) => books.debtOf(providerId).owed,
    knowsDebt: (providerId) => books.knowsDebt(providerId),
    notePaid: (providerId, paid) => books.setPosted(providerId, paid),
    raiseOwed: (providerId, owed) => books.raiseOwed(providerId, owed),
    flushed: () => journal.flushed(),
  };
}

/** What settling reads and writes. */
export function createSettlingStore(parts: Parts): SettlingStore {
  const { journal, ledger, books } = parts;
  return {
    unposted: () => books.unposted(),
    totals: () => books.totals(),
    voucherOf: (userId, epoch) => ledger.vouchers.voucherOf(userId, epoch),
    creditors: () => books.creditors(),
    notePaid: (providerId, paid) => books.setPosted(providerId, paid),
    claims: (taken) => books.claims(taken),
    isOver: ({ userId, epoch }) => (ledger.channelOf(userId)?.epoch ?? 0) > epoch,
    openBatch: () => {
      const open = books.openBatch();
      return open && prepared(open);
    },
    async saveBuilt(batch, credits, since) {
      books.saveBatch(recordOf(batch, credits, since));
      await journal.flushed();
    },
    async saveCredits(batch, credits) {
      const record = books.openBatch();
      if (!record || BigInt(record.batchNo) !== batch.header.batchNo)
        throw new RangeError(`Batch ${batch.header.batchNo} is not open.`);
      books.saveBatch({ ...record, ...storedOf(batch, credits) });
      await journal.flushed();
    },
    savePosted: (batchNo, posted) => savePosted(parts, batchNo, posted),
    async dropBuilt() {
      books.dropBatch();
      await journal.flushed();
    },
    giveUp: (ids, note) => giveUp(parts, new Set(ids), note),
  };
}

/**
 * Reads generations, and reads on until nothing was billed meanwhile; then `change` runs at once. So nothing comes
 * between what it sees and what it writes, and a crash sees all of it or nothing.
 */
async function withGenerations(
  ledger: LevelLedger,
  wanted: () => readonly string[],
  change: (found: ReadonlyMap<string, StoredGeneration>) => void,
): Promise<void> {
  const found = new Map<string, StoredGeneration>();
  const asked = new Set<string>();
  for (;;) {
    const missing = wanted().filter((id) => !asked.has(id));
    if (missing.length === 0) return change(found);
    for (const id of missing) {
      const generation = await ledger.storedOf(id);
      if (generation) found.set(id, generation);
      asked.add(id);
    }
  }
}

const channelKey = ({ userId, epoch }: { userId: number; epoch: number }) => `${userId}/${epoch}`;

/**
 * The charges are taken back, and with them all that their channels were charged after them: those totals were given
 * out, and without the ones before they cannot be posted. So such an epoch is retired.
 */
async function giveUp(
  { journal, ledger, books }: Parts,
  lost: ReadonlySet<string>,
  note: string,
): Promise<void> {
  const touched = () => {
    const channels = new Set<string>();
    return books.unposted().flatMap(({ leaf }) => {
      if (lost.has(leaf.id)) channels.add(channelKey(leaf));
      return channels.has(channelKey(leaf)) ? [leaf] : [];
    });
  };
  await withGenerations(
    ledger,
    () => touched().map(({ id }) => id),
    (found) => {
      for (const leaf of touched()) {
        const generation = found.get(leaf.id);
        const why = lost.has(leaf.id) ? note : `A charge before it cannot be posted. ${note}`;
        if (generation) ledger.unbill(generation, why);
        ledger.retire(leaf.userId, leaf.epoch, "A charge of the channel could not be posted in time.");
        books.remove([leaf.id]);
      }
    },
  );
  await journal.flushed();
}

async function savePosted(parts: Parts, batchNo: bigint, posted: PostedBatch): Promise<void> {
  const { journal, ledger, books } = parts;
  const record = books.openBatch();
  if (!record || BigInt(record.batchNo) !== batchNo) throw new RangeError(`Batch ${batchNo} is not open.`);
  const skipped = record.users.filter(({ userId }) => posted.skipped.includes(userId));
  const epochs = new Set(skipped.map(channelKey));
  /** All that a skipped channel was charged since: its place in the channel's total is void. */
  const lost = () =>
    books
      .unposted()
      .map(({ leaf }) => leaf)
      .filter((leaf) => epochs.has(channelKey(leaf)));
  for (const user of record.users)
    if (!skipped.includes(user)) await markPosted(parts, user.ids, record, posted);
  await withGenerations(
    ledger,
    () => lost().map(({ id }) => id),
    (found) => {
      for (const [rowIndex, user] of record.users.entries())
        if (!skipped.includes(user)) savePostedUser(parts, { record, posted, rowIndex });
      for (const user of skipped) {
        const own = lost().filter((leaf) => channelKey(leaf) === channelKey(user));
        const spent = ledger.channelOf(user.userId)?.spent ?? BigInt(user.cumStart);
        ledger.rollBack(
          user.userId,
          user.epoch,
          spent,
          own.flatMap(({ id }) => found.get(id) ?? []),
        );
        books.remove(own.map(({ id }) => id));
      }
      for (const [providerId, cumulative] of record.credits) books.setPosted(providerId, BigInt(cumulative));
      const { transaction, postedAt } = posted;
      books.saveBatch({ ...record, state: "posted", transaction, postedAt, skipped: posted.skipped });
    },
  );
  await journal.flushed();
}

type PostedRow = {
  readonly record: BatchRecord;
  readonly posted: PostedBatch;
  readonly rowIndex: number;
};

/**
 * Bit by bit, so that requests are served meanwhile. A receipt is unposted or posted at any time; after a crash in
 * between the batch is still open, and its rest is marked then.
 */
async function markPosted(
  { journal, books, finality }: Parts,
  ids: readonly string[],
  { batchNo }: BatchRecord,
  { postedAt }: PostedBatch,
): Promise<void> {
  const finalAt = postedAt + finality;
  for (let first = 0; first < ids.length; first += MARKED_AT_ONCE) {
    const some = ids.slice(first, first + MARKED_AT_ONCE);
    for (const id of some) {
      const billed = books.unpostedOf(id);
      if (billed) journal.put("posted", id, { ...billed.toRecord(), batchNo, finalAt });
    }
    books.remove(some);
    await journal.flushed();
  }
}

function savePostedUser({ journal }: Parts, { record, posted, rowIndex }: PostedRow): void {
  const user = record.users[rowIndex];
  if (!user) return;
  const { transaction, postedAt } = posted;
  const { batchNo } = record;
  const bill = { batchNo, transaction, rowIndex, ids: user.ids, sum: user.sum, postedAt };
  journal.put("bills", `${user.userId}!${batchNo.padStart(20, "0")}`, bill);
}

/** The part of a record that is sent. */
function storedOf({ header, rows }: PreparedBatch, credits: ReadonlyMap<number, bigint>) {
  return {
    header: { ...header, batchNo: `${header.batchNo}`, receiptsSum: `${header.receiptsSum}` },
    rows,
    credits: [...credits].map(([id, cumulative]) => [id, `${cumulative}`] as const),
  };
}

function recordOf(batch: Batch, credits: ReadonlyMap<number, bigint>, since: bigint): BatchRecord {
  const { header, users } = batch;
  return {
    ...storedOf(batch, credits),
    since: `${since}`,
    batchNo: `${header.batchNo}`,
    state: "built",
    users: users.map(({ leaf, ids }) => ({
      userId: leaf.userId,
      epoch: leaf.epoch,
      cumStart: `${leaf.cumStart}`,
      sum: `${leaf.sum}`,
      subRoot: leaf.subRoot,
      ids,
    })),
  };
}

function prepared(record: BatchRecord): OpenBatch {
  const { header, users } = record;
  const batchNo = BigInt(record.batchNo);
  return {
    batchNo,
    since: BigInt(record.since),
    users: new Set(users.map(({ userId }) => userId)),
    ids: new Set(users.flatMap(({ ids }) => ids)),
    rows: record.rows,
    header: {
      batchNo,
      nA: Number(header["nA"]),
      nB: Number(header["nB"]),
      nC: Number(header["nC"]),
      depth: Number(header["depth"]),
      receiptsSum: BigInt(header["receiptsSum"] ?? 0),
      receiptsRoot: String(header["receiptsRoot"]) as Hex,
    },
  };
}
