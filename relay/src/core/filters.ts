import type { ErrorDetails } from "@aimo/protocol/errors";
import type { Ask } from "./ask.ts";
import { worstUnits } from "./estimate.ts";
import { type MaxPrice, NO_PREFERENCES, type Preferences } from "./preferences.ts";
import type { Offer } from "./types.ts";

/** Which offers may serve a request at all. A provider that promises nothing does not pass a filter for promises. */

export type Filter =
  | "price_unit"
  | "only"
  | "ignore"
  | "allow_fallbacks"
  | "max_price"
  | "require_parameters"
  | "quantizations"
  | "zdr"
  | "data_collection"
  | "regions"
  | "residency"
  | "credit";

/** The first filter that an offer does not pass. The route and the time are judged before. */
export function filterOf(ask: Ask, offer: Offer): Filter | undefined {
  // The price counts what the relay cannot bound.
  if (!worstUnits(ask, offer, 1)) return "price_unit";
  return ask.preferences === NO_PREFERENCES ? undefined : preferenceAgainst(ask.preferences, offer);
}

function preferenceAgainst(preferences: Preferences, offer: Offer): Filter | undefined {
  const { only, ignore, order, allowFallbacks, maxPrice, parameters, quantizations } = preferences;
  const { model } = offer;
  if (only && !isAmong(offer, only)) return "only";
  if (ignore.length > 0 && isAmong(offer, ignore)) return "ignore";
  if (!allowFallbacks && order.length > 0 && !isAmong(offer, order)) return "allow_fallbacks";
  if (maxPrice && !isWithin(maxPrice, offer)) return "max_price";
  if (!understands(offer, parameters)) return "require_parameters";
  if (quantizations && !(model.quantization && quantizations.includes(model.quantization)))
    return "quantizations";
  if (preferences.zeroRetention && model.zeroRetention !== true) return "zdr";
  if (preferences.noDataCollection && model.collectsData !== false && model.zeroRetention !== true)
    return "data_collection";
  if (preferences.regions && !isIn(preferences.regions, offer.region)) return "regions";
  if (preferences.residency && !isIn(preferences.residency, model.residency)) return "residency";
  return undefined;
}

/** Providers are named by id or by the address they sign with. */
export function isNamed(offer: Offer, name: string): boolean {
  return name === String(offer.providerId) || name === offer.signer.toLowerCase();
}

const isAmong = (offer: Offer, names: readonly string[]) => names.some((name) => isNamed(offer, name));

/** `eu` is any of `eu`, `eu-west`, `eu-west-1`; nothing else begins with a region's name by accident. */
export function isIn(regions: readonly string[], region: string | undefined): boolean {
  return region !== undefined && regions.some((each) => region === each || region.startsWith(`${each}-`));
}

/** True when the provider names every one of these parameters. */
export function understands({ model }: Offer, parameters: readonly string[]): boolean {
  return parameters.every((name) => model.supportedParameters?.includes(name) ?? false);
}

function isWithin(limits: MaxPrice, { price }: Offer): boolean {
  const { kinds, prices } = price;
  const limitOf = (slot: 0 | 1 | 2) => {
    const kind = kinds[slot];
    if (kind === "request" || kind === "image") return limits[kind];
    return slot === 2 ? limits.completion : limits.prompt;
  };
  const fits = (slot: 0 | 1 | 2) => {
    const limit = kinds[slot] === "none" ? undefined : limitOf(slot);
    return limit === undefined || prices[slot] <= limit;
  };
  return fits(0) && fits(1) && fits(2);
}

/** How many providers each filter left out, for the error when nobody is left. */
export class Exclusions {
  readonly #counts = new Map<Filter, number>();
  total = 0;

  add(filter: Filter | undefined): void {
    this.total++;
    if (filter) this.#counts.set(filter, (this.#counts.get(filter) ?? 0) + 1);
  }

  /** The only filter that left somebody out, if it was one. */
  get only(): Filter | undefined {
    const [first] = this.#counts.keys();
    return this.#counts.size === 1 ? first : undefined;
  }

  /** "max_price 2, zdr 1". */
  describe(): string {
    return [...this.#counts].map(([filter, count]) => `${filter} ${count}`).join(", ");
  }

  details(): ErrorDetails {
    const excluded = [...this.#counts].map(([filter, count]) => `${filter}: ${count}`);
    return { providers: this.total, excluded };
  }
}
