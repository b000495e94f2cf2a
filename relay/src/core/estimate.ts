import { mostUnits } from "@aimo/protocol/unit-bounds";
import { chargeBound, costOf, MAX_U32, type Price, type Units } from "@aimo/protocol/units";
import type { Ask } from "./ask.ts";
import type { Offer } from "./types.ts";

/** What a request can cost at most. Nothing is tokenized before dispatch. */

/** An answer shorter than this is no answer: below it a request is refused rather than clamped. */
export const MIN_OUTPUT_TOKENS = 16;
const BPS = 10_000n;

/** Units at most for one offer, or undefined when its price counts something that the relay cannot bound. */
export function worstUnits(ask: Ask, { model, price }: Offer, maxTokens: number): Units | undefined {
  return mostUnits(ask, { contextTokens: model.contextTokens, maxTokens, kinds: price.kinds });
}

/**
 * What a provider can ask for a request at most, pUSD; 0 where the price counts what cannot be bounded. `maxTokens`: the
 * limit that is sent along, what the client and the model allow when undefined.
 */
export function worstCost(ask: Ask, offer: Offer, maxTokens: number | undefined): bigint {
  const units = worstUnits(ask, offer, maxTokens ?? (ask.route === "chat" ? wantedTokens(ask, offer) : 0));
  return units ? costAt(units, offer.price) : 0n;
}

/** The dearer of the two prompt prices counts, should a cached token ever cost more. */
function costAt(units: Units, { prices }: Price): bigint {
  const prompt = prices[1] > prices[0] ? prices[1] : prices[0];
  return costOf(units, [prompt, 0n, prices[2]]);
}

/** A token is about four bytes of English and of JSON. */
const BYTES_PER_TOKEN = 4;

/**
 * Tokens that a request may use, for limits per minute: what it does use puts them right. At least 1. The bytes of a
 * picture say little, but no prompt of a chat is longer than the longest context among the offers.
 */
export function expectedTokens(
  { route, bodyBytes, count }: Ask,
  { maxTokens, offers }: { readonly maxTokens: number | undefined; readonly offers: readonly Offer[] },
): number {
  const byBytes = Math.ceil(bodyBytes / BYTES_PER_TOKEN);
  const context = Math.max(...offers.map(({ model }) => model.contextTokens));
  const prompt = route === "chat" ? Math.min(byBytes, context) : byBytes;
  return Math.max(1, prompt + count * (maxTokens ?? 0));
}

export type Plan = {
  /** pUSD to hold: covers any of the offers, with the relay's fee. */
  readonly hold: bigint;
  /** Completion tokens per choice, for each offer as far as it gives them; undefined where the route has none. */
  readonly maxTokens: number | undefined;
  /** The client asked for more, or gave no limit and the balance allowed less than the model. */
  readonly clamped: boolean;
};

export type PlanParameters = {
  readonly ask: Ask;
  /** Those that may be tried. Not empty. */
  readonly offers: readonly Offer[];
  /** pUSD that the channel and the key still cover. */
  readonly free: bigint;
  readonly feeBps: number;
};

/**
 * Decides how much to hold. The output is clamped to what `free` covers, and the client's own limit; where even a short
 * answer is not covered the plan holds more than is free, and the ledger refuses it with the numbers. What is above the
 * client's limit was left out before: see `offersWithin`.
 */
export function planHold({ ask, offers, free: covered, feeBps }: PlanParameters): Plan {
  const free = ask.maxCost !== undefined && ask.maxCost < covered ? ask.maxCost : covered;
  if (ask.route !== "chat")
    return { hold: holdAt(ask, offers, 0, feeBps), maxTokens: undefined, clamped: false };
  // Each is sent what it can give at most: a fallback that gives less does not cut the others short.
  const wanted = Math.max(...offers.map((offer) => wantedTokens(ask, offer)));
  const hold = holdAt(ask, offers, wanted, feeBps);
  if (hold <= free) return { hold, maxTokens: wanted, clamped: (ask.maxTokens ?? wanted) > wanted };
  const least = Math.min(wanted, MIN_OUTPUT_TOKENS);
  const most = Math.min(...offers.map((offer) => coveredTokens(ask, offer, { free, feeBps })));
  const maxTokens = Math.max(Math.min(most, wanted), least);
  return { hold: holdAt(ask, offers, maxTokens, feeBps), maxTokens, clamped: true };
}

/** What is held at one offer for the shortest answer that is one, pUSD. */
export function leastHold(ask: Ask, offer: Offer, feeBps: number): bigint {
  const least = ask.route === "chat" ? Math.min(wantedTokens(ask, offer), MIN_OUTPUT_TOKENS) : 0;
  return holdAt(ask, [offer], least, feeBps);
}

/** What an offer is sent as its limit, of what is held for. */
export function tokensFor({ model }: Offer, maxTokens: number): number {
  return Math.min(maxTokens, model.maxOutputTokens);
}

function wantedTokens(ask: Ask, { model }: Offer): number {
  return Math.max(
    1,
    Math.min(ask.maxTokens ?? model.maxOutputTokens, model.maxOutputTokens, model.contextTokens),
  );
}

function holdAt(ask: Ask, offers: readonly Offer[], maxTokens: number, feeBps: number): bigint {
  let hold = 0n;
  for (const offer of offers) {
    const units = worstUnits(ask, offer, tokensFor(offer, maxTokens));
    if (!units) continue;
    const bound = chargeBound(costAt(units, offer.price), feeBps);
    if (bound > hold) hold = bound;
  }
  return hold;
}

/** Completion tokens per choice that `free` covers at this offer. Rounds down. */
function coveredTokens(ask: Ask, offer: Offer, { free, feeBps }: { free: bigint; feeBps: number }): number {
  const units = worstUnits(ask, offer, 0);
  if (!units) return 0;
  const cost = (free * BPS) / (BPS + BigInt(feeBps)) - costAt(units, offer.price);
  if (cost <= 0n) return 0;
  const perToken = offer.price.prices[2] * BigInt(ask.count);
  if (perToken === 0n || offer.price.kinds[2] !== "token") return MAX_U32;
  const tokens = cost / perToken;
  // All that it can give is covered: it bounds nobody else.
  if (tokens >= BigInt(offer.model.maxOutputTokens)) return MAX_U32;
  return tokens > BigInt(MAX_U32) ? MAX_U32 : Number(tokens);
}
