import type { ServeLimits } from "../../../relay/src/flow/serve-ports.ts";
import type { HttpSettings } from "../../../relay/src/http/app.ts";
import type { CacheLimits } from "../../../relay/src/store/reply-cache.ts";

/** What a test relay is set to unless its test says otherwise. */

export const CACHE_LIMITS: CacheLimits = {
  ...{ maxEntries: 100, maxEntryBytes: 64 * 1024, maxAccountBytes: 1024 * 1024, maxBytes: 1024 * 1024 },
};

export const LIMITS: ServeLimits = {
  maxAttempts: 3,
  hedgeAfterMs: 0,
  totalMs: 60_000,
  keepAliveMs: 60_000,
  stopWaitMs: 2_000,
  maxReplyBytes: 1024 * 1024,
};
/** A time that no hook of a test needs, unless it is to run out. */
export const HOOK_LIMITS = { timeLimitMs: 300, maxBodyBytes: 64 * 1024, maxReplyBytes: 1024 * 1024 };
export const SETTINGS: HttpSettings = {
  maxBodyBytes: 64 * 1024,
  maxAudioBytes: 1024 * 1024,
  maxBodiesBytes: 1024 * 1024,
  corsOrigins: ["*"],
  requestsPerMinute: 100_000,
  trustedProxies: [],
  authCallsPerMinute: 1_000,
  headersTimeoutMs: 30_000,
  requestTimeoutMs: 30_000,
  readerIdleMs: 60_000,
  maxConnections: 4_096,
  maxConnectionsPerAddress: 4_096,
  uncountedAddresses: [],
};
