/** Limits on what a relay sends more than once. Time is given, in milliseconds. */

/** Source: Finagle's retry budget. A fifth of the requests of the last ten seconds, and ten a second besides. */
export const RETRY_SHARE = 0.2;
export const RETRIES_PER_SECOND = 10;
export const BUDGET_WINDOW_MS = 10_000;
/** Of all requests, those that may be sent twice at the same time. Source: Dean and Barroso, The Tail at Scale. */
export const HEDGE_SHARE = 0.05;

const SLOT_MS = 1_000;
const SLOTS = BUDGET_WINDOW_MS / SLOT_MS;

/** Extra sends within a sliding window of ten seconds, at most a share of its requests and a floor. */
export class ExtraBudget {
  readonly #share: number;
  readonly #floor: number;
  /** Per second of the window; the second of the last event stands in `#slot`. */
  readonly #requests = new Uint32Array(SLOTS);
  readonly #extras = new Uint32Array(SLOTS);
  #sumRequests = 0;
  #sumExtras = 0;
  #slot = 0;

  constructor(share: number, perSecond: number) {
    this.#share = share;
    this.#floor = (perSecond * BUDGET_WINDOW_MS) / 1_000;
  }

  onRequest(now: number): void {
    const at = this.#advance(now);
    this.#requests[at] = (this.#requests[at] ?? 0) + 1;
    this.#sumRequests++;
  }

  /** True when one more may be sent; it counts from then on. */
  take(now: number): boolean {
    const at = this.#advance(now);
    if (this.#sumExtras + 1 > this.#share * this.#sumRequests + this.#floor) return false;
    this.#extras[at] = (this.#extras[at] ?? 0) + 1;
    this.#sumExtras++;
    return true;
  }

  /** Empties the seconds that have passed since the last call; gives the place of the present one. */
  #advance(now: number): number {
    const slot = Math.floor(now / SLOT_MS);
    // A clock that was set back stays in the last second.
    const passed = Math.min(slot - this.#slot, SLOTS);
    for (let i = 1; i <= passed; i++) this.#empty((this.#slot + i) % SLOTS);
    if (passed > 0) this.#slot = slot;
    return this.#slot % SLOTS;
  }

  #empty(at: number): void {
    this.#sumRequests -= this.#requests[at] ?? 0;
    this.#sumExtras -= this.#extras[at] ?? 0;
    this.#requests[at] = 0;
    this.#extras[at] = 0;
  }
}
