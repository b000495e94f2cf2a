/**
 * How many requests at once an endpoint takes, learned from its refusals: additive increase, multiplicative decrease
 * (TCP's congestion avoidance). Time is given, in milliseconds.
 */

/** What is left of the concurrency that was refused. */
export const DECREASE = 0.7;
/** A cap that grew this far beyond where it was last refused has taught all it can. */
export const FORGET_FACTOR = 4;

export class LearnedCap {
  #cap = Number.POSITIVE_INFINITY;
  #refusedAtCap = 0;
  #loweredAt = Number.NEGATIVE_INFINITY;

  /** Requests in flight at most; infinite until the first refusal. At least 1. */
  get value(): number {
    return this.#cap;
  }

  isFull(inFlight: number): boolean {
    return inFlight >= Math.floor(this.#cap);
  }

  /**
   * A request was refused that was sent at `sentAt` among `inFlight` others, itself included. Those that were sent
   * before the cap was lowered last say nothing new: a burst lowers it once.
   */
  onRefusal(inFlight: number, sentAt: number, now: number): void {
    if (sentAt <= this.#loweredAt) return;
    this.#cap = Math.max(1, Math.min(this.#cap, inFlight) * DECREASE);
    this.#refusedAtCap = this.#cap;
    this.#loweredAt = now;
  }

  /** One more per round of as many successes as the cap is wide. */
  onSuccess(): void {
    if (this.#cap === Number.POSITIVE_INFINITY) return;
    this.#cap += 1 / this.#cap;
    if (this.#cap > this.#refusedAtCap * FORGET_FACTOR + FORGET_FACTOR) this.#cap = Number.POSITIVE_INFINITY;
  }
}
