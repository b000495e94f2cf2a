import type { CachedReply } from "../core/cached-reply.ts";
import type { CacheHit, CacheName, CacheRecording, ReplyCache } from "../flow/cache-ports.ts";

export type CacheLimits = {
  /** Replies, and their bytes: one, one account's, and all. 0 replies: none is kept. */
  readonly maxEntries: number;
  readonly maxEntryBytes: number;
  readonly maxAccountBytes: number;
  readonly maxBytes: number;
};

type Entry = {
  readonly key: string;
  readonly userId: number;
  readonly reply: CachedReply;
  readonly keptAt: number;
  readonly ttlSeconds: number;
};
type Account = { readonly entries: Map<string, Entry>; bytes: number };

/** Kept replies, in memory. What was used least recently goes first: of an account that has too much, then of all. */
export class MemoryReplyCache implements ReplyCache {
  hits = 0;
  misses = 0;
  evictions = 0;
  readonly #limits: CacheLimits;
  readonly #now: () => number;
  /** Both in the order of use: the least recent first. */
  readonly #entries = new Map<string, Entry>();
  readonly #accounts = new Map<number, Account>();
  readonly #recordings = new Map<string, Set<{ isVoid: boolean }>>();
  #bytes = 0;
  /** Of replies that are not whole yet. */
  #recordingBytes = 0;

  constructor(limits: CacheLimits, now: () => number) {
    this.#limits = limits;
    this.#now = now;
  }

  get size(): number {
    return this.#entries.size;
  }

  get bytes(): number {
    return this.#bytes;
  }

  find(name: CacheName): CacheHit | undefined {
    const entry = this.#entries.get(keyOf(name));
    const ageMs = entry ? Math.max(0, this.#now() - entry.keptAt) : 0;
    if (entry && ageMs >= entry.ttlSeconds * 1_000) this.#remove(entry);
    else if (entry) {
      this.hits++;
      this.#touch(entry);
      return { reply: entry.reply, ageSeconds: Math.floor(ageMs / 1_000), ttlSeconds: entry.ttlSeconds };
    }
    this.misses++;
    return undefined;
  }

  begin(name: CacheName): CacheRecording {
    const key = keyOf(name);
    const mark = { isVoid: this.#limits.maxEntries === 0 };
    const marks = this.#recordings.get(key) ?? new Set();
    this.#recordings.set(key, marks.add(mark));
    const { maxEntryBytes, maxBytes } = this.#limits;
    let taken = 0;
    return {
      take: (bytes) => {
        if (mark.isVoid || taken + bytes > maxEntryBytes || this.#recordingBytes + bytes > maxBytes)
          return false;
        taken += bytes;
        this.#recordingBytes += bytes;
        return true;
      },
      end: (reply, ttlSeconds) => {
        this.#recordingBytes -= taken;
        taken = 0;
        marks.delete(mark);
        // After a clearing the name has other recordings.
        if (marks.size === 0 && this.#recordings.get(key) === marks) this.#recordings.delete(key);
        if (reply && !mark.isVoid) this.#keep({ key, userId: name.userId, reply, ttlSeconds });
        mark.isVoid = true;
      },
    };
  }

  clear(name: CacheName): void {
    const key = keyOf(name);
    // What was asked for before is older than this wish, however late it ends.
    for (const mark of this.#recordings.get(key) ?? []) mark.isVoid = true;
    this.#recordings.delete(key);
    const entry = this.#entries.get(key);
    if (entry) this.#remove(entry);
  }

  #keep(about: Omit<Entry, "keptAt">): void {
    const { maxEntries, maxEntryBytes, maxAccountBytes, maxBytes } = this.#limits;
    const { size } = about.reply;
    const old = this.#entries.get(about.key);
    if (old) this.#remove(old);
    if (size > Math.min(maxEntryBytes, maxAccountBytes, maxBytes)) return;
    const account = this.#accounts.get(about.userId) ?? { entries: new Map<string, Entry>(), bytes: 0 };
    while (account.bytes + size > maxAccountBytes) this.#evict(account.entries);
    while (this.#bytes + size > maxBytes || this.#entries.size >= maxEntries) this.#evict(this.#entries);
    const entry = { ...about, keptAt: this.#now() };
    this.#accounts.set(about.userId, account);
    account.entries.set(entry.key, entry);
    this.#entries.set(entry.key, entry);
    account.bytes += size;
    this.#bytes += size;
  }

  #touch(entry: Entry): void {
    for (const entries of [this.#entries, this.#accounts.get(entry.userId)?.entries]) {
      entries?.delete(entry.key);
      entries?.set(entry.key, entry);
    }
  }

  #evict(entries: ReadonlyMap<string, Entry>): void {
    const [oldest] = entries.values();
    if (!oldest) return;
    this.evictions++;
    this.#remove(oldest);
  }

  #remove({ key, userId, reply }: Entry): void {
    const account = this.#accounts.get(userId);
    this.#entries.delete(key);
    this.#bytes -= reply.size;
    if (!account) return;
    account.entries.delete(key);
    account.bytes -= reply.size;
    if (account.entries.size === 0) this.#accounts.delete(userId);
  }
}

const keyOf = ({ userId, contentHash }: CacheName): string => `${userId}!${contentHash}`;
