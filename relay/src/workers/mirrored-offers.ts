import type { Offer } from "../core/types.ts";
import type { OfferBook } from "../flow/ports.ts";

/** As many as the main process remembers; it tells of hardly any others. */
const MAX_KNOWN_MODELS = 16_384;

/** The live offers as the main process tells of them. */
export class MirroredOffers implements OfferBook {
  readonly #now: () => number;
  readonly #byProvider = new Map<number, readonly Offer[]>();
  readonly #known = new Set<string>();
  /** By model; built anew when something was told since. */
  #bySlug: ReadonlyMap<string, readonly Offer[]> | undefined;

  /** `now`: wall-clock milliseconds. */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** What a provider offers from now on. */
  set(providerId: number, offers: readonly Offer[]): void {
    this.#bySlug = undefined;
    if (offers.length === 0) this.#byProvider.delete(providerId);
    else this.#byProvider.set(providerId, offers);
    for (const { model } of offers) if (this.#known.size < MAX_KNOWN_MODELS) this.#known.add(model.slug);
  }

  live(model: string): readonly Offer[] {
    const now = this.#now();
    this.#bySlug ??= Map.groupBy([...this.#byProvider.values()].flat(), (offer) => offer.model.slug);
    return (this.#bySlug.get(model) ?? []).filter(({ expiresAt }) => expiresAt > now);
  }

  all(): readonly Offer[] {
    const now = this.#now();
    return [...this.#byProvider.values()].flat().filter(({ expiresAt }) => expiresAt > now);
  }

  knows(model: string): boolean {
    return this.#known.has(model);
  }
}
