import { RecentOutcomes } from "./recent-outcomes.ts";

/** Whether an endpoint may be called, as its failures tell. Time is given; wall-clock milliseconds. */

/** Source: Envoy's outlier detection. Who is wrong this often in a row rests. */
export const FAILURES_TO_EJECT = 5;
export const EJECTION_MS = 30_000;
/** Rests grow with each ejection, up to this many times the first. */
export const MAX_EJECTION_FACTOR = 10;

/**
 * Closed, open (ejected) or half-open: failures in a row eject, and a share of the newest requests that failed. After its
 * rest an endpoint gets one request at a time, until one of them succeeds. A failure before that ejects it again, for
 * longer.
 */
export class Breaker {
  readonly #recent = new RecentOutcomes();
  #failures = 0;
  #ejections = 0;
  /** Ejections that a success has ended, but which the newest requests do not let be forgotten. */
  #before = 0;
  #ejectedAt = 0;
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

  /** What was sent before an ejection and comes late says nothing; when that is not known, it is taken for new. */
  onSuccess(sentAt = Number.POSITIVE_INFINITY): void {
    if (this.#ejections > 0 && sentAt < this.#ejectedAt) return;
    this.#recent.add(false);
    this.#before = this.#recent.isCalm ? 0 : Math.min(this.#before + this.#ejections, MAX_EJECTION_FACTOR);
    this.#failures = 0;
    this.#ejections = 0;
    this.#ejectedUntil = 0;
    this.#probes = 0;
  }

  /** True when it is ejected by that. */
  onFailure(now: number): boolean {
    if (now < this.#ejectedUntil) return false;
    this.#recent.add(true);
    this.#failures++;
    const isWrong = this.#failures >= FAILURES_TO_EJECT || this.#recent.isFailing;
    if (this.#ejections === 0 && !isWrong) return false;
    this.eject(now);
    return true;
  }

  /** It rests from now on, as after failures of its own: another process of this relay has seen those. */
  eject(now: number): void {
    if (now < this.#ejectedUntil) return;
    this.#failures = 0;
    this.#ejections = Math.min(this.#ejections + 1, MAX_EJECTION_FACTOR);
    this.#ejectedAt = now;
    this.#ejectedUntil = now + EJECTION_MS * Math.min(this.#ejections + this.#before, MAX_EJECTION_FACTOR);
  }
}
