import { PUSD_PER_USD } from "./units.ts";

/** A proven loss costs its offender this many times the loss on top of it. Source: protocol section 10. */
const TIMES_LOSS = 10n;
/** Or one part of this many of its bond, if that is more. */
const PART_OF_BOND = 100n;
/** The challenger gets one part of this many of what the victim leaves. */
const CHALLENGER_PART = 5n;
const MOST_FOR_CHALLENGER = 1_000n * PUSD_PER_USD;
/** A demand locks one part of this many of the row's delta. */
const DEMAND_PART = 20n;
const LEAST_DEMAND_BOND = 2n * PUSD_PER_USD;

/** loss + max(10 x loss, 1 % of the bond), at most the bond (active and unbonding). pUSD. */
export function penaltyOf(loss: bigint, bond: bigint): bigint {
  const fine = TIMES_LOSS * loss;
  const least = bond / PART_OF_BOND;
  const wanted = loss + (fine > least ? fine : least);
  return wanted < bond ? wanted : bond;
}

/** Who gets what was slashed, pUSD. */
export type PenaltySplit = {
  readonly toVictim: bigint;
  readonly toChallenger: bigint;
  /** Burned: it stays in the stake manager for good. */
  readonly toNobody: bigint;
};

/** The victim first; of the rest a fifth to the challenger, at most 1,000 USD; what remains to nobody. */
export function splitPenalty(taken: bigint, loss: bigint): PenaltySplit {
  const toVictim = loss < taken ? loss : taken;
  const rest = taken - toVictim;
  const fifth = rest / CHALLENGER_PART;
  const toChallenger = fifth < MOST_FOR_CHALLENGER ? fifth : MOST_FOR_CHALLENGER;
  return { toVictim, toChallenger, toNobody: rest - toChallenger };
}

/** What a demand locks of the challenger's credits: 5 % of the row's delta, at least 2 USD. pUSD. */
export function demandBond(delta: bigint): bigint {
  const part = delta / DEMAND_PART;
  return part < LEAST_DEMAND_BOND ? LEAST_DEMAND_BOND : part;
}
