import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { json } from "node:stream/consumers";
import type { UnitKinds } from "@aimo/protocol/units";
import { expect } from "chai";
import type { GenerationStart, Outcome } from "../../relay/src/core/types.ts";
import { createMetrics } from "../../relay/src/metrics.ts";
import { startTracing } from "../../relay/src/tracing.ts";

const HASH = `0x${"ab".repeat(32)}` as const;
const start = (id: string, change: Partial<GenerationStart> = {}): GenerationStart => ({
  ...{ id, userId: 7, keyHash: "key", epoch: 1, model: "some-model", route: "chat", streamed: true },
  ...{ createdAt: 1_790_000_000_000, bodyHash: HASH },
  ...change,
});
const served: Outcome = {
  ...{ kind: "usage", providerId: 3, nonce: "0x00", requestHash: HASH, modelId: 1, priceVersion: 1 },
  statement: {
    ...{
      attempt: "0x01",
      issuedAt: 1,
      units: [20, 4, 11],
      cost: "90",
      responseHash: HASH,
      receiptHash: HASH,
    },
  },
  ...{ charge: 100n, finishReason: "stop", cancelled: false, latencyMs: 200, generationMs: 1_200 },
  attempts: [
    { providerId: 2, nonce: "0x00", status: "failed", error: "timeout", latencyMs: 50 },
    { providerId: 3, nonce: "0x00", status: "ok", latencyMs: 1_200 },
  ],
};
const TOKENS: UnitKinds = ["token", "token", "token"];
const free: Outcome = { kind: "free", reason: "cancelled", attempts: [] };

const metrics = () =>
  createMetrics({
    inFlight: () => 2,
    waiting: () => 8,
    shedLevel: () => 1,
    offers: () => 3,
    provisional: () => 4,
    unsettled: () => ({ amount: 5n, receipts: 6, oldestMs: 7_000 }),
    cache: { hits: 8, misses: 9, evictions: 10, size: 11, bytes: 12 },
  });

describe("metrics", () => {
  it("count what was served under OpenTelemetry's names, and its times", async () => {
    const told = metrics();
    told.onHold(start("a"));
    told.onCommit("a", served, TOKENS);
    told.onHold(start("b"));
    told.onCommit("b", free, undefined);
    told.onRefusal("insufficient_credits");
    const text = await told.read();
    for (const line of [
      'aimo_serve_requests_total{outcome="billed"} 1',
      'aimo_serve_requests_total{outcome="cancelled"} 1',
      'aimo_serve_failed_attempts_total{error_type="timeout"} 1',
      'aimo_http_refusals_total{error_type="insufficient_credits"} 1',
      "aimo_serve_charged_pusd_total 100",
      'gen_ai_client_token_usage_sum{gen_ai_operation_name="chat",gen_ai_token_type="input"} 24',
      'gen_ai_client_token_usage_sum{gen_ai_operation_name="chat",gen_ai_token_type="output"} 11',
      'gen_ai_server_request_duration_seconds_sum{gen_ai_operation_name="chat",error_type=""} 1.2',
      'gen_ai_server_time_to_first_token_seconds_sum{gen_ai_operation_name="chat"} 0.2',
      'gen_ai_server_time_per_output_token_seconds_sum{gen_ai_operation_name="chat"} 0.1',
      "aimo_serve_in_flight 2",
      "aimo_serve_waiting 8",
      "aimo_serve_shed_level 1",
      "aimo_gossip_offers 3",
      "aimo_serve_provisional 4",
      "aimo_settle_unsettled_pusd 5",
      "aimo_settle_unsettled_receipts 6",
      "aimo_settle_oldest_seconds 7",
      'aimo_cache_requests_total{result="hit"} 8',
      'aimo_cache_requests_total{result="miss"} 9',
      "aimo_cache_evictions_total 10",
      "aimo_cache_entries 11",
      "aimo_cache_bytes 12",
    ])
      expect(text.split("\n"), line).to.include(line);
  });

  it("count as tokens only what is priced by tokens, and other units by what they are", async () => {
    const told = metrics();
    for (const [id, route, kinds] of [
      ["a", "chat", TOKENS],
      ["b", "speech", ["character", "none", "none"]],
      ["c", "transcriptions", ["millisecond", "none", "none"]],
      ["d", "embeddings", ["token", "none", "none"]],
      ["e", "images", ["none", "none", "image"]],
    ] as const) {
      told.onHold(start(id, { route }));
      told.onCommit(id, served, kinds);
    }
    const lines = (await told.read()).split("\n");
    const of = (name: string) => lines.filter((line) => line.startsWith(name));
    expect(of("gen_ai_client_token_usage_sum").sort()).to.deep.equal([
      'gen_ai_client_token_usage_sum{gen_ai_operation_name="chat",gen_ai_token_type="input"} 24',
      'gen_ai_client_token_usage_sum{gen_ai_operation_name="chat",gen_ai_token_type="output"} 11',
      'gen_ai_client_token_usage_sum{gen_ai_operation_name="embeddings",gen_ai_token_type="input"} 20',
    ]);
    expect(of("aimo_serve_units_total").sort()).to.deep.equal([
      'aimo_serve_units_total{kind="character",slot="0"} 20',
      'aimo_serve_units_total{kind="image",slot="2"} 11',
      'aimo_serve_units_total{kind="millisecond",slot="0"} 20',
      'aimo_serve_units_total{kind="token",slot="0"} 40',
      'aimo_serve_units_total{kind="token",slot="1"} 4',
      'aimo_serve_units_total{kind="token",slot="2"} 11',
    ]);
  });

  it("name no key, account, provider, request or model", async () => {
    const told = metrics();
    for (const id of ["gen-1", "gen-2"]) {
      told.onHold(start(id, { model: `secret-${id}`, keyHash: `hash-${id}` }));
      told.onCommit(id, served, TOKENS);
    }
    const text = await told.read();
    expect(text).to.not.match(/secret|hash-gen|gen-1|0xab/);
    const labels = new Set([...text.matchAll(/[{,]([a-z_]+)="/g)].map(([, name]) => name));
    const known = [
      "outcome",
      "error_type",
      "kind",
      "slot",
      "result",
      "gen_ai_operation_name",
      "gen_ai_token_type",
      "le",
      "version",
    ];
    const process = ["major", "minor", "patch", "kind", "space", "type"];
    for (const name of labels) expect([...known, ...process]).to.include(name);
  });
});

describe("tracing", () => {
  it("sends a span with the times, the usage and the attempts of a request, and none of its content", async () => {
    const bodies: unknown[] = [];
    const server = createServer((request, response) => {
      void json(request).then((body) => {
        bodies.push(body);
        response.writeHead(200, { "content-type": "application/json" }).end("{}");
      });
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    const endpoint = `http://127.0.0.1:${port}/v1/traces`;
    const tracing = startTracing({ endpoint, samplePercent: 100, relayId: 9 });
    tracing.onHold(start("gen-a"));
    tracing.onCommit("gen-a", served, TOKENS);
    tracing.onHold(start("gen-b"));
    tracing.onCommit("gen-b", free, undefined);
    await tracing.close();
    server.close();
    const sent = bodies as {
      resourceSpans: {
        scopeSpans: { spans: { name: string; attributes: { key: string; value: unknown }[] }[] }[];
      }[];
    }[];
    const spans = sent.flatMap(({ resourceSpans }) =>
      resourceSpans.flatMap(({ scopeSpans }) => scopeSpans.flatMap((scope) => scope.spans)),
    );
    expect(spans.map(({ name }) => name)).to.deep.equal(["chat some-model", "chat some-model"]);
    const of = (index: number) =>
      Object.fromEntries((spans[index]?.attributes ?? []).map(({ key, value }) => [key, value]));
    expect(of(0)).to.deep.include({
      "gen_ai.usage.input_tokens": { intValue: 24 },
      "gen_ai.usage.output_tokens": { intValue: 11 },
      "aimo.charge.pusd": { stringValue: "100" },
    });
    expect(of(1)).to.deep.include({ "error.type": { stringValue: "cancelled" } });
    expect(JSON.stringify(spans[0])).to.include("attempt").and.include("timeout");
    const [first] = spans as unknown as { startTimeUnixNano: string; endTimeUnixNano: string }[];
    const lasted = BigInt(first?.endTimeUnixNano ?? 0) - BigInt(first?.startTimeUnixNano ?? 0);
    expect(lasted).to.equal(1_200_000_000n);
  });
});
