import type { Bucket, Journal } from "./journal.ts";

/** Entries of one record of the disk. */
type Page<T> = { readonly key: string; readonly entries: Map<string, T>; isWritten: boolean };

/** A record of some hundred kilobytes; the next entries begin another. */
const MAX_ENTRIES = 1_024;
const KEY_DIGITS = 16;

export type PagesParameters<T> = {
  readonly journal: Journal;
  readonly bucket: Bucket;
  /** JSON of an entry. */
  readonly encode: (entry: T) => string;
};

/**
 * Entries that live for a short time, by id: all that are added before the journal is written share one record, and the
 * record goes when the last of them does. So a request costs no record of its own, neither to begin nor to end.
 * A record is not written anew when a part of it ends: who reads it back must know what has ended since.
 */
export class Pages<T> {
  readonly #parameters: PagesParameters<T>;
  readonly #pageOf = new Map<string, Page<T>>();
  #current: Page<T> | undefined;
  #next = 1;

  constructor(parameters: PagesParameters<T>) {
    this.#parameters = parameters;
  }

  /** Reads what was written back, as JSON values. Call `keep` for what is still open: the rest is dropped. */
  async *restore(): AsyncGenerator<{ id: string; value: unknown; keep(entry: T): void }> {
    const { journal, bucket } = this.#parameters;
    for await (const [key, stored] of journal.entries<Record<string, unknown>>(bucket)) {
      this.#next = Math.max(this.#next, Number(key) + 1);
      const page: Page<T> = { key, entries: new Map(), isWritten: true };
      for (const [id, value] of Object.entries(stored))
        yield {
          id,
          value,
          keep: (entry) => {
            page.entries.set(id, entry);
            this.#pageOf.set(id, page);
          },
        };
      if (page.entries.size === 0) journal.delete(bucket, key);
    }
  }

  add(id: string, entry: T): void {
    const page = this.#openPage();
    page.entries.set(id, entry);
    this.#pageOf.set(id, page);
  }

  /** Ends an entry. Unknown ones are passed over. */
  delete(id: string): void {
    const page = this.#pageOf.get(id);
    if (!page) return;
    this.#pageOf.delete(id);
    page.entries.delete(id);
    // One that is not written yet is written without it.
    if (page.entries.size > 0) return;
    const { journal, bucket } = this.#parameters;
    if (page.isWritten) journal.delete(bucket, page.key);
    else {
      journal.withdraw(bucket, page.key);
      this.#current = undefined;
    }
  }

  #openPage(): Page<T> {
    const current = this.#current;
    if (current && !current.isWritten && current.entries.size < MAX_ENTRIES) return current;
    const key = String(this.#next++).padStart(KEY_DIGITS, "0");
    const page: Page<T> = { key, entries: new Map(), isWritten: false };
    this.#current = page;
    const { journal, bucket } = this.#parameters;
    journal.putText(bucket, key, () => this.#write(page));
    return page;
  }

  #write(page: Page<T>): string {
    page.isWritten = true;
    const { encode } = this.#parameters;
    const members: string[] = [];
    for (const [id, entry] of page.entries) members.push(`${JSON.stringify(id)}:${encode(entry)}`);
    return `{${members.join(",")}}`;
  }
}
