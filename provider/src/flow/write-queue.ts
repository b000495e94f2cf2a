import type { FlowLog, Journal, JournalEntry } from "./ports.ts";

/**
 * Group commit: what comes while the disk is busy is written together next, in order. A failing disk is logged and stops
 * nothing that is already owed.
 */
export class WriteQueue {
  readonly #journal: Journal;
  readonly #log: Pick<FlowLog, "error">;
  #waiting: JournalEntry[] = [];
  #last: Promise<void> = Promise.resolve();
  #next: Promise<void> | undefined;

  constructor(journal: Journal, log: Pick<FlowLog, "error">) {
    this.#journal = journal;
    this.#log = log;
  }

  /** Resolves when the entry is on disk, or could not be written. */
  push(entry: JournalEntry): Promise<void> {
    this.#waiting.push(entry);
    if (this.#next) return this.#next;
    const written = this.#last.then(() => this.#write());
    this.#next = written;
    this.#last = written;
    return written;
  }

  /** Resolves when all that was pushed so far is on disk. */
  async flushed(): Promise<void> {
    await this.#last;
  }

  async #write(): Promise<void> {
    const entries = this.#waiting;
    this.#waiting = [];
    this.#next = undefined;
    try {
      await this.#journal.write(entries);
    } catch (error) {
      this.#log.error({ err: error }, "The journal could not be written.");
    }
  }
}
