import { isNamed } from "./filters.ts";
import type { RoutingState } from "./routing-state.ts";
import type { Offer } from "./types.ts";

/** The offers that one request may try, and which of them comes next. Time is given; wall-clock milliseconds. */
export class Itinerary {
  readonly #offers: readonly Offer[];
  readonly #state: Pick<RoutingState, "isResting">;
  readonly #order: readonly string[];
  /** One bit per offer that was tried or is tried no more; there are at most 24 of them. */
  #done = 0;

  /** `order`: names of providers that the caller wants tried in their place, resting or not. */
  constructor(offers: readonly Offer[], state: Pick<RoutingState, "isResting">, order: readonly string[]) {
    this.#offers = offers;
    this.#state = state;
    this.#order = order;
  }

  /** The next in order that does not rest; the next that does when there is no other. It counts as tried. */
  next(now: number): Offer | undefined {
    let resting = -1;
    for (let at = 0; at < this.#offers.length; at++) {
      const offer = this.#offers[at];
      if (!offer || this.#isDone(at)) continue;
      if (!this.#isResting(offer, now)) return this.#take(at);
      if (resting === -1) resting = at;
    }
    return resting === -1 ? undefined : this.#take(resting);
  }

  /** Another offer of the same model that does not rest; for a second try beside the first. */
  findBeside(offer: Offer, now: number): Offer | undefined {
    return this.#offers.find(
      (other, at) =>
        !this.#isDone(at) && other.model.modelId === offer.model.modelId && !this.#isResting(other, now),
    );
  }

  /** Counts what `findBeside` found as tried. */
  take(offer: Offer): void {
    this.#done |= 1 << this.#offers.indexOf(offer);
  }

  get hasMore(): boolean {
    return this.#offers.some((_, at) => !this.#isDone(at));
  }

  /** Nobody takes this request for this model. True when another model is left. */
  skipModel({ model }: Offer): boolean {
    let isAnyLeft = false;
    for (const [at, offer] of this.#offers.entries()) {
      if (offer.model.modelId === model.modelId) this.#done |= 1 << at;
      else if (!this.#isDone(at)) isAnyLeft = true;
    }
    return isAnyLeft;
  }

  #isResting(offer: Offer, now: number): boolean {
    return this.#state.isResting(offer, now) && !this.#order.some((name) => isNamed(offer, name));
  }

  #isDone(at: number): boolean {
    return (this.#done & (1 << at)) !== 0;
  }

  #take(at: number): Offer | undefined {
    this.#done |= 1 << at;
    return this.#offers[at];
  }
}
