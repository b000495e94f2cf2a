/** When a batch may send its next line, as refusals for lack of room or rate tell. Wall-clock milliseconds, given. */

export const FIRST_PAUSE_MS = 500;
export const MAX_PAUSE_MS = 30_000;

/**
 * A pause after a refusal, twice as long after each further one until a line is served. Lines that were refused together
 * count once.
 */
export class BatchPace {
  #refusals = 0;
  #until = 0;

  /** `retryAfterSeconds`: what the refusal says itself; the pause is no shorter, up to the longest. */
  onRefusal(now: number, retryAfterSeconds = 0): void {
    if (now < this.#until) return;
    const pauseMs = Math.max(FIRST_PAUSE_MS * 2 ** this.#refusals, retryAfterSeconds * 1_000);
    this.#until = now + Math.min(pauseMs, MAX_PAUSE_MS);
    this.#refusals++;
  }

  onServed(): void {
    this.#refusals = 0;
  }

  /** 0: now. */
  waitMs(now: number): number {
    return Math.max(0, this.#until - now);
  }
}
