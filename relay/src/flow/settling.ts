import type { Hex } from "viem";
import { type BilledLeaf, buildBatch } from "../core/batch.ts";
import { type DueParameters, dueReason } from "../core/due.ts";
import type { Settling } from "./ports.ts";

/** chain/: the settlement contract as a poster sees it. Everything at the block nodes act on. */
export interface SettlementChain {
  /** Number of the relay's next batch. */
  nextBatchNo(): Promise<bigint>;
  enlist(providerIds: readonly number[]): Promise<void>;
  /** Metered pUSD that the bond still allows. */
  room(): Promise<bigint>;
  /** Sends these bytes and waits until they are mined. Throws when the chain refuses. */
  post(batch: PreparedBatch): Promise<void>;
  /** What the chain says of a batch; undefined when it has none of this number. */
  posted(batchNo: bigint): Promise<PostedBatch | undefined>;
}
export type PreparedBatch = { readonly header: ReturnType<typeof buildBatch>["header"]; readonly rows: Hex };
export type PostedBatch = {
  readonly transaction: Hex;
  readonly postedAt: number;
  readonly skipped: readonly number[];
  readonly receiptsRoot: Hex;
};

/** store/: what settling reads and writes. */
export interface SettlingStore {
  unposted(): readonly { readonly leaf: BilledLeaf; readonly billedAt: number; readonly issuedAt: number }[];
  credits(): Map<number, bigint>;
  /** The batch that was written down and is not known to be posted. */
  openBatch(): (PreparedBatch & { readonly batchNo: bigint }) | undefined;
  /** Writes a batch down, durably, before it is sent. */
  saveBuilt(batch: ReturnType<typeof buildBatch>, credits: ReadonlyMap<number, bigint>): Promise<void>;
  /** Marks a batch posted and everything in it; what was skipped becomes unbilled. Durable when it resolves. */
  savePosted(batchNo: bigint, posted: PostedBatch): Promise<void>;
  /** Ends what can no longer be posted, as the relay's loss. */
  giveUp(ids: readonly string[], note: string): void;
}

export type SettlingParameters = {
  readonly chain: SettlementChain;
  readonly store: SettlingStore;
  readonly refreshChannel: (userId: number) => Promise<unknown>;
  /** Channels and thresholds for the policy. */
  readonly due: () => DueParameters;
  /** T_POST in seconds. */
  readonly postWindow: number;
  readonly protocolNow: () => number;
  readonly now: () => number;
  readonly intervalMs: number;
  readonly log: {
    info(fields: object, message: string): void;
    warn(fields: object, message: string): void;
    error(fields: object, message: string): void;
  };
};

/** Rows in a batch: at most this many users and as many providers keep a post under 2^24 gas. */
const MAX_ROWS = 1_000;
/** Receipts of one batch; bounds memory and the size of a bill. */
const MAX_LEAVES = 100_000;
/** A receipt must be posted within T_POST; this margin covers the block it waits for. Seconds. */
const POST_MARGIN_SECONDS = 5;

/** Posts batches, one at a time, each written down before it is sent and sent again as it was after a crash. */
export function startSettling(parameters: SettlingParameters): Settling {
  const { store, log } = parameters;
  let running: Promise<void> | undefined;
  let closed = false;

  const settleAll = async () => {
    for (;;) {
      const open = store.openBatch();
      if (open) {
        await finish(parameters, open);
        continue;
      }
      if (!(await buildNext(parameters))) return;
    }
  };
  const settle = (): Promise<void> => {
    running ??= settleAll().finally(() => {
      running = undefined;
    });
    return running;
  };
  const tick = () => {
    if (closed || running) return;
    const reason = store.openBatch() ? "a batch is open" : dueReason(parameters.due());
    if (!reason) return;
    settle().catch((error: unknown) =>
      log.error({ err: error, reason }, "Posting failed; it is tried again."),
    );
  };
  const timer = setInterval(tick, parameters.intervalMs);
  return {
    settleNow: async () => {
      // What a run under way took may be less than what is billed by now.
      if (running) await running;
      await settle();
    },
    unsettled: () => {
      const all = store.unposted();
      const oldest = all.reduce<number | undefined>(
        (least, { billedAt }) => (least === undefined || billedAt < least ? billedAt : least),
        undefined,
      );
      return {
        amount: all.reduce((sum, { leaf }) => sum + leaf.charge, 0n),
        receipts: all.length,
        oldestMs: oldest === undefined ? undefined : parameters.now() - oldest,
      };
    },
    close: async () => {
      closed = true;
      clearInterval(timer);
      if (running) await running.catch(() => {});
    },
  };
}

/** Writes the next batch down. False when there is nothing to post, or the bond has no room. */
async function buildNext(parameters: SettlingParameters): Promise<boolean> {
  const { chain, store, protocolNow, postWindow, log } = parameters;
  const tooOld = protocolNow() - postWindow + POST_MARGIN_SECONDS;
  const late = store.unposted().filter(({ issuedAt }) => issuedAt < tooOld);
  if (late.length > 0) {
    log.error({ receipts: late.length }, "Receipts grew too old to be posted; they are this relay's loss.");
    store.giveUp(
      late.map(({ leaf }) => leaf.id),
      "It was not posted in time.",
    );
  }
  // Asked before the receipts are looked at: more may be billed while the chain answers.
  const room = await chain.room();
  const unposted = store.unposted().map(({ leaf }) => leaf);
  const leaves = takeLeaves(unposted, room);
  const credits = new Map([...store.credits()].slice(0, MAX_ROWS));
  if (leaves.length === 0) {
    if (unposted.length > 0)
      log.warn({}, "The bond has no room for another batch; it waits until older ones are final.");
    return false;
  }
  await chain.enlist([...credits.keys()]);
  const batch = buildBatch(await chain.nextBatchNo(), leaves, credits);
  await store.saveBuilt(batch, credits);
  return true;
}

/** Receipts for one batch, whole channels in order, within the bond's room and the limits of a post. */
export function takeLeaves(leaves: readonly BilledLeaf[], room: bigint): BilledLeaf[] {
  const taken: BilledLeaf[] = [];
  const users = new Set<number>();
  const stopped = new Set<number>();
  let sum = 0n;
  for (const leaf of leaves) {
    const isNew = !users.has(leaf.userId);
    const fits = sum + leaf.charge <= room && taken.length < MAX_LEAVES && (!isNew || users.size < MAX_ROWS);
    // A channel's receipts follow each other: after one is left, the rest of it is too.
    if (!fits || stopped.has(leaf.userId)) {
      stopped.add(leaf.userId);
      continue;
    }
    users.add(leaf.userId);
    sum += leaf.charge;
    taken.push(leaf);
  }
  return taken;
}

/** Brings a batch that was written down to its end, from whatever step it stopped at. */
async function finish(
  parameters: SettlingParameters,
  open: PreparedBatch & { readonly batchNo: bigint },
): Promise<void> {
  const { chain, store, refreshChannel, log } = parameters;
  const { batchNo } = open;
  if ((await chain.nextBatchNo()) === batchNo) await chain.post(open);
  const posted = await chain.posted(batchNo);
  if (!posted) throw new Error(`Batch ${batchNo} was sent, but is not on the chain yet.`);
  if (posted.receiptsRoot !== open.header.receiptsRoot)
    throw new Error(
      `Batch ${batchNo} on the chain is not the one this relay wrote down: is another node using its key?`,
    );
  const users = new Set(store.unposted().map(({ leaf }) => leaf.userId));
  await Promise.all([...users].map((userId) => refreshChannel(userId)));
  await store.savePosted(batchNo, posted);
  log.info(
    {
      batchNo: `${batchNo}`,
      users: open.header.nA,
      providers: open.header.nC,
      skipped: posted.skipped.length,
    },
    "A batch was posted.",
  );
}
