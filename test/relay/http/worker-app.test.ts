import { silentLog } from "@aimo/node/log";
import { AimoError } from "@aimo/protocol/errors";
import { expect } from "chai";
import type { FastifyInstance } from "fastify";
import type { Caller } from "../../../relay/src/core/types.ts";
import type { Arrival, Judged } from "../../../relay/src/http/gate.ts";
import type { Passed } from "../../../relay/src/http/pass-on.ts";
import { buildWorkerApp } from "../../../relay/src/http/worker-app.ts";
import { SETTINGS } from "../support/test-settings.ts";

const CHAT = { model: "acme/text", messages: [{ role: "user", content: "Tell me of the sea." }] };
const CALLER = { userId: 1, keyHash: "", models: undefined } as Caller;
const VERDICT = { allowed: true, limit: 10, remaining: 9, resetMs: 0, retryMs: 0 };

describe("a worker's HTTP", () => {
  const judged: Arrival[] = [];
  const passed: Passed[] = [];
  const served: string[] = [];
  let refusal: AimoError | undefined;
  let app: FastifyInstance;
  beforeEach(async () => {
    for (const list of [judged, passed, served]) list.length = 0;
    refusal = undefined;
    app = await buildWorkerApp({
      ...{ settings: SETTINGS, log: silentLog(), now: Date.now, onRefusal: () => {} },
      judgeConnection: () => "take",
      judge: (arrival) => {
        judged.push(arrival);
        const principal = { kind: "key", caller: CALLER } as Judged["principal"];
        return { principal, verdict: VERDICT };
      },
      serving: {
        serve: async ({ ask }) => {
          served.push(ask.model);
          throw new AimoError("model_unavailable");
        },
      },
      main: {
        pass: (one) => {
          passed.push(one);
          if (refusal) {
            one.response.setHeader("x-should-retry", "false");
            one.onRefusal(refusal);
            return;
          }
          one.onAnswer();
          one.response.end("passed on");
        },
      },
    });
  });
  afterEach(() => app.close());

  const post = (payload: string, url = "/v1/chat/completions") =>
    app.inject({ method: "POST", url, headers: { "content-type": "application/json" }, payload });

  for (const [name, body] of Object.entries({
    "as a field": JSON.stringify({ ...CHAT, preset: "mine" }),
    "as a field that is written otherwise": `{"pre\\u0073et":"mine",${JSON.stringify(CHAT).slice(1)}`,
    "within the model": JSON.stringify({ ...CHAT, model: "acme/text@preset/mine" }),
    "within the model, written otherwise": `{"model":"@pre\\u0073et/mine"}`,
    "in a long body": JSON.stringify({ ...CHAT, preset: "mine", user: "x".repeat(50_000) }),
  }))
    it(`passes on what names a preset ${name}, whole and counted once`, async () => {
      expect((await post(body)).body).to.equal("passed on");
      expect(passed.map(({ isCounted, body: read }) => [isCounted, String(read)])).to.deep.equal([
        [true, body],
      ]);
      expect(judged.map(({ isCounted }) => isCounted)).to.deep.equal([true]);
      expect(served).to.deep.equal([]);
    });

  it("serves by itself what only speaks of presets", async () => {
    const spoken = { ...CHAT, messages: [{ role: "user", content: 'What is "preset": "@preset/mine"?' }] };
    for (const body of [spoken, { ...spoken, preset: null, metadata: { preset: "mine" } }])
      expect((await post(JSON.stringify(body))).statusCode).to.equal(503);
    expect(served).to.have.length(2);
    expect(passed).to.deep.equal([]);
  });

  it("names the request in a refusal of what it would pass on, and keeps what is said there", async () => {
    refusal = new AimoError("provider_unavailable");
    const headers = { "content-type": "application/json" };
    const chat = { method: "POST", url: "/v1/chat/completions", headers } as const;
    for (const sent of [
      { method: "GET", url: "/health" },
      { method: "POST", url: "/v1/keys", headers, payload: "{}" },
      { ...chat, headers: { ...headers, "idempotency-key": "a" }, payload: JSON.stringify(CHAT) },
      { ...chat, payload: JSON.stringify({ ...CHAT, preset: "mine" }) },
    ] as const) {
      const reply = await app.inject(sent);
      expect(reply.statusCode).to.equal(502);
      expect(reply.headers["x-request-id"]).to.match(/^req-/);
      expect(reply.headers).to.include({ "x-should-retry": "false" }).and.not.have.property("retry-after");
      expect(reply.json().error.code).to.equal("provider_unavailable");
    }
    expect(passed).to.have.length(4);
  });

  it("refuses by itself a preset that can be none", async () => {
    const reply = await post(JSON.stringify({ ...CHAT, preset: "Not a slug" }));
    expect([reply.statusCode, reply.json().error.param]).to.deep.equal([400, "preset"]);
    expect(passed).to.deep.equal([]);
  });
});
