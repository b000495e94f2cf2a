import type { Ask } from "../core/ask.ts";
import { worstCost } from "../core/estimate.ts";
import type { Offer } from "../core/types.ts";
import type { ProviderCovers } from "./ports.ts";

export type CreditParameters = {
  readonly covers: Pick<ProviderCovers, "coverOf">;
  /** What the books say that a provider is owed and was not paid, pUSD. */
  readonly owedTo: (providerId: number) => bigint;
  /** Cost of what it stated and has not signed yet, pUSD. */
  readonly unsignedOf: (providerId: number) => bigint;
};

/**
 * What each provider still lends this relay, by the numbers that the provider goes by too: it serves while unposted
 * vouchers, unanswered groups and requests in flight are within the reserve and its own limit. What it would refuse is
 * not sent to it.
 */
export class ProviderCredit {
  readonly #parameters: CreditParameters;
  readonly #inFlight = new Map<number, bigint>();

  constructor(parameters: CreditParameters) {
    this.#parameters = parameters;
  }

  /** False when the provider would refuse the request. True while its reserve is not known yet: it decides. */
  covers({ ask, offer, maxTokens }: { ask: Ask; offer: Offer; maxTokens: number | undefined }): boolean {
    const { covers, owedTo, unsignedOf } = this.#parameters;
    const { providerId } = offer;
    const cover = covers.coverOf(providerId);
    if (cover === undefined) return true;
    const open = owedTo(providerId) + unsignedOf(providerId) + (this.#inFlight.get(providerId) ?? 0n);
    return open + worstCost(ask, offer, maxTokens) <= cover;
  }

  /** Counts a request in flight; call what it returns, once, when the attempt ended. */
  begin({ ask, offer, maxTokens }: { ask: Ask; offer: Offer; maxTokens: number | undefined }): () => void {
    const worst = worstCost(ask, offer, maxTokens);
    this.#add(offer.providerId, worst);
    return () => this.#add(offer.providerId, -worst);
  }

  #add(providerId: number, amount: bigint): void {
    const sum = (this.#inFlight.get(providerId) ?? 0n) + amount;
    if (sum > 0n) this.#inFlight.set(providerId, sum);
    else this.#inFlight.delete(providerId);
  }
}
