import type { ErrorDetails } from "@aimo/protocol/errors";
import type { Ask } from "./ask.ts";
import { worstUnits } from "./estimate.ts";
import { isWithin, lowestPrices } from "./max-price.ts";
import { NO_PREFERENCES, type Preferences } from "./preferences.ts";
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
  | "hidden_reasoning"
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
  if (preferences.hiddenReasoning === false && model.hiddenReasoning) return "hidden_reasoning";
  if (preferences.regions && !isIn(preferences.regions, offer.region)) return "regions";
  if (preferences.residency && !isIn(preferences.residency, model.residency)) return "residency";
  return undefined;
}

/**
 * Tokens that nobody sees are billed at a provider's word, within the hold: those who announce that they bill such come
 * in where nobody else serves the model, or where the request says so or names them in its order.
 */
export function preferVisible({ preferences }: Ask, offers: readonly Offer[]): readonly Offer[] {
  if (preferences.hiddenReasoning === true || !offers.some(isHidden)) return offers;
  const visible = offers.filter((offer) => !isHidden(offer) || isAmong(offer, preferences.order));
  return visible.length > 0 ? visible : offers;
}

const isHidden = ({ model }: Offer): boolean => model.hiddenReasoning === true;

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

/** How many providers each filter left out, for the error when nobody is left. */
export class Exclusions {
  readonly #left = new Map<Filter, Offer[]>();
  total = 0;

  add(filter: Filter | undefined, offer: Offer): void {
    this.total++;
    if (filter) this.#left.set(filter, [...(this.#left.get(filter) ?? []), offer]);
  }

  /** The only filter that left somebody out, if it was one. */
  get only(): Filter | undefined {
    const [first] = this.#left.keys();
    return this.#left.size === 1 ? first : undefined;
  }

  get isAny(): boolean {
    return this.#left.size > 0;
  }

  has(filter: Filter): boolean {
    return this.#left.has(filter);
  }

  /** "max_price: 2 of 3 providers (the lowest there is: prompt 0.1), zdr: 1 of 3 providers". */
  describe({ maxPrice }: Pick<Preferences, "maxPrice">): string {
    const of = `of ${this.total} ${this.total === 1 ? "provider" : "providers"}`;
    return [...this.#left]
      .map(([filter, offers]) => {
        const lowest = filter === "max_price" && maxPrice ? lowestPrices(maxPrice, offers) : "";
        return `${filter}: ${offers.length} ${of}${lowest === "" ? "" : ` (the lowest there is: ${lowest})`}`;
      })
      .join(", ");
  }

  details(): ErrorDetails {
    const excluded = [...this.#left].map(([filter, { length }]) => `${filter}: ${length}`);
    return { providers: this.total, excluded };
  }
}
