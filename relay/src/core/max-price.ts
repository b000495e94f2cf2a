import { formatUsd, parseUsd } from "@aimo/protocol/units";
import { invalid, isMissing, isObject, refuseUnknown } from "./dialects/dialect.ts";
import type { Offer } from "./types.ts";

/** `provider.max_price`: the most that a caller pays per unit. */

/** pUSD per unit, rounded down: prices are whole. */
export type MaxPrice = Readonly<Record<PricedUnit, bigint | undefined>>;

const UNITS = ["prompt", "completion", "request", "image"] as const;
type PricedUnit = (typeof UNITS)[number];

/** OpenRouter's `audio` is read and has no effect: providers price audio by the minute. */
const FIELDS: ReadonlySet<string> = new Set([...UNITS, "audio"]);
/** pUSD per token of 1 USD per million tokens, as a power of ten: prices in USD per million have 6 decimals on-chain. */
const TOKENS_PER_PRICE = 1_000_000n;
const AMOUNTS: Readonly<Record<PricedUnit, bigint>> = {
  prompt: TOKENS_PER_PRICE,
  completion: TOKENS_PER_PRICE,
  request: 1n,
  image: 1n,
};

/** Throws `invalid_request` that names the field. */
export function readMaxPrice(value: unknown): MaxPrice | undefined {
  if (isMissing(value)) return undefined;
  if (!isObject(value)) throw invalid("provider.max_price must be an object.", "provider.max_price");
  refuseUnknown(value, FIELDS, "provider.max_price");
  readUsd(value["audio"], "provider.max_price.audio");
  const per = (unit: PricedUnit) => {
    const usd = readUsd(value[unit], `provider.max_price.${unit}`);
    return usd === undefined ? undefined : usd / AMOUNTS[unit];
  };
  return {
    ...{ prompt: per("prompt"), completion: per("completion") },
    ...{ request: per("request"), image: per("image") },
  };
}

/** Whether no price of an offer is above its limit. */
export function isWithin(limits: MaxPrice, offer: Offer): boolean {
  return pricesOf(offer).every(([unit, price]) => price <= (limits[unit] ?? price));
}

/** The lowest prices of offers for what the caller has limited, in its units: "prompt 0.1, completion 0.4". */
export function lowestPrices(limits: MaxPrice, offers: readonly Offer[]): string {
  const lowest = new Map<PricedUnit, bigint>();
  for (const offer of offers) {
    const own = new Map<PricedUnit, bigint>();
    for (const [unit, price] of pricesOf(offer)) if (price >= (own.get(unit) ?? 0n)) own.set(unit, price);
    for (const [unit, price] of own) if (price <= (lowest.get(unit) ?? price)) lowest.set(unit, price);
  }
  return UNITS.flatMap((unit) => {
    const price = lowest.get(unit);
    if (limits[unit] === undefined || price === undefined) return [];
    return [`${unit} ${formatUsd(price * AMOUNTS[unit])}`];
  }).join(", ");
}

/** Each price of an offer with the limit that is for it. */
function pricesOf({ price: { kinds, prices } }: Offer): readonly (readonly [PricedUnit, bigint])[] {
  return ([0, 1, 2] as const).flatMap((slot) => {
    const kind = kinds[slot];
    if (kind === "none") return [];
    const unit = kind === "request" || kind === "image" ? kind : slot === 2 ? "completion" : "prompt";
    return [[unit, prices[slot]] as const];
  });
}

/** An amount of a body, in pUSD. Throws `invalid_request` that names it and its limit. */
export function readUsd(value: unknown, name: string): bigint | undefined {
  if (isMissing(value)) return undefined;
  try {
    // As a decimal: a number below 1e-6 prints with an exponent.
    if (typeof value === "number" && value >= 0)
      return parseUsd(Number.isInteger(value) ? String(value) : value.toFixed(12));
    if (typeof value === "string") return parseUsd(value);
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause;
  }
  throw invalid(
    `${name} must be USD, from 0 and with at most 17 digits and 12 decimals: a number or a decimal string.`,
    name,
  );
}
