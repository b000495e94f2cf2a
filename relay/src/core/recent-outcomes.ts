/** How the newest requests ended, one bit each. */

/** Source: Envoy's outlier detection by failure percentage: with fewer requests a share says nothing. */
export const SEEN = 20;
/** Of these, half: trying it first costs more waiting than it saves. */
export const FAILED_TO_EJECT = 10;
/** A quarter: no more is calm. Lower than the other, so that who is about as good as bad is not forgiven each time. */
const FAILED_WHEN_CALM = 5;

/** A sliding window over the newest outcomes; one number of bits, so that it is cheap at each request. */
export class RecentOutcomes {
  /** The newest is the lowest; 1: failed. */
  #bits = 0;
  #failed = 0;
  #seen = 0;

  add(isFailure: boolean): void {
    const bit = isFailure ? 1 : 0;
    this.#failed += bit - ((this.#bits >>> (SEEN - 1)) & 1);
    this.#bits = ((this.#bits << 1) | bit) & (2 ** SEEN - 1);
    if (this.#seen < SEEN) this.#seen++;
  }

  /** Enough were seen, and half of them failed. */
  get isFailing(): boolean {
    return this.#seen === SEEN && this.#failed >= FAILED_TO_EJECT;
  }

  /** Nothing to hold against it. */
  get isCalm(): boolean {
    return this.#seen < SEEN || this.#failed <= FAILED_WHEN_CALM;
  }
}
