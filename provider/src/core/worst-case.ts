import { costOf, MAX_U32, MAX_U64, type Prices } from "@aimo/protocol/units";
import type { Model } from "./types.ts";

/** What a request asks for, as far as its cost goes. */
export type Ask = {
  readonly bodyBytes: number;
  /** Choices of a chat, or images. */
  readonly count: number;
  /** Completion tokens per choice at most. */
  readonly maxTokens: number;
  /** Characters, or milliseconds at most, where the route is priced by them. */
  readonly inputUnits?: number;
};

/** The most a request can cost, pUSD. A prompt has at most one token per byte, and fits the model's context. */
export function worstCaseCost(model: Model, prices: Prices, ask: Ask): bigint {
  const count = Math.min(ask.count, MAX_U32);
  try {
    if (model.route === "images") return costOf([0, 0, count], prices);
    const input = ask.inputUnits ?? 0;
    if (model.route === "transcriptions" || model.route === "speech") return costOf([input, 0, 0], prices);
    if (model.route === "moderations") return costOf([input, 0, 1], prices);
    // A batch of embeddings has a context per input, so only the bytes bound it.
    if (model.route === "embeddings") return costOf([ask.bodyBytes, 0, 0], prices);
    const prompt = Math.min(ask.bodyBytes, model.contextTokens);
    return costOf([prompt, 0, Math.min(count * ask.maxTokens, MAX_U32)], prices);
  } catch {
    return MAX_U64;
  }
}
