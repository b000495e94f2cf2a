/**
 * Units of money and of work.
 * All money is `bigint` pico-USD (pUSD, 1e-12 USD). A price in micro-USD per million tokens *is* the price in
 * pUSD per token, so a cost is an exact sum of products: no division, no rounding.
 */

/** pUSD in one USD. */
export const PUSD_PER_USD = 1_000_000_000_000n;
/** Decimals of the accounting token. */
export const TOKEN_DECIMALS = 6;
/** pUSD in one base unit of the accounting token. */
export const PUSD_PER_TOKEN_UNIT = 10n ** BigInt(12 - TOKEN_DECIMALS);
export const MAX_U32 = 2 ** 32 - 1;
export const MAX_U64 = 2n ** 64n - 1n;
export const MAX_U80 = 2n ** 80n - 1n;
export const MAX_U96 = 2n ** 96n - 1n;
/** The most a relay may add to the provider's cost, in basis points. Source: protocol section 2. */
export const MAX_RELAY_FEE_BPS = 2_000;
const BPS = 10_000n;

/** What a priced unit is. Numbers are on the wire and on-chain; never reuse one. */
export const UNIT_KINDS = { none: 0, token: 1, image: 2, millisecond: 3, character: 4, request: 5 } as const;
export type UnitKind = keyof typeof UNIT_KINDS;

/** What the three counts of a price are. */
export type UnitKinds = readonly [UnitKind, UnitKind, UnitKind];

/** Counts of work: text uses (prompt not cached, cached prompt, completion); images use units2. Each fits u32. */
export type Units = readonly [number, number, number];
/** pUSD per unit, each fits u64. */
export type Prices = readonly [bigint, bigint, bigint];
export type Price = {
  readonly version: number;
  readonly prices: Prices;
  readonly kinds: UnitKinds;
};

/** Three kinds as the u24 of the registry: first kind in the highest byte. */
export function packKinds(kinds: Price["kinds"]): number {
  return (UNIT_KINDS[kinds[0]] << 16) | (UNIT_KINDS[kinds[1]] << 8) | UNIT_KINDS[kinds[2]];
}

/** Inverse of `packKinds`. Throws a RangeError on a kind this version does not know. */
export function unpackKinds(packed: number): Price["kinds"] {
  return [kindOf((packed >> 16) & 0xff), kindOf((packed >> 8) & 0xff), kindOf(packed & 0xff)];
}

function kindOf(value: number): UnitKind {
  for (const [name, number] of Object.entries(UNIT_KINDS)) if (number === value) return name as UnitKind;
  throw new RangeError(`Unit kind ${value} is not known.`);
}

/** Exact cost in pUSD. Throws a RangeError when a count is no u32 or the sum does not fit u64. */
export function costOf(units: Units, prices: Prices): bigint {
  const cost = exactCost(units, prices);
  if (cost > MAX_U64) throw new RangeError(`The cost ${cost} pUSD does not fit 64 bits.`);
  return cost;
}

/** The same where it may be more than any receipt can say. Throws a RangeError when a count is no u32. */
export function exactCost(units: Units, prices: Prices): bigint {
  let cost = 0n;
  for (const index of [0, 1, 2] as const) {
    const count = units[index];
    if (!Number.isInteger(count) || count < 0 || count > MAX_U32)
      throw new RangeError(`units${index} is ${count}, not a u32.`);
    cost += BigInt(count) * prices[index];
  }
  return cost;
}

/** The most a relay may charge for a request that cost `cost`: rounds the fee down, so never against the user. */
export function chargeBound(cost: bigint, relayFeeBps: number): bigint {
  return cost + (cost * BigInt(relayFeeBps)) / BPS;
}

/** What a relay owes the protocol for one post, on the sum of the debits applied. Rounds down, once per post. */
export function protocolFee(appliedDebits: bigint, protocolFeeBps: number): bigint {
  return (appliedDebits * BigInt(protocolFeeBps)) / BPS;
}

/** Exact decimal USD of an amount in pUSD, e.g. `1500000000000n` is "1.5". */
export function formatUsd(pusd: bigint): string {
  const sign = pusd < 0n ? "-" : "";
  const digits = (pusd < 0n ? -pusd : pusd).toString().padStart(13, "0");
  const fraction = digits.slice(-12).replace(/0+$/, "");
  return `${sign}${digits.slice(0, -12)}${fraction ? `.${fraction}` : ""}`;
}

/** pUSD of a plain decimal of USD ("5", "0.25"). Throws a RangeError on anything else, or on more than 12 decimals. */
export function parseUsd(text: string): bigint {
  const match = /^(\d{1,17})(?:\.(\d{1,12}))?$/.exec(text);
  if (!match) throw new RangeError(`"${text}" is not an amount of USD: use digits, and at most 12 decimals.`);
  return BigInt(match[1] ?? "0") * PUSD_PER_USD + BigInt((match[2] ?? "").padEnd(12, "0"));
}

/** Token base units to pUSD. Exact. */
export function fromTokenUnits(units: bigint): bigint {
  return units * PUSD_PER_TOKEN_UNIT;
}

/** pUSD to token base units, rounded down: dust stays in the account. */
export function toTokenUnits(pusd: bigint): bigint {
  return pusd / PUSD_PER_TOKEN_UNIT;
}

/** USD per unit as the decimal string of the models list, e.g. 150000n pUSD per token is "0.00000015". */
export function formatUnitPrice(pusdPerUnit: bigint): string {
  return formatUsd(pusdPerUnit);
}
