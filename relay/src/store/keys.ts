import { hash, randomBytes } from "node:crypto";
import type { Database } from "@aimo/node/data-dir";
import { AimoError } from "@aimo/protocol/errors";
import type { Address } from "viem";
import { encodeBase58 } from "../core/base58.ts";
import type { Caller } from "../core/types.ts";
import type { KeyRecord, KeySettings, Keys } from "../flow/ports.ts";

const PREFIX = "aimo-sk-";
/** 32 random bytes: nobody finds one by trying. */
const KEY_BYTES = 32;
/** Keys of one account: far above any use, and all of them are in memory. */
export const MAX_KEYS_PER_ACCOUNT = 1_000;
/** Level on disk waits for the disk then; level in memory does not know the option. */
const SYNC: { readonly sync: boolean; readonly keyEncoding?: "utf8" } = { sync: true };

type Entry = { readonly record: KeyRecord; readonly caller: Caller };
/** As stored: JSON has no big integers and no undefined. */
type Stored = Omit<KeyRecord, "limit"> & { readonly limit?: string };

/**
 * API keys, all in memory and on disk, by SHA-256 only. Every known hash is in one map, so an unknown key costs one
 * hash and one lookup, and there is nothing to cache about it.
 */
export class KeyStore implements Keys {
  readonly #db;
  readonly #now: () => number;
  readonly #byHash = new Map<string, Entry>();
  readonly #byUser = new Map<number, Set<string>>();
  /** Changes happen one after the other: each sees what the one before it did. */
  #last: Promise<unknown> = Promise.resolve();

  private constructor(db: Database, now: () => number) {
    this.#db = db.sublevel<string, Stored>("keys", { valueEncoding: "json" });
    this.#now = now;
  }

  /** Reads all keys. `now` is the wall clock in milliseconds. */
  static async open(db: Database, now: () => number): Promise<KeyStore> {
    const store = new KeyStore(db, now);
    for await (const stored of store.#db.values()) store.#keep(fromStored(stored));
    return store;
  }

  authenticate(key: string): Entry {
    return this.byHash(key.startsWith(PREFIX) ? hashKey(key) : "");
  }

  byHash(hash: string): Entry {
    const entry = this.#byHash.get(hash);
    if (!entry) throw new AimoError("authentication_failed");
    const { disabled, expiresAt } = entry.record;
    if (disabled) throw new AimoError("authentication_failed", { message: "The API key is disabled." });
    if (expiresAt !== undefined && expiresAt <= this.#now())
      throw new AimoError("authentication_failed", {
        message: `The API key expired at ${new Date(expiresAt).toISOString()}.`,
      });
    return entry;
  }

  create(
    account: { userId: number; owner: Address },
    settings: KeySettings,
  ): Promise<{ key: string; record: KeyRecord }> {
    return this.#inTurn(() => this.#create(account, settings));
  }

  async #create({ userId, owner }: { userId: number; owner: Address }, settings: KeySettings) {
    if ((this.#byUser.get(userId)?.size ?? 0) >= MAX_KEYS_PER_ACCOUNT)
      throw new AimoError("invalid_request", {
        message: `An account has at most ${MAX_KEYS_PER_ACCOUNT} keys; revoke one first.`,
      });
    const key = PREFIX + encodeBase58(randomBytes(KEY_BYTES));
    const label = `${key.slice(0, PREFIX.length + 4)}…${key.slice(-4)}`;
    const record = { ...settings, hash: hashKey(key), label, userId, owner, createdAt: this.#now() };
    await this.#save(record);
    this.#keep(record);
    return { key, record };
  }

  list(userId: number): readonly KeyRecord[] {
    const hashes = [...(this.#byUser.get(userId) ?? [])];
    const records = hashes.flatMap((hash) => this.#byHash.get(hash)?.record ?? []);
    return records.sort((a, b) => a.createdAt - b.createdAt);
  }

  find(userId: number, hash: string): KeyRecord | undefined {
    const record = this.#byHash.get(hash)?.record;
    return record?.userId === userId ? record : undefined;
  }

  change(userId: number, hash: string, settings: Partial<KeySettings>): Promise<KeyRecord> {
    return this.#inTurn(async () => {
      const record = { ...this.#require(userId, hash), ...settings };
      await this.#save(record);
      // Revoked while the disk was busy: its removal is next in turn.
      this.#require(userId, hash);
      this.#keep(record);
      return record;
    });
  }

  async remove(userId: number, hash: string): Promise<void> {
    this.#require(userId, hash);
    // Gone from memory first: a revoked key stops at once, whatever the disk does.
    this.#byHash.delete(hash);
    this.#byUser.get(userId)?.delete(hash);
    await this.#inTurn(() => this.#db.del(hash, SYNC));
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#last.then(work);
    this.#last = done.catch(() => {});
    return done;
  }

  #require(userId: number, hash: string): KeyRecord {
    const record = this.find(userId, hash);
    if (record) return record;
    throw new AimoError("not_found", { message: "The account has no such key.", param: "hash" });
  }

  async #save(record: KeyRecord): Promise<void> {
    await this.#db.put(record.hash, toStored(record), SYNC);
  }

  #keep(record: KeyRecord): void {
    const { userId, owner, hash: keyHash, models, limit, limitReset } = record;
    const { tokensPerMinute, maxInFlight, showUsage } = record;
    const limits = { limit, limitReset, tokensPerMinute, maxInFlight, showUsage };
    this.#byHash.set(keyHash, { record, caller: { userId, owner, keyHash, models, ...limits } });
    const hashes = this.#byUser.get(userId) ?? new Set();
    this.#byUser.set(userId, hashes.add(keyHash));
  }
}

const hashKey = (key: string): string => hash("sha256", key, "hex");

function toStored({ limit, ...rest }: KeyRecord): Stored {
  return limit === undefined ? rest : { ...rest, limit: limit.toString() };
}

function fromStored(stored: Stored): KeyRecord {
  const { limit, limitReset, expiresAt, models } = stored;
  return { ...stored, limitReset, expiresAt, models, limit: limit === undefined ? undefined : BigInt(limit) };
}
