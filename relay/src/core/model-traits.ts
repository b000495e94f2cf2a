import type { ModelOffer, Route } from "@aimo/protocol/announcement";
import type { ArchitectureJson, PricingJson } from "@aimo/protocol/model-routes";
import { formatUnitPrice, type Price, type UnitKind } from "@aimo/protocol/units";
import type { Offer } from "./types.ts";

/** What a model can do and costs, in the words of models lists. */

/** What a provider may announce beyond what every announcement holds. */
type Announced = {
  readonly quantization?: string;
  readonly supportedParameters?: readonly string[];
  readonly zeroRetention?: boolean;
  readonly inputModalities?: readonly string[];
};

export function announcedBy({ model }: Offer): Announced {
  return model as ModelOffer & Announced;
}

const MODALITIES: Readonly<Record<Route, ArchitectureJson>> = {
  chat: { input_modalities: ["text"], output_modalities: ["text"] },
  embeddings: { input_modalities: ["text"], output_modalities: ["embeddings"] },
  images: { input_modalities: ["text"], output_modalities: ["image"] },
  transcriptions: { input_modalities: ["audio"], output_modalities: ["text"] },
  speech: { input_modalities: ["text"], output_modalities: ["audio"] },
  moderations: { input_modalities: ["text"], output_modalities: ["text"] },
};

export function architectureOf(offers: readonly Offer[]): ArchitectureJson {
  const base = MODALITIES[offers[0]?.model.route ?? "chat"];
  const more = offers.flatMap((offer) => announcedBy(offer).inputModalities ?? []);
  return { ...base, input_modalities: [...new Set([...base.input_modalities, ...more])] };
}

/** Tokens of an answer at most; null where an answer is no text of tokens. */
export const completionTokensOf = ({ model }: Offer): number | null =>
  model.route === "chat" ? model.maxOutputTokens : null;

export function parametersOf(offers: readonly Offer[]): readonly string[] {
  return [...new Set(offers.flatMap((offer) => announcedBy(offer).supportedParameters ?? []))].sort();
}

/** Decimal strings of USD per unit; "0" for what the price does not count. */
export function pricingJson(price: Price | undefined): PricingJson {
  const at = (slot: 0 | 1 | 2, kind: UnitKind) => (price?.kinds[slot] === kind ? price.prices[slot] : 0n);
  return {
    prompt: formatUnitPrice(at(0, "token")),
    input_cache_read: formatUnitPrice(at(1, "token")),
    completion: formatUnitPrice(at(2, "token")),
    image: formatUnitPrice(at(2, "image")),
    request: formatUnitPrice(at(2, "request")),
    character: formatUnitPrice(at(0, "character")),
    audio_millisecond: formatUnitPrice(at(0, "millisecond")),
  };
}

/** How many units make the amount that people compare prices by: a million tokens or characters, a minute, one image. */
const USUAL_AMOUNT: Readonly<Record<UnitKind, number>> = {
  none: 0,
  token: 1e6,
  character: 1e6,
  millisecond: 60_000,
  image: 1,
  request: 1,
};

/**
 * USD of the usual amount of what a price counts first: a million prompt tokens or characters, a minute of audio, an
 * image. A number, for filters and order only.
 */
export function usualPrice({ prices, kinds }: Price): number {
  const slot = kinds.findIndex((kind) => kind !== "none");
  return (Number(prices[slot] ?? 0n) * USUAL_AMOUNT[kinds[slot] ?? "none"]) / 1e12;
}
