import { setImmediate as turn } from "node:timers/promises";
import type { Database } from "@aimo/node/data-dir";
import { AimoError } from "@aimo/protocol/errors";
import { BUCKETS } from "./buckets.ts";
import { jsonOf } from "./records.ts";

export type Bucket = keyof typeof BUCKETS;

/** A write waits at most this long for others to share its sync with. */
const TICK_MS = 5;
/** More unsynced writes than this mean that the disk does not keep up: admission stops until it does. */
const MAX_QUEUED = 100_000;
const SYNC: { readonly sync: boolean; readonly keyEncoding?: "utf8" } = { sync: true };

/** What the entry of a key becomes: its text is made when it is written. */
type Write = (() => string) | "deleted";

/**
 * Group commit: writes are queued in order and reach the disk together, one sync a tick. Callers that must know wait
 * for `flushed`. After a failure nothing more is taken, so that memory never runs away from the disk.
 */
export class Journal {
  readonly #db: Database;
  /** By key: what is written twice before it reaches the disk is written once. */
  #queue = new Map<string, Write>();
  /** What is on its way to the disk. */
  #sent: ReadonlyMap<string, Write> = new Map();
  #timer: NodeJS.Timeout | undefined;
  #writing: Promise<void> | undefined;
  #failure: unknown;
  /** How many writes were queued, and how many of them are on disk. */
  #pushed = 0;
  #synced = 0;

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
    if (this.#queue.size > MAX_QUEUED) throw new AimoError("overloaded", { retryAfterSeconds: 1 });
  }

  /**
   * The value becomes JSON when it is written, big integers marked (`fromStored` reads them), so it must not change; a
   * function is asked for it then.
   */
  put(bucket: Bucket, key: string, value: unknown): void {
    this.#push(keyOf(bucket, key), () => jsonOf(typeof value === "function" ? value() : value));
  }

  /** The same for who makes the JSON. */
  putText(bucket: Bucket, key: string, text: () => string): void {
    this.#push(keyOf(bucket, key), text);
  }

  delete(bucket: Bucket, key: string): void {
    this.#push(keyOf(bucket, key), "deleted");
  }

  /** Takes back what was put and is not on its way to the disk: as if it had never been. For keys that never were. */
  withdraw(bucket: Bucket, key: string): void {
    this.#queue.delete(keyOf(bucket, key));
  }

  /** What was put last, whether it is on the disk yet or not. */
  async get<T>(bucket: Bucket, key: string): Promise<T | undefined> {
    const name = keyOf(bucket, key);
    const write = this.#queue.get(name) ?? this.#sent.get(name);
    if (write === "deleted") return undefined;
    const text = write ? write() : await this.#db.get(name);
    return text === undefined ? undefined : (JSON.parse(text) as T);
  }

  /** True when nothing was ever written. */
  async isEmpty(): Promise<boolean> {
    for (const bucket of Object.keys(BUCKETS) as Bucket[]) {
      const start = keyOf(bucket, "");
      const keys = await this.#db.keys({ gte: start, lt: `${start}\uffff`, limit: 1 }).all();
      if (keys.length > 0) return false;
    }
    return true;
  }

  /** The entry of a bucket with the highest key. */
  async last<T>(bucket: Bucket): Promise<T | undefined> {
    const start = keyOf(bucket, "");
    const [value] = await this.#db
      .values({ gte: start, lt: `${start}\uffff`, reverse: true, limit: 1 })
      .all();
    return value === undefined ? undefined : (JSON.parse(value) as T);
  }

  /** Entries of a bucket whose key starts with `prefix`, in the order of keys; only those after the key `after`. */
  async *entries<T>(bucket: Bucket, prefix = "", after?: string): AsyncGenerator<[string, T]> {
    const start = keyOf(bucket, prefix);
    const from = after === undefined ? { gte: start } : { gt: keyOf(bucket, after) };
    for await (const [key, value] of this.#db.iterator({ ...from, lt: `${start}\uffff` }))
      yield [key.slice(keyOf(bucket, "").length), JSON.parse(value) as T];
  }

  /** Resolves when everything queued so far is on disk; rejects when it cannot be. */
  async flushed(): Promise<void> {
    // Only what was said so far: under load the queue is never empty.
    const target = this.#pushed;
    while (this.#synced < target && this.#failure === undefined) await this.#write();
    if (this.#failure !== undefined) throw this.#failure;
  }

  async close(): Promise<void> {
    clearTimeout(this.#timer);
    await this.flushed();
  }

  #push(key: string, write: Write): void {
    if (this.#failure !== undefined) return;
    this.#queue.set(key, write);
    this.#pushed += 1;
    this.#schedule();
  }

  #schedule(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.#write().catch(() => {});
    }, TICK_MS);
  }

  #write(): Promise<void> {
    this.#writing ??= this.#writeQueue().finally(() => {
      this.#writing = undefined;
      // What came while the disk was busy found its timer used up.
      if (this.#queue.size > 0 && this.#failure === undefined) this.#schedule();
    });
    return this.#writing;
  }

  /** Takes the queue in a turn of its own, so that what belongs together is never parted by a crash. */
  async #writeQueue(): Promise<void> {
    await turn();
    const writes = this.#queue;
    const taken = this.#pushed;
    this.#queue = new Map();
    if (writes.size === 0 || this.#failure !== undefined) return;
    this.#sent = writes;
    try {
      await this.#db.batch([...writes].map(opOf), SYNC);
      this.#synced = taken;
    } catch (error) {
      this.#failure = error ?? new Error("The journal could not be written.");
      this.#queue = new Map();
    }
    this.#sent = new Map();
  }
}

function opOf([key, write]: readonly [string, Write]) {
  if (write === "deleted") return { type: "del", key } as const;
  return { type: "put", key, value: write() } as const;
}

function keyOf(bucket: Bucket, key: string): string {
  return `!${BUCKETS[bucket]}!${key}`;
}
