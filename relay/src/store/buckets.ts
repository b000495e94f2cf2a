/** Every namespace of the relay's database. Append only: a retired name is never used again. */
export const BUCKETS = {
  /** API keys, by hash (keys.ts). */
  keys: "keys",
  /** Generations by id. */
  generations: "generations",
  /** Channels by user id: what this relay has charged and posted. */
  channels: "channels",
  /** What is owed to providers over all time, by provider id. */
  debts: "debts",
  /** Spending of API keys, by hash. */
  usage: "usage",
  /** Holds and provisional charges that are open, by generation id. */
  open: "open",
  /** Billed receipts that are in no batch yet, by generation id. */
  unposted: "unposted",
  /** In which batch a billed generation was posted, by its id: apart, so that posting does not write all of it anew. */
  posted: "posted",
  /** Batches by number. */
  batches: "batches",
  /** A user's receipts in a batch, by user id and batch number. */
  bills: "bills",
  /** Replies kept for repeated Idempotency-Keys. */
  replies: "replies",
  /** Cursors and counters of the chain room. */
  chain: "chain",
} as const;
