import type { UnitKinds } from "@aimo/protocol/units";
import { type Attributes, SpanKind, SpanStatusCode, type Tracer } from "@opentelemetry/api";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-http";
import { resourceFromAttributes } from "@opentelemetry/resources";
import { BatchSpanProcessor, TraceIdRatioBasedSampler, TracerProvider } from "@opentelemetry/sdk-trace";
import type { GenerationStart, Outcome } from "./core/types.ts";

export type TracingParameters = {
  /** Where spans go, by OTLP over HTTP, e.g. `http://127.0.0.1:4318/v1/traces`. */
  readonly endpoint: string;
  /** Part of the requests that are traced, percent. */
  readonly samplePercent: number;
  readonly relayId: number;
};

/** Spans of what was served: one for each request, with an event for each provider that was tried. */
export type Tracing = {
  onHold(start: GenerationStart): void;
  /** `kinds`: what the units of a usage are. */
  onCommit(id: string, outcome: Outcome, kinds: UnitKinds | undefined): void;
  /** Sends what is left, and stops. */
  close(): Promise<void>;
};

/** Spans that wait for their export at most: an endpoint that does not answer costs no more memory than these. */
const MAX_QUEUED = 2_048;

/**
 * Traces by OpenTelemetry, where an operator asks for them: numbers and codes, never keys, prompts or completions. Spans
 * are made when a request has ended, with the times it had, so nothing of this is in its way.
 */
export function startTracing({ endpoint, samplePercent, relayId }: TracingParameters): Tracing {
  const exporter = new OTLPTraceExporter({ url: endpoint });
  const provider = new TracerProvider({
    resource: resourceFromAttributes({ "service.name": "aimo-relay", "aimo.relay.id": relayId }),
    sampler: new TraceIdRatioBasedSampler(samplePercent / 100),
    spanProcessors: [new BatchSpanProcessor({ exporter, maxQueueSize: MAX_QUEUED })],
  });
  const tracer = provider.getTracer("aimo-relay");
  const running = new Map<string, GenerationStart>();
  return {
    onHold: (start) => void running.set(start.id, start),
    onCommit: (id, outcome, kinds) => {
      const start = running.get(id);
      running.delete(id);
      if (start) record(tracer, start, { outcome, kinds });
    },
    close: () => provider.shutdown(),
  };
}

type Ended = { readonly outcome: Outcome; readonly kinds: UnitKinds | undefined };

function record(tracer: Tracer, start: GenerationStart, { outcome, kinds }: Ended): void {
  const { createdAt, route, model, id } = start;
  const last = outcome.attempts.at(-1)?.latencyMs ?? 0;
  const endTime = createdAt + (outcome.kind === "usage" ? outcome.generationMs : last);
  const attributes: Attributes = {
    "gen_ai.operation.name": route,
    "gen_ai.provider.name": "aimo",
    "gen_ai.request.model": model,
    "gen_ai.response.id": id,
    ...usageOf(outcome, kinds),
  };
  const span = tracer.startSpan(`${route} ${model}`, {
    ...{ kind: SpanKind.SERVER, startTime: createdAt, attributes, root: true },
  });
  if (outcome.kind === "free") {
    span.setAttribute("error.type", outcome.reason);
    span.setStatus({ code: SpanStatusCode.ERROR, message: outcome.reason });
  }
  let startTime = createdAt;
  for (const { providerId, status, error, latencyMs } of outcome.attempts) {
    span.addEvent(
      "attempt",
      {
        "aimo.provider.id": providerId,
        "aimo.attempt.status": status,
        ...(error ? { "error.type": error } : {}),
      },
      startTime,
    );
    startTime = createdAt + latencyMs;
  }
  span.end(endTime);
}

function usageOf(outcome: Outcome, kinds: UnitKinds | undefined): Attributes {
  if (outcome.kind !== "usage") return {};
  const { units } = outcome.statement;
  const tokens = (slot: 0 | 1 | 2) => (kinds?.[slot] === "token" ? units[slot] : 0);
  return {
    ...(kinds?.[0] === "token" ? { "gen_ai.usage.input_tokens": tokens(0) + tokens(1) } : {}),
    ...(kinds?.[2] === "token" ? { "gen_ai.usage.output_tokens": tokens(2) } : {}),
    "gen_ai.response.finish_reasons": outcome.finishReason === null ? [] : [outcome.finishReason],
    "aimo.provider.id": outcome.providerId,
    "aimo.charge.pusd": outcome.charge.toString(),
    "aimo.cancelled": outcome.cancelled,
  };
}
