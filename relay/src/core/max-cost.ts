import { AimoError } from "@aimo/protocol/errors";
import { formatUsd } from "@aimo/protocol/units";
import type { Ask } from "./ask.ts";
import { leastHold } from "./estimate.ts";
import type { Offer } from "./types.ts";

/** What a client's own limit for one request leaves of the offers. */

/**
 * Those at which an answer is possible within `aimo.max_cost`; all where there is no limit. Throws `invalid_request` with
 * the numbers when there is none. How long the answer may be then is for `planHold`.
 */
export function offersWithin(ask: Ask, offers: readonly Offer[], feeBps: number): readonly Offer[] {
  const { maxCost } = ask;
  if (maxCost === undefined) return offers;
  const within = offersBelow(ask, offers, feeBps);
  if (within.length > 0) return within;
  const needed = offers
    .map((offer) => leastHold(ask, offer, feeBps))
    .reduce((least, hold) => (hold < least ? hold : least));
  throw new AimoError("invalid_request", {
    message:
      `This request may cost ${formatUsd(needed)} USD at the least, with the relay's fee; ` +
      `aimo.max_cost is ${formatUsd(maxCost)} USD.`,
    hint: "Raise aimo.max_cost, shorten the prompt, or name a cheaper model.",
    param: "aimo.max_cost",
    details: { needed_pusd: needed, max_cost_pusd: maxCost },
  });
}

/**
 * The same before the fee is known, so that dear offers take nobody's place among those to try. Where all are too dear
 * they stay: whoever knows the fee refuses them.
 */
export function preferWithin(ask: Ask, offers: readonly Offer[]): readonly Offer[] {
  if (ask.maxCost === undefined) return offers;
  const within = offersBelow(ask, offers, 0);
  return within.length > 0 ? within : offers;
}

function offersBelow(ask: Ask, offers: readonly Offer[], feeBps: number): readonly Offer[] {
  const { maxCost = 0n } = ask;
  return offers.filter((offer) => leastHold(ask, offer, feeBps) <= maxCost);
}
