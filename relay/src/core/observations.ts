import type { ErrorCode } from "@aimo/protocol/errors";
import type { Outcome } from "./types.ts";

/**
 * How each provider has served each model, as this relay saw it: counts and samples of what it forwarded itself, never
 * what a provider says of itself. In memory and bounded; a restart begins anew. Times in wall-clock milliseconds.
 */

const MINUTE_MS = 60_000;
const QUARTER_MS = 15 * MINUTE_MS;
/** The longest windows that the two resolutions serve: half an hour in minutes, a day in quarters of an hour. */
const MINUTES = 30;
const QUARTERS = 96;
const SAMPLE_WINDOW_MS = MINUTES * MINUTE_MS;
/** Newest samples kept of one series: percentiles of more than these say nothing more. */
const SAMPLES = 128;
/** Providers times models; the series that was begun first goes first. */
export const MAX_SERIES = 4_096;

/** Requests that count for the uptime. */
export type Counts = { readonly ok: number; readonly failed: number };
export type Percentiles = {
  readonly p50: number;
  readonly p75: number;
  readonly p90: number;
  readonly p99: number;
};
export type Observed = {
  readonly last5m: Counts;
  readonly last30m: Counts;
  readonly last1d: Counts;
  /** Milliseconds to the first byte, and completion tokens per second, of the last half hour. */
  readonly latency: Percentiles | undefined;
  readonly throughput: Percentiles | undefined;
};

/** Failures that say nothing of a provider's health: the client's own, and a full house said so in time. */
const NOT_ITS_FAULT: ReadonlySet<ErrorCode> = new Set([
  "invalid_request",
  "payload_too_large",
  "overloaded",
  "rate_limit_exceeded",
  "credit_limit_reached",
  "shutting_down",
  "cancelled",
]);

/** Whether an attempt that ended so speaks against its provider. */
export const isItsFault = (error: ErrorCode): boolean => !NOT_ITS_FAULT.has(error);

/** Counts per slot of time, over a ring of slots; a slot that is too old counts as empty. */
class Ring {
  readonly #width: number;
  readonly #ids: Float64Array;
  readonly #ok: Uint32Array;
  readonly #failed: Uint32Array;

  constructor(width: number, slots: number) {
    this.#width = width;
    this.#ids = new Float64Array(slots).fill(-1);
    this.#ok = new Uint32Array(slots);
    this.#failed = new Uint32Array(slots);
  }

  add(now: number, isOk: boolean): void {
    const id = Math.floor(now / this.#width);
    const at = id % this.#ids.length;
    if (this.#ids[at] !== id) {
      this.#ids[at] = id;
      this.#ok[at] = 0;
      this.#failed[at] = 0;
    }
    const counts = isOk ? this.#ok : this.#failed;
    counts[at] = (counts[at] ?? 0) + 1;
  }

  /** Of the newest `slots` slots, the one under way included. */
  sum(now: number, slots: number): Counts {
    const newest = Math.floor(now / this.#width);
    let ok = 0;
    let failed = 0;
    for (const [at, id] of this.#ids.entries()) {
      if (id <= newest - slots || id > newest) continue;
      ok += this.#ok[at] ?? 0;
      failed += this.#failed[at] ?? 0;
    }
    return { ok, failed };
  }
}

class Series {
  readonly minutes = new Ring(MINUTE_MS, MINUTES);
  readonly quarters = new Ring(QUARTER_MS, QUARTERS);
  readonly #times = new Float64Array(SAMPLES);
  readonly #latencies = new Float32Array(SAMPLES);
  readonly #rates = new Float32Array(SAMPLES);
  #next = 0;

  add(now: number, isOk: boolean): void {
    this.minutes.add(now, isOk);
    this.quarters.add(now, isOk);
  }

  /** `rate` 0: none. */
  sample(now: number, latencyMs: number, rate: number): void {
    const at = this.#next;
    this.#next = (at + 1) % SAMPLES;
    this.#times[at] = now;
    this.#latencies[at] = latencyMs;
    this.#rates[at] = rate;
  }

  read(now: number): Observed {
    const recent = [...this.#times.keys()].filter((at) => (this.#times[at] ?? 0) > now - SAMPLE_WINDOW_MS);
    const rates = recent.map((at) => this.#rates[at] ?? 0).filter((rate) => rate > 0);
    return {
      last5m: this.minutes.sum(now, 5),
      last30m: this.minutes.sum(now, MINUTES),
      last1d: this.quarters.sum(now, QUARTERS),
      latency: percentilesOf(recent.map((at) => this.#latencies[at] ?? 0)),
      throughput: percentilesOf(rates),
    };
  }
}

/** Nearest rank; undefined of nothing. */
export function percentilesOf(values: readonly number[]): Percentiles | undefined {
  if (values.length === 0) return undefined;
  const sorted = [...values].sort((a, b) => a - b);
  const at = (share: number) => round(sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? 0);
  return { p50: at(0.5), p75: at(0.75), p90: at(0.9), p99: at(0.99) };
}

const round = (value: number) => Math.round(value * 10) / 10;

export class Observations {
  readonly #series = new Map<string, Series>();

  /** Takes in how a request of a model ended. */
  add(model: string, outcome: Outcome, now: number): void {
    for (const { providerId, status, error } of outcome.attempts) {
      if (error !== undefined && NOT_ITS_FAULT.has(error)) continue;
      this.#seriesOf(providerId, model).add(now, status === "ok");
    }
    if (outcome.kind !== "usage" || outcome.cancelled) return;
    const { providerId, latencyMs, generationMs, statement } = outcome;
    const seconds = Math.max(generationMs, 1) / 1000;
    this.#seriesOf(providerId, model).sample(now, latencyMs, statement.units[2] / seconds);
  }

  /** Undefined: nothing was seen of this provider with this model. */
  read(providerId: number, model: string, now: number): Observed | undefined {
    return this.#series.get(keyOf(providerId, model))?.read(now);
  }

  #seriesOf(providerId: number, model: string): Series {
    const key = keyOf(providerId, model);
    const known = this.#series.get(key);
    if (known) return known;
    if (this.#series.size >= MAX_SERIES) {
      const [oldest] = this.#series.keys();
      if (oldest !== undefined) this.#series.delete(oldest);
    }
    const made = new Series();
    this.#series.set(key, made);
    return made;
  }
}

const keyOf = (providerId: number, model: string): string => `${providerId} ${model}`;

/** Share of requests that went well; undefined without any. */
export function uptimeOf({ ok, failed }: Counts): number | undefined {
  return ok + failed === 0 ? undefined : ok / (ok + failed);
}
