/** Whether an endpoint may be called, as its failures in a row tell. Time is given; wall-clock milliseconds. */

/** Source: Envoy's outlier detection. Who is wrong this often in a row rests. */
export const FAILURES_TO_EJECT = 5;
export const EJECTION_MS = 30_000;
/** Rests grow with each ejection in a row, up to this many times the first. */
export const MAX_EJECTION_FACTOR = 10;

/**
 * Closed, open (ejected) or half-open: after its rest an endpoint gets one request at a time, until one of them
 * succeeds. A failure before that ejects it again, for longer.
 */
export class Breaker {
  #failures = 0;
  #ejections = 0;
  #ejectedUntil = 0;
  #probes = 0;

  /** True while it rests, and while a probe tells whether it has recovered. */
  isResting(now: number): boolean {
    return this.#ejections > 0 && (now < this.#ejectedUntil || this.#probes > 0);
  }

  /** A request is sent. True when it is a probe: give that back to `end`. */
  begin(): boolean {
    if (this.#ejections === 0) return false;
    this.#probes++;
    return true;
  }

  end(isProbe: boolean): void {
    // A success in between has forgotten the probes.
    if (isProbe && this.#probes > 0) this.#probes--;
  }

  onSuccess(): void {
    this.#failures = 0;
    this.#ejections = 0;
    this.#ejectedUntil = 0;
    this.#probes = 0;
  }

  onFailure(now: number): void {
    if (now < this.#ejectedUntil) return;
    this.#failures++;
    if (this.#ejections === 0 && this.#failures < FAILURES_TO_EJECT) return;
    this.#failures = 0;
    this.#ejections = Math.min(this.#ejections + 1, MAX_EJECTION_FACTOR);
    this.#ejectedUntil = now + EJECTION_MS * this.#ejections;
  }
}
