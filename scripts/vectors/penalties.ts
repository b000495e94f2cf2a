import { penaltyOf, splitPenalty } from "@aimo/protocol/penalties";
import { MAX_U64, MAX_U96, PUSD_PER_USD } from "@aimo/protocol/units";
import { type Case, decimals } from "./case.ts";

const USD = PUSD_PER_USD;

const INPUTS: readonly {
  readonly name: string;
  readonly loss: bigint;
  readonly bond: bigint;
  readonly noVictim?: true;
}[] = [
  { name: "no bond", loss: USD, bond: 0n },
  { name: "no loss: 1 % of the bond", loss: 0n, bond: 1_000n * USD },
  { name: "no loss and a bond that does not divide", loss: 0n, bond: 199n },
  { name: "a bond too small for 1 %", loss: 0n, bond: 99n },
  { name: "a small loss: 1 % is more than ten times it", loss: USD, bond: 5_000n * USD },
  { name: "where ten times and 1 % are the same", loss: USD, bond: 1_000n * USD },
  { name: "just below", loss: USD - 1n, bond: 1_000n * USD },
  { name: "just above", loss: USD + 1n, bond: 1_000n * USD },
  { name: "a large loss: ten times it", loss: 20n * USD, bond: 1_000n * USD },
  { name: "all there is, to the last pUSD", loss: 10n * USD, bond: 110n * USD },
  { name: "more than there is by one", loss: 10n * USD + 1n, bond: 110n * USD },
  { name: "a loss above the bond: all to the victim", loss: 50n * USD, bond: 30n * USD },
  { name: "a loss that is the bond", loss: 30n * USD, bond: 30n * USD },
  { name: "a loss just below the bond", loss: 30n * USD - 1n, bond: 30n * USD },
  { name: "a challenger at its most", loss: 500n * USD, bond: 100_000n * USD },
  { name: "a challenger one pUSD below its most", loss: 500n * USD - 1n, bond: 100_000n * USD },
  { name: "a challenger beyond its most", loss: 100_000n * USD, bond: 10_000_000n * USD },
  { name: "nobody lost anything", loss: USD, bond: 100n * USD, noVictim: true },
  { name: "highest loss of a row", loss: MAX_U64, bond: MAX_U96 },
  { name: "highest values", loss: MAX_U96, bond: MAX_U96 },
  { name: "highest loss and a small bond", loss: MAX_U96, bond: 1n },
];

/** What a proven loss costs and who gets it. `victimLoss` is 0 where nobody lost anything. */
export function penaltyCases(): Case[] {
  return INPUTS.map(({ name, loss, bond, noVictim }) => {
    const taken = penaltyOf(loss, bond);
    const victimLoss = noVictim ? 0n : loss;
    const split = splitPenalty(taken, victimLoss);
    return { name, ...decimals({ loss, bond, victimLoss, taken, ...split }) };
  });
}
