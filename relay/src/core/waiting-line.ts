/**
 * Who waits for room, in the order of a deadline of their own: when they came, less the head start of their tier. So a
 * higher tier comes first, and whoever has waited long enough comes before all that came later: nobody waits for ever.
 */

export type Waiting = {
  /** Wall-clock milliseconds. */
  readonly since: number;
  readonly headStartMs: number;
  readonly admit: () => void;
  readonly refuse: () => void;
};

type Entry = Waiting & { readonly key: number; readonly order: number };

export class WaitingLine {
  readonly #limit: number;
  /** Sorted by key, then by order of arrival. */
  readonly #entries: Entry[] = [];
  #count = 0;

  /** `limit`: at most so many wait. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  get length(): number {
    return this.#entries.length;
  }

  /** Lets one wait; gives what takes it out again. Undefined: the line is full, and it comes after all who wait. */
  join(waiting: Waiting): (() => void) | undefined {
    const entry = { ...waiting, key: waiting.since - waiting.headStartMs, order: this.#count++ };
    if (this.#entries.length >= this.#limit) {
      const last = this.#entries.at(-1);
      if (!last || last.key <= entry.key) return undefined;
      this.#entries.pop();
      last.refuse();
    }
    let at = this.#entries.length;
    while (at > 0 && (this.#entries[at - 1]?.key ?? 0) > entry.key) at--;
    this.#entries.splice(at, 0, entry);
    return () => {
      const place = this.#entries.indexOf(entry);
      if (place !== -1) this.#entries.splice(place, 1);
    };
  }

  /** Admits the next one, if anybody waits. */
  next(): boolean {
    const entry = this.#entries.shift();
    entry?.admit();
    return entry !== undefined;
  }

  /** Refuses who has waited since before `since`. */
  refuseOlder(since: number): void {
    for (const entry of this.#entries.filter((one) => one.since < since)) {
      this.#entries.splice(this.#entries.indexOf(entry), 1);
      entry.refuse();
    }
  }

  /** Refuses all. */
  clear(): void {
    for (const entry of this.#entries.splice(0)) entry.refuse();
  }
}
