import { readAsk } from "../../../relay/src/core/ask.ts";
import type { Offer } from "../../../relay/src/core/types.ts";

/** Offers and asks for tests of the core. */

type Change = Partial<Omit<Offer, "model" | "price">> & {
  readonly model?: Partial<Offer["model"]>;
  /** Prompt, cached prompt and completion, pUSD per token. */
  readonly prices?: Offer["price"]["prices"];
};

export const makeOffer = (providerId: number, unitPrice: bigint, change: Change = {}): Offer => {
  const { model, prices = [unitPrice, unitPrice, unitPrice], ...others } = change;
  return {
    ...{ providerId, signer: `0x${String(providerId).padStart(40, "0")}`, endpoint: "http://x", region: "" },
    model: {
      ...{ modelId: 1, slug: "m", priceVersion: 1, route: "chat", contextTokens: 8_192 },
      ...{ maxOutputTokens: 4_096, freeSlots: 1, queued: 0, latencyMs: 0, description: "" },
      ...model,
    },
    price: { version: 1, prices, kinds: ["token", "token", "token"] },
    expiresAt: 100,
    ...others,
  };
};

const MESSAGES = [{ role: "user", content: "x" }];
/** As a client's body is read; `bodyBytes` long. */
export const makeAsk = (body: object = {}, bodyBytes = 100) =>
  readAsk("chat", { model: "m", messages: MESSAGES, ...body }, bodyBytes);

export const idsOf = (offers: readonly Offer[]) => offers.map(({ providerId }) => providerId);
