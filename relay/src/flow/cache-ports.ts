import type { CachedReply } from "../core/cached-reply.ts";

/** What the flow needs from where replies are kept. */

/** A request of one account, by a hash of what it asks. */
export type CacheName = { readonly userId: number; readonly contentHash: string };

export type CacheHit = {
  readonly reply: CachedReply;
  readonly ageSeconds: number;
  /** For how long it is kept in all. */
  readonly ttlSeconds: number;
};

/** A reply that is being recorded. */
export interface CacheRecording {
  /** Takes room for more of it; false: there is none. */
  take(bytes: number): boolean;
  /** Keeps the reply, unless its name was cleared since; or gives up. Once. */
  end(reply: CachedReply | undefined, ttlSeconds: number): void;
}

/** store/: replies of accounts, bounded in number and size. Synchronous. */
export interface ReplyCache {
  find(name: CacheName): CacheHit | undefined;
  begin(name: CacheName): CacheRecording;
  /** Forgets a reply, and those that are being recorded now. */
  clear(name: CacheName): void;
}
