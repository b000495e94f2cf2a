import type { Ask } from "./ask.ts";
import type { Endpoint } from "./endpoint.ts";
import { isIn, isNamed, understands } from "./filters.ts";
import { NO_PREFERENCES, type Sort } from "./preferences.ts";
import type { RoutingState } from "./routing-state.ts";
import { conversationHash, PROMPT_HEAD_BYTES, rendezvous } from "./sticky.ts";
import type { Offer } from "./types.ts";

/** In which order to try offers. Pure: chance and time are given. docs/routing.md has the rules and their sources. */

export type Ranking = {
  readonly ask: Ask;
  /** Of one model, and able to serve. */
  readonly offers: readonly Offer[];
  readonly sort: Sort | undefined;
  /** What was learned of their providers. */
  readonly state: Pick<RoutingState, "find" | "isResting">;
  /** Wall-clock milliseconds. */
  readonly now: number;
  /** From 0 up to 1, a new one at each call. */
  readonly random: () => number;
  /** At most this many are returned. */
  readonly limit: number;
  /** Who served this conversation last. */
  readonly stickyTo?: number | undefined;
  /** Whose prompt it is, for the providers that lower the price of a cached one. */
  readonly conversation?: { readonly userId: number; readonly body: Uint8Array } | undefined;
};

/** A typical answer, for comparing prices: what a request really asks for is not known before it ends. */
const TYPICAL_OUTPUT_TOKENS = 512;
/** A token is about four bytes of English and of JSON. */
const BYTES_PER_TOKEN = 4;
/** Part of the requests that is drawn without a look at prices, so that everybody's speed is known. */
export const EXPLORATION = 0.02;

type Candidate = { readonly offer: Offer; readonly group: number; readonly price: number };

/** Groups, from those to try first: a resting provider that the caller does not name serves only when nobody else does. */
const RESTING = 1_000_000;
const PLACE = 10;
const BUSY = 2;
const UNWANTED = 1;

/**
 * Offers in the order in which to try them. Groups first: the caller's `order`, then those who do not rest, with a free
 * slot, as the caller wishes. Within a group by `sort`, or by chance: weighted by 1 / price squared, of two draws the one with
 * the shorter expected wait.
 */
export function rankOffers(ranking: Ranking): readonly Offer[] {
  const { ask, offers } = ranking;
  const { allowFallbacks, order } = ask.preferences;
  const limit = allowFallbacks || order.length > 0 ? ranking.limit : 1;
  if (offers.length <= 1) return offers;
  let left = offers.map(
    (offer): Candidate => ({
      ...{ offer, group: groupOf(ranking, offer), price: typicalPrice(ask, offer) },
    }),
  );
  const ranked: Offer[] = [];
  while (left.length > 0 && ranked.length < limit) {
    const least = left.reduce((min, { group }) => Math.min(min, group), Number.POSITIVE_INFINITY);
    const isOne = left.every(({ group }) => group === least);
    const group = isOne ? left : left.filter((candidate) => candidate.group === least);
    left = isOne ? [] : left.filter((candidate) => candidate.group !== least);
    orderGroup(ranking, group, ranked, limit);
  }
  return ranked;
}

function groupOf({ ask, state, now }: Ranking, offer: Offer): number {
  const { order } = ask.preferences;
  let group = 0;
  if (order.length > 0) {
    const place = placeIn(order, offer);
    group = place * PLACE;
    // Named: the caller's word counts more than what was learned.
    if (place < order.length) return group;
  }
  const endpoint = state.find(offer);
  if (state.isResting(offer, now)) group += RESTING;
  if (offer.model.freeSlots === 0 || endpoint?.cap.isFull(endpoint.inFlight)) group += BUSY;
  if (!isWished(ask, offer, endpoint)) group += UNWANTED;
  return group;
}

function placeIn(order: readonly string[], offer: Offer): number {
  const found = order.findIndex((name) => isNamed(offer, name));
  return found === -1 ? order.length : found;
}

function isWished(ask: Ask, offer: Offer, endpoint: Endpoint | undefined): boolean {
  if (ask.steering.length > 0 && !understands(offer, ask.steering)) return false;
  if (ask.preferences === NO_PREFERENCES) return true;
  const { preferredRegions, preferredMaxLatencyMs, preferredMinThroughput } = ask.preferences;
  if (preferredRegions && !isIn(preferredRegions, offer.region)) return false;
  if (preferredMaxLatencyMs !== undefined && latencyOf(offer, endpoint) > preferredMaxLatencyMs) return false;
  return preferredMinThroughput === undefined || throughputOf(endpoint) >= preferredMinThroughput;
}

/** As the relay saw it, else as the provider announces it; who has neither comes after those who have. */
const latencyOf = ({ model }: Offer, endpoint: Endpoint | undefined) =>
  endpoint?.firstToken.last ?? (model.latencyMs > 0 ? model.latencyMs : Number.MAX_SAFE_INTEGER);
const throughputOf = (endpoint: Endpoint | undefined) => endpoint?.throughput.last ?? 0;

function orderGroup(ranking: Ranking, group: Candidate[], into: Offer[], limit: number): void {
  const { sort, state } = ranking;
  if (!sort) {
    drawGroup(ranking, group, into, limit);
    return;
  }
  const keyOf = ({ offer, price }: Candidate) =>
    sort === "price"
      ? price
      : sort === "latency"
        ? latencyOf(offer, state.find(offer))
        : -throughputOf(state.find(offer));
  const keyed = group.map((candidate) => ({ candidate, key: keyOf(candidate) }));
  keyed.sort((a, b) => a.key - b.key || a.candidate.price - b.candidate.price);
  for (const { candidate } of keyed.slice(0, limit - into.length)) into.push(candidate.offer);
}

/** The first by conversation or by two draws; the others, as fallbacks, by one draw each. */
function drawGroup(ranking: Ranking, group: Candidate[], into: Offer[], limit: number): void {
  const left = group;
  let shares = sharesOf(left);
  if (into.length === 0 && left.length > 1) take(firstOf(ranking, left, shares));
  while (left.length > 0 && into.length < limit)
    take(left.length === 1 ? 0 : placeOf(ranking.random(), shares));

  function take(at: number): void {
    const [taken] = left.splice(at, 1);
    if (taken) into.push(taken.offer);
    if (left.length > 1 && into.length < limit) shares = sharesOf(left);
  }
}

function firstOf(ranking: Ranking, group: readonly Candidate[], shares: readonly number[]): number {
  const { ask, stickyTo } = ranking;
  if (ask.preferences.order.length === 0) {
    const known = stickyTo === undefined ? -1 : group.findIndex(({ offer }) => offer.providerId === stickyTo);
    if (known !== -1) return known;
    const cached = cachePlace(ranking, group, shares);
    if (cached !== -1) return cached;
  }
  return fasterOfTwo(ranking, group, shares);
}

/** Two draws, which may fall on the same one: so the dear ones stay rare also where they are fast. */
function fasterOfTwo(
  { random, state, now }: Ranking,
  group: readonly Candidate[],
  shares: readonly number[],
): number {
  const one = placeOf(random(), shares);
  const other = placeOf(random(), shares);
  if (one === other) return one;
  const costAt = (at: number) => {
    const offer = group[at]?.offer;
    return (offer && state.find(offer)?.cost(now)) ?? 0;
  };
  return costAt(other) < costAt(one) ? other : one;
}

/**
 * Where a conversation belongs by its hash, if that is a provider whose cached prompts are cheaper; -1 otherwise. All
 * take part in the hash with their weight, so shares by price stay what they are.
 */
function cachePlace(
  { ask, conversation }: Ranking,
  group: readonly Candidate[],
  shares: readonly number[],
): number {
  if (!conversation || ask.route !== "chat" || ask.bodyBytes < PROMPT_HEAD_BYTES) return -1;
  if (!group.some(({ offer }) => isCheaperCached(offer))) return -1;
  const hash = conversationHash(conversation.userId, ask.model, conversation.body);
  let place = -1;
  let least = Number.POSITIVE_INFINITY;
  for (const [at, { offer }] of group.entries()) {
    const score = rendezvous(hash, offer.providerId, shares[at] ?? 0);
    if (score >= least) continue;
    least = score;
    place = at;
  }
  const found = group[place];
  return found && isCheaperCached(found.offer) ? place : -1;
}

const isCheaperCached = ({ price: { kinds, prices } }: Offer) =>
  kinds[0] === "token" && kinds[1] === "token" && prices[1] < prices[0];

/** pUSD of a typical answer, as a number: for comparing only. At least 1, so that a free offer has a finite weight. */
export function typicalPrice(ask: Ask, { price: { kinds, prices } }: Offer): number {
  const of = (slot: 0 | 1 | 2, tokens: number) =>
    prices[slot] === 0n ? 0 : Number(prices[slot]) * (kinds[slot] === "token" ? tokens : ask.count);
  return Math.max(1, of(0, ask.bodyBytes / BYTES_PER_TOKEN) + of(1, 0) + of(2, TYPICAL_OUTPUT_TOKENS));
}

/** What each is drawn with; their sum is 1. */
function sharesOf(group: readonly Candidate[]): number[] {
  const least = group.reduce((min, { price }) => Math.min(min, price), Number.POSITIVE_INFINITY);
  const weights = group.map(({ price }) => (least / price) ** 2);
  const sum = weights.reduce((total, weight) => total + weight, 0);
  return weights.map((weight) => ((1 - EXPLORATION) * weight) / sum + EXPLORATION / group.length);
}

/** Index that a draw in [0, 1) falls on. */
function placeOf(draw: number, shares: readonly number[]): number {
  let point = draw;
  for (let at = 0; at < shares.length; at++) {
    point -= shares[at] ?? 0;
    if (point < 0) return at;
  }
  return shares.length - 1;
}
