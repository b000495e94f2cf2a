/** Ids go on from 1 again after this many. */
const MAX_ID = 2 ** 32 - 1;
const FIRST_SIZE = 64;

/**
 * What is in flight, by a number that it gets here: an array whose places are used again. Not a `Map`: one through which
 * many entries pass is rebuilt again and again, and V8 chains each table that it gave up to its successor. Once one of
 * them is in the old space, all that follow are kept there with what they held, until the next full collection.
 */
export class Slots<T extends { readonly id: number }> {
  /** Always a power of two long, and the id of each entry is unique modulo that. */
  #entries: (T | undefined)[] = empty(FIRST_SIZE);
  #lastId = 0;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** Keeps what `make` gives for an id, 1 to 2^32 - 1; ids are used again only after all the others. */
  add(make: (id: number) => T): T {
    if (this.#size === this.#entries.length) this.#grow();
    do this.#lastId = this.#lastId === MAX_ID ? 1 : this.#lastId + 1;
    while (this.#entries[this.#placeOf(this.#lastId)]);
    const id = this.#lastId;
    const entry = make(id);
    this.#entries[this.#placeOf(id)] = entry;
    this.#size++;
    return entry;
  }

  get(id: number): T | undefined {
    const entry = this.#entries[this.#placeOf(id)];
    return entry?.id === id ? entry : undefined;
  }

  /** False when there was none. */
  delete(id: number): boolean {
    if (this.get(id) === undefined) return false;
    this.#entries[this.#placeOf(id)] = undefined;
    this.#size--;
    return true;
  }

  /** All of now, whatever happens to them meanwhile. */
  all(): T[] {
    return this.#entries.filter((entry) => entry !== undefined);
  }

  clear(): void {
    this.#entries = empty(FIRST_SIZE);
    this.#size = 0;
  }

  #placeOf(id: number): number {
    return id & (this.#entries.length - 1);
  }

  #grow(): void {
    const old = this.#entries;
    this.#entries = empty(old.length * 2);
    for (const entry of old) if (entry) this.#entries[this.#placeOf(entry.id)] = entry;
  }
}

const empty = (size: number) => new Array(size).fill(undefined);
