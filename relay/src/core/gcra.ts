/** Rate limits by one number per subject (GCRA): smooth, and exact over any window. Time is given, in milliseconds. */

export type RateVerdict = {
  readonly allowed: boolean;
  readonly limit: number;
  readonly remaining: number;
  /** Milliseconds until the whole limit is there again. */
  readonly resetMs: number;
  /** Milliseconds until the next request is allowed; 0 when this one is. */
  readonly retryMs: number;
};

/** Subjects kept at most: one slot is tens of bytes, and an idle subject is forgotten anyway. */
export const MAX_SUBJECTS = 100_000;

export class RateLimiter {
  readonly #periodMs: number;
  readonly #limit: number;
  /** Theoretical arrival time per subject; oldest first. */
  readonly #arrivals = new Map<string, number>();

  /** `limit` requests per `windowMs`, all of which may come at once. */
  constructor(limit: number, windowMs: number) {
    this.#limit = limit;
    this.#periodMs = windowMs / limit;
  }

  take(subject: string, now: number): RateVerdict {
    const arrival = Math.max(now, this.#arrivals.get(subject) ?? 0);
    const next = arrival + this.#periodMs;
    const span = this.#periodMs * this.#limit;
    const excess = next - now - span;
    if (excess > 0.001) return this.#verdict(false, arrival - now, excess);
    this.#arrivals.delete(subject);
    this.#arrivals.set(subject, next);
    this.#forget(now);
    return this.#verdict(true, next - now, 0);
  }

  #verdict(allowed: boolean, resetMs: number, retryMs: number): RateVerdict {
    const remaining = Math.max(0, Math.floor(this.#limit - resetMs / this.#periodMs + 0.001));
    return { allowed, limit: this.#limit, remaining, resetMs, retryMs };
  }

  /** Drops subjects at the old end that have their whole limit back, and the oldest when there are too many. */
  #forget(now: number): void {
    for (const [subject, arrival] of this.#arrivals) {
      if (arrival > now && this.#arrivals.size <= MAX_SUBJECTS) return;
      this.#arrivals.delete(subject);
    }
  }
}
