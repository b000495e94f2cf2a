import type { Tier } from "./tiers.ts";

/**
 * Refuses work before latency collapses: while the event loop lags, the lowest tier is refused, then the next. What
 * pays most is refused last, by full queues alone. It begins at a threshold and ends well below it, so it does not
 * flutter.
 */

/** Of the threshold: below this part of it, a step is taken back. */
const EASE = 0.5;
const REFUSED: readonly (readonly Tier[])[] = [[], ["free"], ["free", "pro"]];

export class Shedding {
  readonly #thresholdMs: number;
  #level = 0;

  /** `thresholdMs`: lag at which the first tier is refused; the second at twice as much. 0: never. */
  constructor(thresholdMs: number) {
    this.#thresholdMs = thresholdMs;
  }

  get level(): number {
    return this.#level;
  }

  /** Takes in how late the event loop was since it was last told. One step at a time. */
  note(lagMs: number): void {
    if (this.#thresholdMs === 0) return;
    const rises = lagMs >= this.#thresholdMs * (this.#level + 1);
    const eases = this.#level > 0 && lagMs < this.#thresholdMs * this.#level * EASE;
    if (rises) this.#level = Math.min(this.#level + 1, REFUSED.length - 1);
    else if (eases) this.#level--;
  }

  refuses(tier: Tier): boolean {
    return this.#level > 0 && (REFUSED[this.#level]?.includes(tier) ?? false);
  }
}
