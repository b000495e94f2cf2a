/** How busy a model is and how fast it answers: what an announcement says of it. */

/** Times to first token kept for the median: recent enough to follow the load, enough to be steady. */
const LATENCY_SAMPLES = 64;

export class Slots {
  readonly limit: number;
  #busy = 0;
  readonly #latencies: number[] = [];
  #next = 0;

  constructor(limit: number) {
    this.limit = limit;
  }

  get busy(): number {
    return this.#busy;
  }

  get free(): number {
    return Math.max(0, this.limit - this.#busy);
  }

  /** Takes a slot; false when all are busy. */
  take(): boolean {
    if (this.#busy >= this.limit) return false;
    this.#busy++;
    return true;
  }

  give(): void {
    this.#busy--;
  }

  /** Notes a time to first token, milliseconds. */
  note(latencyMs: number): void {
    this.#latencies[this.#next] = latencyMs;
    this.#next = (this.#next + 1) % LATENCY_SAMPLES;
  }

  /** Median time to first token in whole milliseconds; 0 when not known yet. */
  get latencyMs(): number {
    if (this.#latencies.length === 0) return 0;
    const sorted = [...this.#latencies].sort((a, b) => a - b);
    return Math.round(sorted[Math.floor(sorted.length / 2)] ?? 0);
  }
}

/** Whether relays should hear of a change at once: a model became full or free, or moved by a quarter of its slots. */
export function isMaterial(announced: number, free: number, limit: number): boolean {
  if ((announced === 0) !== (free === 0)) return true;
  return Math.abs(announced - free) >= Math.max(1, Math.ceil(limit / 4));
}
