import { receiptToJson } from "@aimo/protocol/session";
import type { Hex } from "viem";
import type { Batch } from "../core/batch.ts";
import type { BillingStore } from "../flow/billing.ts";
import type { PostedBatch, PreparedBatch, SettlingStore } from "../flow/settling.ts";
import type { Books } from "./books.ts";
import type { Journal } from "./journal.ts";
import type { LevelLedger } from "./ledger.ts";
import { type BatchRecord, type StoredGeneration, usageOf } from "./records.ts";

type Parts = {
  readonly journal: Journal;
  readonly ledger: LevelLedger;
  readonly books: Books;
  readonly now: () => number /** Seconds from posting until nothing can be disputed: 2E. */;
  readonly finality: number;
};

/** What billing writes: ledger and books in one turn, into one journal. */
export function createBillingStore({ journal, ledger, books, now }: Parts): BillingStore {
  return {
    expected(receiptHash) {
      const generation = ledger.provisionalOf(receiptHash);
      const usage = generation && usageOf(generation);
      return usage && { usage };
    },
    bill(receiptHash, receipt, evidence) {
      const generation = ledger.bill(receiptHash, { receipt: receiptToJson(receipt), evidence });
      if (!generation) return false;
      books.add(generation, receiptHash, now());
      return true;
    },
    reject: (receiptHash, note) => ledger.giveUp(receiptHash, note),
    owedTo: (providerId) => books.debtOf(providerId).owed,
    flushed: () => journal.flushed(),
  };
}

/** What settling reads and writes. */
export function createSettlingStore(parts: Parts): SettlingStore {
  const { journal, ledger, books } = parts;
  return {
    unposted: () => books.unposted(),
    credits: () => books.credits(),
    openBatch: () => {
      const open = books.openBatch();
      return open && prepared(open);
    },
    async saveBuilt(batch, credits) {
      books.saveBatch(recordOf(batch, credits));
      await journal.flushed();
    },
    savePosted: (batchNo, posted) => savePosted(parts, batchNo, posted),
    giveUp(ids, note) {
      for (const { leaf } of books.unposted().filter((entry) => ids.includes(entry.leaf.id)))
        ledger
          .storedOf(leaf.id)
          .then((generation) => generation && ledger.update({ ...generation, state: "unbilled", note }))
          .catch(() => {});
      books.remove(ids);
    },
  };
}

async function savePosted(
  { journal, ledger, books, finality }: Parts,
  batchNo: bigint,
  posted: PostedBatch,
): Promise<void> {
  const record = books.openBatch();
  if (!record || BigInt(record.batchNo) !== batchNo) throw new RangeError(`Batch ${batchNo} is not open.`);
  const skipped = new Set(posted.skipped);
  // Read first: from here to the end nothing awaits, so a crash sees all of it or nothing.
  const generations = new Map<string, StoredGeneration>();
  const later = books.unposted().filter(({ leaf }) => skipped.has(leaf.userId));
  for (const id of [...record.users.flatMap(({ ids }) => ids), ...later.map(({ leaf }) => leaf.id)]) {
    const generation = await ledger.storedOf(id);
    if (generation) generations.set(id, generation);
  }
  for (const [rowIndex, user] of record.users.entries()) {
    const { userId, ids } = user;
    if (skipped.has(userId)) continue;
    for (const id of ids) {
      const generation = generations.get(id);
      if (generation)
        ledger.update({ ...generation, state: "posted", batchNo, finalAt: posted.postedAt + finality });
    }
    const bill = {
      batchNo: record.batchNo,
      transaction: posted.transaction,
      rowIndex,
      ids,
      sum: user.sum,
      postedAt: posted.postedAt,
    };
    journal.put("bills", `${userId}!${record.batchNo.padStart(20, "0")}`, bill);
  }
  for (const user of record.users.filter(({ userId }) => skipped.has(userId))) {
    const lost = [
      ...user.ids,
      ...later.filter(({ leaf }) => leaf.userId === user.userId).map(({ leaf }) => leaf.id),
    ];
    const spent = ledger.channelOf(user.userId)?.spent ?? BigInt(user.cumStart);
    ledger.rollBack(
      user.userId,
      user.epoch,
      spent,
      [...new Set(lost)].flatMap((id) => generations.get(id) ?? []),
    );
    books.remove(lost);
  }
  books.remove(record.users.flatMap(({ ids }) => ids));
  for (const [providerId, cumulative] of record.credits) books.setPosted(providerId, BigInt(cumulative));
  books.saveBatch({
    ...record,
    state: "posted",
    transaction: posted.transaction,
    postedAt: posted.postedAt,
    skipped: posted.skipped,
  });
  await journal.flushed();
}

function recordOf({ header, rows, users }: Batch, credits: ReadonlyMap<number, bigint>): BatchRecord {
  return {
    batchNo: `${header.batchNo}`,
    state: "built",
    header: { ...header, batchNo: `${header.batchNo}`, receiptsSum: `${header.receiptsSum}` },
    rows,
    users: users.map(({ leaf, ids }) => ({
      userId: leaf.userId,
      epoch: leaf.epoch,
      cumStart: `${leaf.cumStart}`,
      sum: `${leaf.sum}`,
      ids,
    })),
    credits: [...credits].map(([id, cumulative]) => [id, `${cumulative}`] as const),
  };
}

function prepared(record: BatchRecord): PreparedBatch & { readonly batchNo: bigint } {
  const { header } = record;
  const batchNo = BigInt(record.batchNo);
  return {
    batchNo,
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
