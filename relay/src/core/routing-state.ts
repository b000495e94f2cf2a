import type { AimoError } from "@aimo/protocol/errors";
import { ExtraBudget, HEDGE_SHARE, RETRIES_PER_SECOND, RETRY_SHARE } from "./budget.ts";
import { Endpoint } from "./endpoint.ts";
import { StickySessions } from "./sticky.ts";
import type { Offer } from "./types.ts";

/** Far above the models of all providers of one network; the model that was first heard of goes first. */
const MAX_ENDPOINTS = 65_536;
/** A provider may rest as long as it likes, but is asked again after this. */
export const MAX_REST_MS = 5 * 60_000;

type Named = Pick<Offer, "providerId"> & { readonly model: Pick<Offer["model"], "modelId"> };

export type RoutingOptions = {
  /** Processes that share the relay's budget for retries. */
  readonly processes?: number;
  /** Told who has served a session. */
  readonly onSession?: (name: string, providerId: number) => void;
};

/** All that a process of a relay has learned of providers. Time is given; wall-clock milliseconds. */
export class RoutingState {
  readonly retries: ExtraBudget;
  readonly hedges = new ExtraBudget(HEDGE_SHARE, 0);
  readonly sessions: StickySessions;
  /** By model, then by provider: a name of both would be a new text at each look. */
  readonly #endpoints = new Map<number, Map<number, Endpoint>>();
  readonly #restUntil = new Map<number, number>();
  #count = 0;

  constructor({ processes = 1, onSession }: RoutingOptions = {}) {
    // The share is of what each of them serves; only the floor is to be divided.
    this.retries = new ExtraBudget(RETRY_SHARE, RETRIES_PER_SECOND / processes);
    this.sessions = new StickySessions(onSession);
  }

  /** Undefined: never called. */
  find({ providerId, model }: Named): Endpoint | undefined {
    return this.#endpoints.get(model.modelId)?.get(providerId);
  }

  endpointOf(offer: Named): Endpoint {
    const known = this.find(offer);
    if (known) return known;
    const { modelId } = offer.model;
    const made = new Endpoint();
    let ofModel = this.#endpoints.get(modelId);
    if (!ofModel) {
      this.#makeRoom();
      ofModel = new Map();
      this.#endpoints.set(modelId, ofModel);
    }
    ofModel.set(offer.providerId, made);
    this.#count++;
    return made;
  }

  /** True while the provider asked for a pause, or this model of it is ejected. */
  isResting(offer: Named, now: number): boolean {
    if (this.#restUntil.size > 0 && (this.#restUntil.get(offer.providerId) ?? 0) > now) return true;
    return this.find(offer)?.breaker.isResting(now) ?? false;
  }

  onFailure(
    offer: Named,
    error: Pick<AimoError, "code" | "retryAfterSeconds">,
    at: { sent: number; now: number },
  ) {
    this.endpointOf(offer).onFailure(error, at.sent, at.now);
    if (error.retryAfterSeconds === undefined) return;
    const until = at.now + Math.min(error.retryAfterSeconds * 1_000, MAX_REST_MS);
    for (const [id, end] of this.#restUntil) if (end <= at.now) this.#restUntil.delete(id);
    if (until > (this.#restUntil.get(offer.providerId) ?? at.now))
      this.#restUntil.set(offer.providerId, until);
  }

  /** Forgets models that have nothing in flight; their endpoints begin anew. */
  #makeRoom(): void {
    for (const [modelId, ofModel] of this.#endpoints) {
      if (this.#count < MAX_ENDPOINTS) return;
      if ([...ofModel.values()].some(({ inFlight }) => inFlight > 0)) continue;
      this.#endpoints.delete(modelId);
      this.#count -= ofModel.size;
    }
  }
}
