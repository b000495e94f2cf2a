import { AimoError, isAimoError } from "@aimo/protocol/errors";
import type { OpenBatch, PostedBatch } from "../core/batch.ts";
import { type DueParameters, dueReason } from "../core/due.ts";
import { buildNext, lostOf, type NextBatchParameters, recredit } from "./next-batch.ts";

/** Posts batches. */
export interface Settling {
  /** Posts everything billed so far, now; resolves when it is confirmed. */
  settleNow(): Promise<void>;
  unsettled(): { readonly amount: bigint; readonly receipts: number; readonly oldestMs: number | undefined };
  /** Posts what is billed for `waitMs` at most, then stops: a batch under way is left to the next start. */
  close(waitMs?: number): Promise<void>;
}

export type SettlingParameters = NextBatchParameters & {
  readonly refreshChannel: (userId: number) => Promise<unknown>;
  /** Channels and thresholds for the policy. */
  readonly due: () => DueParameters;
  /** E in seconds: how long batches are not final bounds how often one may be posted. */
  readonly epoch: number;
  /** Wall-clock second at which a pause of the protocol ends, during which the chain takes no batch. */
  readonly pausedUntil: () => number | undefined;
  readonly now: () => number;
  readonly intervalMs: number;
  readonly log: { info(fields: object, message: string): void };
};

/** The chain takes 512 batches of a relay per T_POST + 2E + 60 s, at T_POST = 2E some 256; a few stay free for those that
 * an operator asks for. */
const BATCHES_PER_TWO_EPOCHS = 240;
/** What failed, or found no room in the bond, is tried again after a pause that doubles up to this. */
const MAX_PAUSE_MS = 60_000;
/** Channels that are read at once after a post. */
const READS_AT_ONCE = 16;

/** Posts batches, one at a time, each written down before it is sent and sent again as it was after a crash. */
export function startSettling(parameters: SettlingParameters): Settling {
  const { store, log, intervalMs, now } = parameters;
  const stopping = new AbortController();
  let running: Promise<void> | undefined;
  let notBefore = 0;
  let pauseMs = intervalMs;

  const settleAll = async () => {
    const begunAt = now();
    // What is billed meanwhile has its own turn: under steady load there would be no end of small batches.
    const isNewer = () => (store.totals().oldestBilledAt ?? begunAt) > begunAt;
    for (;;) {
      if (stopping.signal.aborted) throw new AimoError("shutting_down");
      refusePaused(parameters);
      const open = store.openBatch();
      if (open) await finish(parameters, open, stopping.signal);
      else if (isNewer() || !(await buildNext(parameters))) return;
    }
  };
  const settle = (): Promise<void> => {
    running ??= settleAll().finally(() => {
      running = undefined;
    });
    return running;
  };
  const isDue = () => (store.openBatch() ? "a batch is open" : dueReason(parameters.due()));
  const backOff = () => {
    notBefore = now() + pauseMs;
    pauseMs = Math.min(2 * pauseMs, MAX_PAUSE_MS);
  };
  const tick = () => {
    if (stopping.signal.aborted || running || now() < notBefore) return;
    if (parameters.pausedUntil() !== undefined) return;
    const reason = isDue();
    if (!reason) return;
    settle()
      .then(() => {
        if (isDue()) return backOff();
        pauseMs = intervalMs;
        notBefore = now() + (2_000 * parameters.epoch) / BATCHES_PER_TWO_EPOCHS;
      })
      .catch((error: unknown) => {
        backOff();
        if (!stopping.signal.aborted) log.error({ err: error, reason }, "Posting failed; it is tried again.");
      });
  };
  const timer = setInterval(tick, intervalMs);
  const settleNow = async () => {
    // What a run under way took may be less than what is billed by now; and what stopped it may be over.
    if (running) await running.catch(() => {});
    await settle();
  };
  return {
    settleNow,
    unsettled: () => unsettledOf(parameters),
    close: async (waitMs = 0) => {
      clearInterval(timer);
      if (waitMs > 0) await lastWords(parameters, settleNow, waitMs);
      stopping.abort();
      if (running) parameters.chain.abandon();
      while (running) await running.catch(() => {});
    },
  };
}

/** Posts what is billed, for so long at most: a chain may take for ever, and the next start goes on where this ends. */
async function lastWords(
  { log }: SettlingParameters,
  settleNow: () => Promise<void>,
  waitMs: number,
): Promise<void> {
  const { promise: late, resolve } = Promise.withResolvers<"late">();
  const timer = setTimeout(() => resolve("late"), waitMs);
  const done = settleNow().catch((error: unknown) => {
    log.error({ err: error }, "The last batch was not posted; the next start posts it.");
  });
  if ((await Promise.race([done, late])) === "late")
    log.warn({ waitMs }, "The last batch is under way; the next start sees it through.");
  clearTimeout(timer);
}

/** Nothing is lost by waiting: protocol time stands still, so no receipt gets older. Throws `chain_unavailable`. */
function refusePaused({ pausedUntil }: SettlingParameters): void {
  const until = pausedUntil();
  if (until === undefined) return;
  throw new AimoError("chain_unavailable", {
    message: `The protocol is paused until ${new Date(until * 1_000).toISOString()} at the latest; nothing is posted until then.`,
    details: { paused_until: until },
  });
}

function unsettledOf({ store, now }: SettlingParameters) {
  const { receipts, charged, oldestBilledAt } = store.totals();
  const oldestMs = oldestBilledAt === undefined ? undefined : now() - oldestBilledAt;
  return { amount: charged, receipts, oldestMs };
}

/** What the relay's own money lacks for a batch that the chain refused; undefined for any other failure. pUSD. */
function missingOf(error: unknown): bigint | undefined {
  if (!isAimoError(error) || error.details?.["error"] !== "Shortfall") return undefined;
  const missing = error.details["missing"];
  return typeof missing === "bigint" ? missing : undefined;
}

/** Brings a batch that was written down to its end, from whatever step it stopped at. */
async function finish(parameters: SettlingParameters, open: OpenBatch, signal: AbortSignal): Promise<void> {
  const { store, refreshChannel, log } = parameters;
  const { batchNo } = open;
  const posted = await postOnce(parameters, open, signal);
  if (!posted) {
    log.warn(
      { batchNo: `${batchNo}` },
      "A batch was not posted in time; it is made anew of what still can be.",
    );
    await store.dropBuilt();
    return;
  }
  if (posted.receiptsRoot !== open.header.receiptsRoot)
    throw new Error(
      `Batch ${batchNo} on the chain is not the one this relay wrote down: is another node using its key?`,
    );
  // What a skipped channel was charged goes back to what the chain has.
  for (const userId of posted.skipped) await refreshChannel(userId);
  await store.savePosted(batchNo, posted);
  log.info(
    {
      batchNo: `${batchNo}`,
      users: open.header.nA + open.header.nB,
      providers: open.header.nC,
      skipped: posted.skipped.length,
    },
    "A batch was posted.",
  );
  await refreshAll(parameters, [...open.users]);
}

/** Sends the batch unless the chain has it, and waits until nodes may act on it. Undefined: it has become worthless. */
async function postOnce(
  parameters: SettlingParameters,
  built: OpenBatch,
  signal: AbortSignal,
): Promise<PostedBatch | undefined> {
  const { chain, intervalMs } = parameters;
  let open = built;
  for (;;) {
    const posted = await chain.posted(open.batchNo, open.since);
    if (posted) return posted;
    if ((await chain.nextBatchNo()) === open.batchNo) {
      const isWorthless = lostOf(parameters).some(({ ids }) => ids.some((id) => open.ids.has(id)));
      if (isWorthless) {
        // Never sent again: a receipt that is too old costs the bond. One sent before must not be mined either.
        if (!(await chain.isPending())) return undefined;
        await chain.cancel();
        continue;
      }
      // Also when one was sent before: a re-org may have dropped it, and these are the same bytes.
      open = await postOrCut(parameters, open);
    } else await pause(intervalMs, signal);
  }
}

/** Posts the batch, or gives it with less credit where the relay's money does not reach: one debt must not stop all. */
async function postOrCut(parameters: SettlingParameters, open: OpenBatch): Promise<OpenBatch> {
  try {
    await parameters.chain.post(open);
    return open;
  } catch (error) {
    const missing = missingOf(error);
    const cut = missing === undefined ? undefined : await recredit(parameters, open, missing);
    if (!cut) throw error;
    return cut;
  }
}

/** Resolves after a while. Throws when the node stops. */
function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer);
      reject(new AimoError("shutting_down"));
    };
    const timer = setTimeout(() => {
      signal.removeEventListener("abort", stop);
      resolve();
    }, ms);
    if (signal.aborted) stop();
    signal.addEventListener("abort", stop, { once: true });
  });
}

/** What the channels have left. Late numbers harm nobody, so a failure is only told. */
async function refreshAll(
  { refreshChannel, log }: SettlingParameters,
  users: readonly number[],
): Promise<void> {
  for (let first = 0; first < users.length; first += READS_AT_ONCE)
    await Promise.all(
      users
        .slice(first, first + READS_AT_ONCE)
        .map((userId) =>
          refreshChannel(userId).catch((error: unknown) =>
            log.warn({ err: error, userId }, "A channel was not read after its post."),
          ),
        ),
    );
}
