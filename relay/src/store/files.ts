import type { Database } from "@aimo/node/data-dir";
import { randomHex } from "@aimo/node/random";
import { AimoError } from "@aimo/protocol/errors";
import type { FileRecord } from "../core/batch-job.ts";
import type { BatchLimits, FileAbout, Files } from "../flow/batch-ports.ts";
import { BUCKETS } from "./buckets.ts";

/** A file lies in the database in pieces of this size: a read holds one of them in memory. */
const PIECE_BYTES = 128 * 1024;
/** Files of one account; their records are in memory. */
const MAX_FILES_PER_ACCOUNT = 1_000;
const SYNC: { readonly sync: boolean; readonly keyEncoding?: "utf8" } = { sync: true };

type Limits = Pick<BatchLimits, "maxStoredPerAccount" | "maxStored">;

/** Files of accounts: records in memory and on disk, contents on disk. A file is there when its record is. */
export class FileStore implements Files {
  readonly #records;
  readonly #pieces;
  readonly #limits: Limits;
  readonly #now: () => number;
  readonly #byId = new Map<string, FileRecord>();
  readonly #used = new Map<number, number>();
  #total = 0;

  private constructor(db: Database, limits: Limits, now: () => number) {
    this.#records = db.sublevel<string, FileRecord>(BUCKETS.files, { valueEncoding: "json" });
    this.#pieces = db.sublevel<string, Uint8Array>(BUCKETS.pieces, { valueEncoding: "view" });
    this.#limits = limits;
    this.#now = now;
  }

  static async open(db: Database, limits: Limits, now: () => number): Promise<FileStore> {
    const store = new FileStore(db, limits, now);
    for await (const record of store.#records.values()) store.#keep(record);
    await store.#removeOrphans();
    return store;
  }

  async create(
    about: FileAbout,
    content: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  ): Promise<FileRecord> {
    const { userId, id = `file-${randomHex(12)}` } = about;
    const old = this.#byId.get(id);
    if (!old && this.list(userId).length >= MAX_FILES_PER_ACCOUNT)
      throw new AimoError("payload_too_large", {
        message: `An account has at most ${MAX_FILES_PER_ACCOUNT} files; delete some first.`,
      });
    if (old) await this.remove(id);
    let bytes = 0;
    let pieces = 0;
    try {
      for await (const piece of piecesOf(content)) {
        // Taken before it is written: of several at once none gets past the limit.
        this.#take(about, piece.length);
        bytes += piece.length;
        await this.#pieces.put(pieceKey(id, pieces++), piece);
      }
      const { filename, purpose, expiresAt } = about;
      const record = { id, userId, filename, purpose, bytes, createdAt: this.#now(), expiresAt };
      await this.#records.put(id, record, SYNC);
      this.#byId.set(id, record);
      return record;
    } catch (error) {
      this.#give(userId, bytes);
      await this.#pieces.clear(rangeOf(id));
      throw error;
    }
  }

  require(userId: number, id: string, param = "file_id"): FileRecord {
    const record = this.#byId.get(id);
    if (record?.userId === userId && record.expiresAt > this.#now()) return record;
    throw new AimoError("not_found", { message: "The account has no such file.", param });
  }

  list(userId: number): readonly FileRecord[] {
    const now = this.#now();
    return [...this.#byId.values()]
      .filter((record) => record.userId === userId && record.expiresAt > now)
      .sort((a, b) => a.createdAt - b.createdAt || (a.id < b.id ? -1 : 1));
  }

  async *read(id: string): AsyncGenerator<Uint8Array> {
    for await (const piece of this.#pieces.values(rangeOf(id))) yield piece;
  }

  async remove(id: string): Promise<void> {
    const record = this.#byId.get(id);
    if (!record) return;
    this.#byId.delete(id);
    // The record first: without it the pieces are nobody's, and go at the next start at the latest.
    await this.#records.del(id, SYNC);
    await this.#pieces.clear(rangeOf(id));
    this.#give(record.userId, record.bytes);
  }

  usedBy(userId: number): number {
    return this.#used.get(userId) ?? 0;
  }

  async sweep(inUse: ReadonlySet<string>): Promise<void> {
    const now = this.#now();
    for (const { id, expiresAt } of [...this.#byId.values()])
      if (expiresAt <= now && !inUse.has(id)) await this.remove(id);
  }

  #keep(record: FileRecord): void {
    this.#byId.set(record.id, record);
    this.#used.set(record.userId, this.usedBy(record.userId) + record.bytes);
    this.#total += record.bytes;
  }

  /** What a batch gave is stored already, as lines: its files take their place. */
  #take({ userId, purpose }: FileAbout, bytes: number): void {
    const isInput = purpose === "batch";
    const { maxStoredPerAccount, maxStored } = this.#limits;
    const used = this.usedBy(userId);
    if (isInput && used + bytes > maxStoredPerAccount)
      throw new AimoError("payload_too_large", {
        message: `The account's files would be above ${maxStoredPerAccount} bytes in all; delete some first.`,
      });
    if (isInput && this.#total + bytes > maxStored)
      throw new AimoError("overloaded", {
        message: "The relay has no room for files.",
        retryAfterSeconds: 600,
      });
    this.#used.set(userId, used + bytes);
    this.#total += bytes;
  }

  #give(userId: number, bytes: number): void {
    const left = this.usedBy(userId) - bytes;
    if (left > 0) this.#used.set(userId, left);
    else this.#used.delete(userId);
    this.#total -= bytes;
  }

  /** Pieces of files that a crash left without a record. */
  async #removeOrphans(): Promise<void> {
    let last = "";
    for await (const key of this.#pieces.keys()) {
      const id = key.slice(0, key.indexOf("!"));
      if (id === last) continue;
      last = id;
      if (!this.#byId.has(id)) await this.#pieces.clear(rangeOf(id));
    }
  }
}

const pieceKey = (id: string, index: number): string => `${id}!${String(index).padStart(8, "0")}`;
const rangeOf = (id: string) => ({ gt: `${id}!`, lt: `${id}!~` });

/** The same bytes in pieces of one size, but for the last. */
async function* piecesOf(
  content: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  let parts: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of content) {
    let rest = chunk;
    while (size + rest.length >= PIECE_BYTES) {
      const cut = PIECE_BYTES - size;
      yield Buffer.concat([...parts, rest.subarray(0, cut)]);
      parts = [];
      size = 0;
      rest = rest.subarray(cut);
    }
    if (rest.length > 0) parts.push(rest);
    size += rest.length;
  }
  if (size > 0) yield Buffer.concat(parts);
}
