import { type Asked, mostUnits } from "@aimo/protocol/unit-bounds";
import { costOf, MAX_U64, type Prices, type Units } from "@aimo/protocol/units";
import { kindsOf } from "./prices.ts";
import type { Model } from "./types.ts";

/** What a request asks for, as far as its cost goes. */
export type Ask = Asked & {
  /** Completion tokens per choice at most. */
  readonly maxTokens: number;
};

/** The most units that a request can be billed for. */
export function worstUnits({ route, contextTokens }: Model, ask: Ask): Units {
  const { maxTokens } = ask;
  // Without a bound nothing may be stated; each of a provider's own routes has one.
  return mostUnits(ask, { contextTokens, maxTokens, kinds: kindsOf(route) }) ?? [0, 0, 0];
}

/** The most a request can cost, pUSD. */
export function worstCaseCost(model: Model, prices: Prices, ask: Ask): bigint {
  try {
    return costOf(worstUnits(model, ask), prices);
  } catch {
    return MAX_U64;
  }
}
