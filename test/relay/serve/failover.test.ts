import { textResponseHash } from "@aimo/protocol/receipts";
import { expect } from "chai";
import type { Ask } from "../support/stand-in-provider.ts";
import {
  CHAT,
  eventsOf,
  type Json,
  jsonOf,
  providerOf,
  startTestRelay,
  type TestRelay,
  until,
} from "../support/test-relay.ts";

const refuse =
  (status: number, body: object | string = {}) =>
  (ask: Ask) => {
    ask.response.writeHead(status, { "content-type": "application/json" });
    ask.response.end(typeof body === "string" ? body : JSON.stringify(body));
  };

/** Everything that may go wrong before the first byte; another provider serves. */
const FAULTS: Record<string, (ask: Ask) => void> = {
  "is overloaded (429)": refuse(429),
  "fails (500)": refuse(500),
  "is unavailable (503)": refuse(503, "<html>busy</html>"),
  "does not know the model (404)": refuse(404),
  "refuses the relay (403)": refuse(403),
  "resets the connection": (ask) => void ask.response.destroy(),
  "ends a stream before its first frame": (ask) => {
    ask.response.writeHead(200, { "content-type": "text/event-stream" });
    ask.response.end();
  },
  "streams junk": (ask) => {
    ask.response.writeHead(200, { "content-type": "text/event-stream" });
    ask.response.write("data: {not json\n\n");
  },
  "reports an error in its first frame": (ask) => {
    ask.response.writeHead(200, { "content-type": "text/event-stream" });
    ask.response.write('data: {"error":{"message":"out of memory"}}\n\n');
  },
  "answers JSON where a stream was asked for": (ask) => ask.reply("Hello"),
};

describe("failing over", () => {
  let relay: TestRelay;
  afterEach(() => relay.close());

  it("does not bill a whole reply that is nested too deep to be written again", async () => {
    relay = await startTestRelay({ providers: 2 });
    let deep: object = {};
    for (let level = 0; level < 200; level++) deep = { deep };
    providerOf(relay, 0).onAsk = (ask) => {
      const choices = [{ index: 0, message: { role: "assistant", content: "x" }, finish_reason: "stop" }];
      const body = { object: "chat.completion", created: 7, model: "stand-in", choices, deep };
      ask.replyJson(body, { units: [10, 0, 1], responseHash: textResponseHash([{ text: "x" }]) });
    };
    const { aimo } = await jsonOf(await relay.post("/v1/chat/completions", CHAT));
    expect(aimo.provider.id).to.equal(2);
    expect(aimo.attempts.map((attempt: Json) => attempt.error)).to.deep.equal([
      "provider_unavailable",
      undefined,
    ]);
  });

  for (const [title, fault] of Object.entries(FAULTS)) {
    it(`serves from the next provider when the first ${title}`, async () => {
      relay = await startTestRelay({ providers: 2 });
      providerOf(relay, 0).onAsk = fault;
      providerOf(relay, 1).onAsk = (ask) => {
        ask.say("Here.");
        ask.finish();
      };
      const response = await relay.post("/v1/chat/completions", { ...CHAT, stream: true });
      const last = eventsOf(await response.text()).at(-2);
      expect(last.aimo.provider.id).to.equal(2);
      expect(last.aimo.attempts.map((attempt: Json) => attempt.status)).to.deep.equal(["failed", "ok"]);
      expect(relay.ledger.commits).to.have.length(1);
      const nonces = relay.ledger.commits[0]?.outcome.attempts.map(({ nonce }) => nonce);
      expect(new Set(nonces).size, "each attempt has a nonce of its own").to.equal(2);
    });
  }

  it("counts a provider that does not begin in time as failed", async () => {
    relay = await startTestRelay({ providers: 2, firstByteMs: 200 });
    providerOf(relay, 0).onAsk = () => {};
    const body = await jsonOf(await relay.post("/v1/chat/completions", CHAT));
    expect(body.aimo.attempts[0]).to.include({ provider: 1, status: "failed", error: "timeout" });
    expect(body.aimo.provider.id).to.equal(2);
  });

  it("goes elsewhere at once when a provider is not there", async () => {
    relay = await startTestRelay({ providers: 2 });
    await providerOf(relay, 0).close();
    const body = await jsonOf(await relay.post("/v1/chat/completions", CHAT));
    expect(body.aimo.provider.id).to.equal(2);
  });

  it("says so, free of charge, when every provider failed", async () => {
    relay = await startTestRelay({ providers: 2 });
    for (const provider of relay.providers) provider.onAsk = refuse(500);
    const response = await relay.post("/v1/chat/completions", CHAT);
    const { error } = await jsonOf(response);
    expect(response.status).to.equal(502);
    expect(error.code).to.equal("provider_unavailable");
    expect(error.metadata.attempts).to.deep.equal(["1: provider_unavailable", "2: provider_unavailable"]);
    expect(relay.ledger.commits[0]?.outcome).to.include({ kind: "free", reason: "provider_unavailable" });
    expect(relay.ledger.holds.size).to.equal(0);
  });

  it("tries no more providers than it is told to", async () => {
    relay = await startTestRelay({ providers: 3, limits: { maxAttempts: 2 } });
    for (const provider of relay.providers) provider.onAsk = refuse(500);
    await jsonOf(await relay.post("/v1/chat/completions", CHAT));
    expect(relay.providers.reduce((sum, { asks }) => sum + asks.length, 0)).to.equal(2);
  });

  it("passes on what a provider says against the request itself, and asks nobody else", async () => {
    relay = await startTestRelay({ providers: 2 });
    const error = { message: "temperature must be at most 2.", param: "temperature" };
    const metadata = { provider_code: "invalid_value".padEnd(100, "!"), hint: "Buy something else." };
    for (const provider of relay.providers) provider.onAsk = refuse(400, { error: { ...error, metadata } });
    const response = await relay.post("/v1/chat/completions", CHAT);
    const body = await jsonOf(response);
    expect(response.status).to.equal(400);
    expect(body.error).to.include({ code: "invalid_request", ...error });
    expect(body.error.metadata.provider_code).to.equal("invalid_value".padEnd(64, "!"));
    expect(body.error.metadata.hint).to.not.equal(metadata.hint);
    expect(providerOf(relay, 0).asks.length + providerOf(relay, 1).asks.length).to.equal(1);
    expect(relay.ledger.commits[0]?.outcome).to.include({ kind: "free", reason: "invalid_request" });
  });

  it("lets a provider rest that failed five times in a row", async () => {
    relay = await startTestRelay({ providers: 2 });
    providerOf(relay, 0).onAsk = refuse(500);
    for (let i = 0; i < 7; i++) await jsonOf(await relay.post("/v1/chat/completions", CHAT));
    expect(providerOf(relay, 0).asks).to.have.length(5);
  });

  it("serves only from providers that the request names", async () => {
    relay = await startTestRelay({ providers: 3 });
    const ask = async (provider: object) => {
      const body = await jsonOf(await relay.post("/v1/chat/completions", { ...CHAT, provider }));
      return body.aimo?.provider.id ?? body.error.code;
    };
    expect(await ask({ only: [3] })).to.equal(3);
    expect(await ask({ only: [providerOf(relay, 1).signer] })).to.equal(2);
    expect(await ask({ ignore: [1] })).to.equal(2);
    expect(await ask({ order: ["3"] })).to.equal(3);
    expect(await ask({ only: [99] })).to.equal("no_fitting_provider");
    await until(() => relay.admission.inFlight === 0);
  });
});
