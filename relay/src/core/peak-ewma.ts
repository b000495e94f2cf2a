/**
 * Peak EWMA: an average that a bad sample raises at once and good ones lower over time. Source: Finagle's load
 * balancer. Time is given, in milliseconds.
 */

/** The weight of what was seen falls to 1/e in this time. */
export const PEAK_TAU_MS = 10_000;

export class PeakEwma {
  /** Undefined until the first sample. */
  #value: number | undefined;
  #at = 0;

  /** As of the last sample; for comparing, not for balancing. */
  get last(): number | undefined {
    return this.#value;
  }

  add(sample: number, now: number): void {
    const known = this.#value;
    if (known === undefined || sample > known) this.#value = sample;
    else {
      const weight = fading(now - this.#at);
      this.#value = known * weight + sample * (1 - weight);
    }
    this.#at = now;
  }

  /** What is left of it now: without samples it fades, so that who was slow once is tried again. */
  at(now: number): number | undefined {
    return this.#value === undefined ? undefined : this.#value * fading(now - this.#at);
  }
}

/** An average over time that rises and falls alike. */
export class Ewma {
  readonly #tauMs: number;
  #value: number | undefined;
  #at = 0;

  constructor(tauMs: number) {
    this.#tauMs = tauMs;
  }

  get last(): number | undefined {
    return this.#value;
  }

  add(sample: number, now: number): void {
    // Samples of the same moment count too: one part in five, as after a fifth of tau.
    const weight = Math.min(Math.exp(-Math.max(0, now - this.#at) / this.#tauMs), MAX_OLD_WEIGHT);
    this.#value = this.#value === undefined ? sample : this.#value * weight + sample * (1 - weight);
    this.#at = now;
  }
}

const MAX_OLD_WEIGHT = 0.8;

/** A clock that was set back fades nothing. */
const fading = (elapsedMs: number) => Math.exp(-Math.max(0, elapsedMs) / PEAK_TAU_MS);
