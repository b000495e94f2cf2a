import type { Database } from "@aimo/node/data-dir";
import { AimoError } from "@aimo/protocol/errors";
import { BUCKETS } from "./buckets.ts";

export type Bucket = keyof typeof BUCKETS;

/** A write waits at most this long for others to share its sync with. */
const TICK_MS = 5;
/** More unsynced writes than this mean that the disk does not keep up: admission stops until it does. */
const MAX_QUEUED = 100_000;
const SYNC: { readonly sync: boolean; readonly keyEncoding?: "utf8" } = { sync: true };

type Op = { type: "put"; key: string; value: string } | { type: "del"; key: string };

/**
 * Group commit: writes are queued in order and reach the disk together, one sync a tick. Callers that must know wait
 * for `flushed`. After a failure nothing more is taken, so that memory never runs away from the disk.
 */
export class Journal {
  readonly #db: Database;
  #queue: Op[] = [];
  #timer: NodeJS.Timeout | undefined;
  #writing: Promise<void> | undefined;
  #failure: unknown;

  constructor(db: Database) {
    this.#db = db;
  }

  /** Throws `overloaded` when the disk does not keep up, `data_corrupt` when it failed. Ask before admitting. */
  requireRoom(): void {
    if (this.#failure !== undefined)
      throw new AimoError("data_corrupt", {
        message: "The journal could not be written; the relay admits nothing.",
        cause: this.#failure,
      });
    if (this.#queue.length > MAX_QUEUED) throw new AimoError("overloaded", { retryAfterSeconds: 1 });
  }

  put(bucket: Bucket, key: string, value: unknown): void {
    this.#push({ type: "put", key: keyOf(bucket, key), value: JSON.stringify(value) });
  }

  delete(bucket: Bucket, key: string): void {
    this.#push({ type: "del", key: keyOf(bucket, key) });
  }

  async get<T>(bucket: Bucket, key: string): Promise<T | undefined> {
    const text = await this.#db.get(keyOf(bucket, key));
    return text === undefined ? undefined : (JSON.parse(text) as T);
  }

  /** All entries of a bucket whose key starts with `prefix`, in the order of keys. */
  async *entries<T>(bucket: Bucket, prefix = ""): AsyncGenerator<[string, T]> {
    const start = keyOf(bucket, prefix);
    for await (const [key, value] of this.#db.iterator({ gte: start, lt: `${start}\uffff` }))
      yield [key.slice(keyOf(bucket, "").length), JSON.parse(value) as T];
  }

  /** Resolves when everything queued so far is on disk; rejects when it cannot be. */
  async flushed(): Promise<void> {
    while (this.#queue.length > 0 || this.#writing) {
      await this.#write();
      if (this.#failure !== undefined) throw this.#failure;
    }
    if (this.#failure !== undefined) throw this.#failure;
  }

  async close(): Promise<void> {
    clearTimeout(this.#timer);
    await this.flushed();
  }

  #push(op: Op): void {
    this.#queue.push(op);
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.#write().catch(() => {});
    }, TICK_MS);
  }

  #write(): Promise<void> {
    if (this.#writing) return this.#writing;
    if (this.#queue.length === 0 || this.#failure !== undefined) return Promise.resolve();
    const ops = this.#queue;
    this.#queue = [];
    this.#writing = this.#db
      .batch(ops, SYNC)
      .catch((error: unknown) => {
        this.#failure = error ?? new Error("The journal could not be written.");
      })
      .finally(() => {
        this.#writing = undefined;
      });
    return this.#writing;
  }
}

function keyOf(bucket: Bucket, key: string): string {
  return `!${BUCKETS[bucket]}!${key}`;
}
