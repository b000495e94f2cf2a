import type { Ask, Preferences } from "./ask.ts";
import { worstUnits } from "./estimate.ts";
import type { Offer } from "./types.ts";

/** Which offers to try, in which order. Pure: chance and time are given. */

export type Ranking = {
  readonly ask: Ask;
  readonly offers: readonly Offer[];
  /** Wall-clock milliseconds. */
  readonly now: number;
  /** From 0 up to 1, a new one at each call. */
  readonly random: () => number;
  readonly isEjected: (providerId: number) => boolean;
  /** At most this many are returned. */
  readonly limit: number;
};

/** A typical answer, for comparing prices: what a request really asks for is not known before it ends. */
const TYPICAL_OUTPUT_TOKENS = 512;
/** A token is about four bytes of English and of JSON. */
const BYTES_PER_TOKEN = 4;

/**
 * Live offers in the order in which to try them: drawn without replacement, weighted by 1 / price squared, those with
 * a free slot first. Ejected providers come last, so that they serve when nobody else does.
 */
export function rankOffers({ ask, offers, now, random, isEjected, limit }: Ranking): Offer[] {
  const eligible = offers.filter((offer) => offer.expiresAt > now && isWanted(ask, offer));
  if (eligible.length <= 1) return eligible;
  const groups: Offer[][] = [[], [], []];
  for (const offer of eligible) {
    const rank = isEjected(offer.providerId) ? 2 : offer.model.freeSlots > 0 ? 0 : 1;
    groups[rank]?.push(offer);
  }
  const ranked = groups.flatMap((group) => orderGroup(ask, group, random));
  const { order, allowFallbacks } = ask.preferences;
  const preferred = order.length > 0 ? preferOrder(ranked, order) : ranked;
  return preferred.slice(0, allowFallbacks ? limit : 1);
}

function isWanted(ask: Ask, offer: Offer): boolean {
  const { only, ignore } = ask.preferences;
  if (offer.model.route !== ask.route || !worstUnits(ask, offer, 1)) return false;
  if (only && !only.some((name) => isNamed(offer, name))) return false;
  return !ignore.some((name) => isNamed(offer, name));
}

const isNamed = (offer: Offer, name: string) =>
  name === String(offer.providerId) || name === offer.signer.toLowerCase();

function preferOrder(ranked: readonly Offer[], order: Preferences["order"]): Offer[] {
  const place = (offer: Offer) => {
    const found = order.findIndex((name) => isNamed(offer, name));
    return found === -1 ? order.length : found;
  };
  return [...ranked].sort((a, b) => place(a) - place(b));
}

function orderGroup(ask: Ask, group: readonly Offer[], random: () => number): Offer[] {
  const { sort } = ask.preferences;
  const priced = group.map((offer) => ({ offer, price: typicalPrice(ask, offer) }));
  if (sort === "price") return priced.sort((a, b) => a.price - b.price).map(({ offer }) => offer);
  if (sort === "latency")
    return [...group].sort((a, b) => knownLatency(a.model.latencyMs) - knownLatency(b.model.latencyMs));
  return drawAll(priced, random);
}

/** An offer that has not measured itself yet comes after those that have. */
const knownLatency = (latencyMs: number) => (latencyMs > 0 ? latencyMs : Number.MAX_SAFE_INTEGER);

/** pUSD of a typical answer, as a number: for comparing only. At least 1, so that a free offer has a finite weight. */
export function typicalPrice(ask: Ask, { price }: Offer): number {
  const expected = [ask.bodyBytes / BYTES_PER_TOKEN, 0, TYPICAL_OUTPUT_TOKENS];
  const units = price.kinds.map((kind, slot) => (kind === "token" ? (expected[slot] ?? 0) : ask.count));
  return Math.max(
    1,
    price.prices.reduce((sum, each, slot) => sum + Number(each) * (units[slot] ?? 0), 0),
  );
}

function drawAll(priced: readonly { offer: Offer; price: number }[], random: () => number): Offer[] {
  const least = Math.min(...priced.map(({ price }) => price));
  const left = priced.map(({ offer, price }) => ({ offer, weight: (least / price) ** 2 }));
  const drawn: Offer[] = [];
  while (left.length > 0) {
    const at = placeOf(random(), left);
    drawn.push(...left.splice(at, 1).map(({ offer }) => offer));
  }
  return drawn;
}

/** Index that a draw in [0, 1) falls on, by weight. */
function placeOf(draw: number, weighted: readonly { weight: number }[]): number {
  let point = draw * weighted.reduce((sum, { weight }) => sum + weight, 0);
  for (const [index, { weight }] of weighted.entries()) {
    point -= weight;
    if (point < 0) return index;
  }
  return weighted.length - 1;
}
