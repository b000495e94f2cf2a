import type { ErrorCode } from "@aimo/protocol/errors";
import type { UnitKinds } from "@aimo/protocol/units";
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";
import type { GenerationStart, Outcome, Route } from "./core/types.ts";
import type { CountResult } from "./token-counter.ts";

/**
 * What a relay counts, for Prometheus. Names are those of OpenTelemetry's conventions for generative AI where it has one.
 * Labels are closed sets: never a key, an id, a provider or a model's name from a request.
 */
export type RelayMetrics = {
  readonly contentType: string;
  read(): Promise<string>;
  onHold(start: GenerationStart): void;
  /** `kinds`: what the units of a usage are; undefined where it is free. */
  onCommit(id: string, outcome: Outcome, kinds: UnitKinds | undefined): void;
  /** A request that was answered with an error of the table instead of a reply. */
  onRefusal(code: ErrorCode): void;
  /** A provider's count was compared with the relay's own, or there was no room for that. */
  onCount(result: CountResult): void;
};

export type MetricsSources = {
  readonly inFlight: () => number;
  /** Requests that wait for room, and how many steps of load are refused. */
  readonly waiting: () => number;
  readonly shedLevel: () => number;
  readonly offers: () => number;
  /** What is billed and not posted yet: pUSD, receipts, and the age of the oldest in milliseconds. */
  readonly unsettled: () => {
    readonly amount: bigint;
    readonly receipts: number;
    readonly oldestMs: number | undefined;
  };
  /** Requests that wait for their provider's signature. */
  readonly provisional: () => number;
  readonly cache: CacheCounts;
};

/** Kept replies: what was asked of them since the start, and what there is now. */
export type CacheCounts = {
  readonly hits: number;
  readonly misses: number;
  readonly evictions: number;
  readonly size: number;
  readonly bytes: number;
};

/** Source: the buckets that OpenTelemetry's conventions for generative AI advise. */
const TOKEN_BUCKETS = Array.from({ length: 14 }, (_, power) => 4 ** power);
const DURATION_BUCKETS = Array.from({ length: 14 }, (_, power) => 0.01 * 2 ** power);
const FIRST_TOKEN_BUCKETS = [
  0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10,
];
const PER_TOKEN_BUCKETS = [0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5];
/** What has ended is counted by the batch, away from the requests: a scrape is rarer than a request by far. */
const MAX_PENDING = 1_024;

const OPERATIONS: Readonly<Partial<Record<Route, string>>> = { images: "image_generation" };

const SLOTS = [0, 1, 2] as const;
type Slot = (typeof SLOTS)[number];
const NO_KINDS: UnitKinds = ["none", "none", "none"];

type Ended = {
  readonly start: GenerationStart | undefined;
  readonly outcome: Outcome;
  readonly kinds: UnitKinds | undefined;
};

export function createMetrics(sources: MetricsSources): RelayMetrics {
  const registry = new Registry();
  const instruments = createInstruments(registry);
  createGauges(registry, sources);
  createCacheMetrics(registry, sources.cache);
  collectDefaultMetrics({ register: registry });
  const running = new Map<string, GenerationStart>();
  let ended: Ended[] = [];
  const count = () => {
    const batch = ended;
    ended = [];
    for (const one of batch) countOne(instruments, one);
  };
  return {
    contentType: registry.contentType,
    read: () => {
      count();
      return registry.metrics();
    },
    onHold: (start) => void running.set(start.id, start),
    onCommit: (id, outcome, kinds) => {
      ended.push({ start: running.get(id), outcome, kinds });
      running.delete(id);
      if (ended.length >= MAX_PENDING) count();
    },
    onRefusal: (code) => instruments.refusals.inc({ error_type: code }),
    onCount: (result) => instruments.counts.inc({ result }),
  };
}

type Instruments = ReturnType<typeof createInstruments>;

function createInstruments(registry: Registry) {
  const registers = [registry];
  const counter = <T extends string>(name: string, help: string, labelNames: readonly T[]) =>
    new Counter({ name, help, registers, labelNames });
  const histogram = <T extends string>(
    name: string,
    help: string,
    { buckets, labelNames }: { buckets: number[]; labelNames: readonly T[] },
  ) => new Histogram({ name, help, registers, buckets, labelNames });
  const operation = ["gen_ai_operation_name"] as const;
  const about = ["gen_ai_operation_name", "error_type"] as const;
  return {
    requests: counter("aimo_serve_requests_total", "Requests that were held for, by how they ended.", [
      "outcome",
    ]),
    refusals: counter("aimo_http_refusals_total", "Requests answered with an error, by its code.", [
      "error_type",
    ]),
    failures: counter("aimo_serve_failed_attempts_total", "Providers tried in vain, by how they failed.", [
      "error_type",
    ]),
    counts: counter("aimo_serve_counts_total", "Providers' token counts compared with the relay's own.", [
      "result",
    ]),
    charged: counter("aimo_serve_charged_pusd_total", "Charged, provisionally, in pUSD.", []),
    units: counter("aimo_serve_units_total", "Billed units, by what they are and their slot in the price.", [
      "kind",
      "slot",
    ]),
    tokens: histogram("gen_ai_client_token_usage", "Billed tokens of a request that is priced by them.", {
      buckets: TOKEN_BUCKETS,
      labelNames: ["gen_ai_operation_name", "gen_ai_token_type"],
    }),
    duration: histogram(
      "gen_ai_server_request_duration_seconds",
      "From a request's hold to the end of its reply.",
      { buckets: DURATION_BUCKETS, labelNames: about },
    ),
    firstToken: histogram(
      "gen_ai_server_time_to_first_token_seconds",
      "From a request's hold to the first token of its stream.",
      { buckets: FIRST_TOKEN_BUCKETS, labelNames: operation },
    ),
    perToken: histogram(
      "gen_ai_server_time_per_output_token_seconds",
      "Between two tokens of a stream, after the first.",
      { buckets: PER_TOKEN_BUCKETS, labelNames: operation },
    ),
  };
}

function createGauges(registry: Registry, sources: MetricsSources): void {
  const gauge = (name: string, help: string, read: () => number) =>
    new Gauge({
      ...{ name, help, registers: [registry] },
      collect() {
        this.set(read());
      },
    });
  gauge("aimo_serve_in_flight", "Requests in flight.", sources.inFlight);
  gauge("aimo_serve_waiting", "Requests that wait for room.", sources.waiting);
  gauge("aimo_serve_shed_level", "Tiers that are refused because the event loop lags.", sources.shedLevel);
  gauge("aimo_serve_provisional", "Requests that wait for their provider's signature.", sources.provisional);
  gauge("aimo_gossip_offers", "Live offers.", sources.offers);
  gauge("aimo_settle_unsettled_pusd", "Billed and not posted yet, in pUSD.", () =>
    Number(sources.unsettled().amount),
  );
  gauge("aimo_settle_unsettled_receipts", "Receipts that are billed and not posted yet.", () =>
    Number(sources.unsettled().receipts),
  );
  gauge("aimo_settle_oldest_seconds", "Age of the oldest receipt that is not posted yet.", () =>
    Number((sources.unsettled().oldestMs ?? 0) / 1_000),
  );
}

function createCacheMetrics(registry: Registry, cache: CacheCounts): void {
  const registers = [registry];
  new Counter({
    ...{
      name: "aimo_cache_requests_total",
      help: "Requests that asked for a kept reply, by what was found.",
    },
    ...{ registers, labelNames: ["result"] as const },
    collect() {
      this.reset();
      this.inc({ result: "hit" }, cache.hits);
      this.inc({ result: "miss" }, cache.misses);
    },
  });
  new Counter({
    ...{ name: "aimo_cache_evictions_total", help: "Kept replies that made room for others.", registers },
    collect() {
      this.reset();
      this.inc(cache.evictions);
    },
  });
  const gauge = (name: string, help: string, read: () => number) =>
    new Gauge({
      ...{ name, help, registers },
      collect() {
        this.set(read());
      },
    });
  gauge("aimo_cache_entries", "Kept replies.", () => cache.size);
  gauge("aimo_cache_bytes", "Bytes of kept replies.", () => cache.bytes);
}

function countOne(to: Instruments, { start, outcome, kinds = NO_KINDS }: Ended): void {
  to.requests.inc({ outcome: outcome.kind === "usage" ? "billed" : outcome.reason });
  for (const { error } of outcome.attempts) if (error) to.failures.inc({ error_type: error });
  if (outcome.kind !== "usage") return;
  const { charge, statement, latencyMs, generationMs, cancelled } = outcome;
  to.charged.inc(Number(charge));
  const { units } = statement;
  for (const slot of SLOTS)
    if (kinds[slot] !== "none") to.units.inc({ kind: kinds[slot], slot: String(slot) }, units[slot]);
  if (!start) return;
  const operation = { gen_ai_operation_name: OPERATIONS[start.route] ?? start.route };
  to.duration.observe({ ...operation, error_type: cancelled ? "cancelled" : "" }, generationMs / 1_000);
  const tokens = (slot: Slot) => (kinds[slot] === "token" ? units[slot] : 0);
  if (kinds[0] === "token" || kinds[1] === "token")
    to.tokens.observe({ ...operation, gen_ai_token_type: "input" }, tokens(0) + tokens(1));
  const output = tokens(2);
  if (kinds[2] === "token") to.tokens.observe({ ...operation, gen_ai_token_type: "output" }, output);
  if (start.route !== "chat" || !start.streamed) return;
  to.firstToken.observe(operation, latencyMs / 1_000);
  if (output > 1) to.perToken.observe(operation, (generationMs - latencyMs) / 1_000 / (output - 1));
}
