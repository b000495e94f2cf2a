/**
 * Limits per minute of many subjects, each with its own (GCRA: one number per subject, smooth, and exact over any
 * window). What a request will cost may be estimated, and put right when it is known. Time is given, in milliseconds.
 */

export type RateVerdict = {
  readonly allowed: boolean;
  readonly limit: number;
  readonly remaining: number;
  /** Milliseconds until the whole limit is there again. */
  readonly resetMs: number;
  /** Milliseconds until so much is allowed; 0 when it is now. Infinite when it is above the limit. */
  readonly retryMs: number;
};

const WINDOW_MS = 60_000;
/** Subjects kept at most: one slot is tens of bytes, and an idle subject is forgotten anyway. */
export const MAX_RATED_SUBJECTS = 100_000;
/** Less than a part of a request in rounding. */
const EPSILON_MS = 0.001;

export class Rates {
  /** Theoretical arrival time per subject; oldest change first. */
  readonly #arrivals = new Map<string, number>();

  /** Takes `cost` of what the subject may use per minute, or nothing when that is not there. */
  take(subject: string, limit: number, { now, cost = 1 }: { now: number; cost?: number }): RateVerdict {
    const verdict = this.peek(subject, limit, { now, cost });
    if (!verdict.allowed) return verdict;
    const arrival = Math.max(now, this.#arrivals.get(subject) ?? 0) + (cost * WINDOW_MS) / limit;
    this.#set(subject, arrival, now);
    return verdictOf(limit, arrival - now, 0);
  }

  /** What `take` would say, without taking anything. */
  peek(subject: string, limit: number, { now, cost = 1 }: { now: number; cost?: number }): RateVerdict {
    const arrival = Math.max(now, this.#arrivals.get(subject) ?? 0);
    const excess = arrival + (cost * WINDOW_MS) / limit - now - WINDOW_MS;
    if (excess <= EPSILON_MS) return verdictOf(limit, arrival - now, 0);
    return verdictOf(limit, arrival - now, cost > limit ? Number.POSITIVE_INFINITY : excess);
  }

  /** Gives back what was taken too much; takes more when `amount` is negative. */
  giveBack(subject: string, limit: number, { now, amount }: { now: number; amount: number }): void {
    const arrival = this.#arrivals.get(subject);
    if (arrival !== undefined) this.#set(subject, arrival - (amount * WINDOW_MS) / limit, now);
    else if (amount < 0) this.#set(subject, now - (amount * WINDOW_MS) / limit, now);
  }

  get size(): number {
    return this.#arrivals.size;
  }

  #set(subject: string, arrival: number, now: number): void {
    this.#arrivals.delete(subject);
    this.#arrivals.set(subject, arrival);
    // Those at the old end have their whole limit back, or there are too many.
    for (const [oldest, at] of this.#arrivals) {
      if (at > now && this.#arrivals.size <= MAX_RATED_SUBJECTS) return;
      if (oldest === subject) return;
      this.#arrivals.delete(oldest);
    }
  }
}

function verdictOf(limit: number, resetMs: number, retryMs: number): RateVerdict {
  const used = (resetMs * limit) / WINDOW_MS;
  const remaining = Math.max(0, Math.floor(limit - used + EPSILON_MS));
  return { allowed: retryMs === 0, limit, remaining, resetMs, retryMs };
}
