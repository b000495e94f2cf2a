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
  /** Pages (pages.ts) of requests that were held for, by generation id. */
  open: "open",
  /** Pages of generations that wait for their provider's signature. */
  served: "served",
  /** Pages of what billing says of generations that are in no batch yet. */
  unposted: "unposted",
  /** The same with the batch that each was posted in, by generation id. Apart, so that a generation is written once. */
  posted: "posted",
  /** Providers' signed groups of receipts, by root. */
  groups: "groups",
  /** Batches by number. */
  batches: "batches",
  /** A user's receipts in a batch, by user id and batch number. */
  bills: "bills",
  /** Replies kept for repeated Idempotency-Keys. */
  replies: "replies",
  /** The highest voucher of each SIGNED channel, by user id (vouchers.ts). */
  vouchers: "vouchers",
  /** Files of accounts, by id (files.ts), and the pieces of their contents. */
  files: "files",
  pieces: "pieces",
  /** Batches of requests (jobs.ts), by id, and their lines that have ended, by batch and number. */
  jobs: "jobs",
  jobLines: "joblines",
  /** Presets of accounts, by user id and slug (presets.ts). */
  presets: "presets",
  /** By generation id: counts of providers that this relay's own does not bear out (ledger.ts). */
  flags: "flags",
  /** Cursors and counters of the chain room. */
  chain: "chain",
} as const;
