import { billedUserOf, shownOf } from "@aimo/protocol/bill";
import { answerArguments, type Demand, demandId } from "@aimo/protocol/proofs";
import type { Hex } from "viem";
import type { Bills, DemandChain } from "./ports.ts";

export interface Answering {
  /** Takes in a demand, once. `block`: of its event. */
  add(demand: Demand, block: bigint): void;
  /** Answers what is open; a look under way is shared. Failures are logged. */
  look(): Promise<void>;
  /** Block of the oldest demand that may still have to be answered. */
  oldestBlock(): bigint | undefined;
  /** Looks no more; resolves when a look under way has ended. */
  stop(): Promise<void>;
}

export type AnsweringParameters = {
  readonly bills: Pick<Bills, "settlement">;
  readonly chain: DemandChain;
  /** EIP-712 separator of Settlement. */
  readonly separator: Uint8Array;
  /** Protocol seconds. */
  readonly protocolNow: () => number;
  /** Milliseconds. */
  readonly now: () => number;
  readonly log: {
    info(fields: object, message: string): void;
    error(fields: object, message: string): void;
  };
};

/** What failed is tried again after this, then after twice as long each time: a local network has five seconds in all. */
const FIRST_RETRY_MS = 500;
const MAX_RETRY_MS = 60_000;
/** How long after the deadline an answer is still tried: only the chain's own clock says that it is over. */
const CLOCK_TOLERANCE_SECONDS = 60;

type Open = { readonly demand: Demand; readonly block: bigint; waitMs: number; notBefore: number };

/**
 * Answers demands to show a receipt, one after the other. Silence costs the row and ten times as much of the bond, so a
 * demand is kept until the block that nodes act on has it closed, or its time is over.
 */
export function createAnswering(parameters: AnsweringParameters): Answering {
  const { chain, protocolNow, now, log } = parameters;
  const open = new Map<Hex, Open>();
  /** Blocks are looked at more than once; a demand is made once. */
  const seen = new Set<Hex>();
  let looking: Promise<void> | undefined;
  let isStopped = false;

  const lookAt = async (id: Hex, entry: Open) => {
    const { demand } = entry;
    const about = { batchNo: `${demand.batchNo}`, row: demand.row, leaf: demand.leafIndex };
    entry.notBefore = now() + entry.waitMs;
    entry.waitMs = Math.min(2 * entry.waitMs, MAX_RETRY_MS);
    try {
      const state = await chain.stateOf(id);
      if (state === "closed") open.delete(id);
      // A re-org may drop the answer until then.
      if (state !== "open") return;
      if (protocolNow() > demand.deadline + CLOCK_TOLERANCE_SECONDS) {
        open.delete(id);
        log.error({ ...about, deadline: demand.deadline }, "A demand was not answered in time.");
        return;
      }
      await answer(parameters, demand);
      log.info(about, "A demand was answered; its bond is the owner's.");
    } catch (error) {
      if (!isStopped) log.error({ ...about, err: error }, "A demand was not answered; it is tried again.");
    }
  };
  const lookAtAll = async () => {
    // The one that ends first goes first.
    for (const [id, entry] of [...open].sort(([, a], [, b]) => a.demand.deadline - b.demand.deadline))
      if (!isStopped && entry.notBefore <= now()) await lookAt(id, entry);
  };
  return {
    add(demand, block) {
      const id = demandId(demand);
      if (seen.has(id)) return;
      seen.add(id);
      open.set(id, { demand, block, waitMs: FIRST_RETRY_MS, notBefore: 0 });
    },
    look() {
      looking ??= lookAtAll().finally(() => {
        looking = undefined;
      });
      return looking;
    },
    oldestBlock: () =>
      [...open.values()].reduce<bigint | undefined>(
        (least, { block }) => (least === undefined || block < least ? block : least),
        undefined,
      ),
    async stop() {
      isStopped = true;
      await looking;
    },
  };
}

async function answer({ bills, chain, separator }: AnsweringParameters, demand: Demand): Promise<void> {
  const bill = await bills.settlement(demand.userId, demand.batchNo);
  if (bill?.batch.rowIndex !== demand.row)
    throw new RangeError(`The books have no row ${demand.row} in batch ${demand.batchNo}.`);
  const shown = shownOf(bill, demand.leafIndex);
  await chain.answer(answerArguments(demand, billedUserOf(bill, separator), shown));
}
