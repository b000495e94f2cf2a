import { ROUTE_HEADERS } from "@aimo/protocol/routes";

/** Longest wait that a relay can impose before a retry; beyond it the error is given to the caller. */
const MAX_WAIT_MS = 60_000;
const FIRST_WAIT_MS = 500;
const LONGEST_BACKOFF_MS = 8_000;

/**
 * 409 is retried only when the relay says when: the first try with this Idempotency-Key is still running. What the relay
 * says is not to be repeated may have been carried out.
 */
export function isRetryable(status: number, headers: Headers): boolean {
  if (headers.get(ROUTE_HEADERS.shouldRetry) === "false") return false;
  if (status === 409) return headers.has("retry-after");
  return status === 408 || status === 429 || status >= 500;
}

export type RetryParameters = {
  /** 0 for the first retry. */
  readonly attempt: number;
  readonly retryAfter: string | null | undefined;
  readonly nowMs: number;
  /** In [0, 1). */
  readonly random: number;
};

/**
 * Milliseconds to wait before a retry: what `Retry-After` says (seconds or a date), else doubling from half a second to
 * eight, less up to a quarter so that clients do not march in step. Undefined: the wait is too long, do not retry.
 */
export function retryDelayMs({ attempt, retryAfter, nowMs, random }: RetryParameters): number | undefined {
  const asked = retryAfter ? parseRetryAfter(retryAfter, nowMs) : undefined;
  if (asked !== undefined) return asked <= MAX_WAIT_MS ? asked : undefined;
  return Math.min(FIRST_WAIT_MS * 2 ** attempt, LONGEST_BACKOFF_MS) * (1 - 0.25 * random);
}

function parseRetryAfter(text: string, nowMs: number): number | undefined {
  if (/^\d+(\.\d+)?$/.test(text.trim())) return Number(text) * 1000;
  const date = Date.parse(text);
  return Number.isNaN(date) ? undefined : Math.max(0, date - nowMs);
}

/** Waits, or throws the signal's reason as soon as it is aborted. */
export function wait(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason);
    const onAbort = () => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", onAbort);
      resolve();
    }, ms);
    signal?.addEventListener("abort", onAbort, { once: true });
  });
}
