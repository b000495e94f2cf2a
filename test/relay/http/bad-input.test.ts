import { request } from "node:http";
import { expect } from "chai";
import {
  CHAT,
  type Json,
  jsonOf,
  providerOf,
  startTestRelay,
  type TestRelay,
} from "../support/test-relay.ts";

const MESSAGES = CHAT.messages;

/** Body, and the field that the refusal names. */
const BAD_BODIES: Record<string, [body: unknown, param: string | null]> = {
  "is no JSON": ["{not json", null],
  "is empty": ["", null],
  "is an array": [[], null],
  "has no model": [{ messages: MESSAGES }, "model"],
  "has a model that is no text": [{ model: 7, messages: MESSAGES }, "model"],
  "has a model name without end": [{ model: "x".repeat(200), messages: MESSAGES }, "model"],
  "has no messages": [{ model: "stand-in" }, "messages"],
  "has messages that are text": [{ model: "stand-in", messages: "hi" }, "messages"],
  "has an empty list of messages": [{ model: "stand-in", messages: [] }, "messages"],
  "has a message without a role": [{ model: "stand-in", messages: [{ content: "hi" }] }, "messages[0].role"],
  "has a message whose content is a number": [
    { model: "stand-in", messages: [{ role: "user", content: 7 }] },
    "messages[0].content",
  ],
  "has max_tokens of 0": [{ ...CHAT, max_tokens: 0 }, "max_tokens"],
  "has max_tokens as text": [{ ...CHAT, max_tokens: "many" }, "max_tokens"],
  "has max_tokens below zero": [{ ...CHAT, max_tokens: -1 }, "max_tokens"],
  "has max_tokens beyond any model": [{ ...CHAT, max_tokens: 2 ** 40 }, "max_tokens"],
  "has half a choice": [{ ...CHAT, n: 0.5 }, "n"],
  "has more choices than OpenAI allows": [{ ...CHAT, n: 129 }, "n"],
  "has stream as text": [{ ...CHAT, stream: "yes" }, "stream"],
  "has provider preferences as a list": [{ ...CHAT, provider: [] }, "provider"],
  "sorts providers by an unknown word": [{ ...CHAT, provider: { sort: "luck" } }, "provider.sort"],
  "asks for a chat of a model that embeds": [{ ...CHAT, model: "embedder" }, "model"],
};

describe("bad input", () => {
  let relay: TestRelay;
  before(async () => {
    relay = await startTestRelay();
    const offer = providerOf(relay).offer();
    const embedder = { ...offer, model: { ...offer.model, slug: "embedder", route: "embeddings" as const } };
    relay.offers = [...relay.offers, embedder];
  });
  afterEach(() => {
    expect(relay.ledger.holds.size, "a hold was left").to.equal(0);
    expect(relay.ledger.commits.length, "money moved").to.equal(0);
    expect(providerOf(relay).asks.length, "a provider was asked").to.equal(0);
  });
  after(() => relay.close());

  async function expectError(response: Response, status: number, code: string): Promise<Json> {
    const { error } = await jsonOf(response);
    expect([response.status, error.code]).to.deep.equal([status, code]);
    expect(error.message).to.be.a("string").that.is.not.empty;
    expect(error.metadata.hint).to.be.a("string");
    expect(error.metadata.request_id).to.equal(response.headers.get("x-request-id"));
    return error;
  }

  for (const [title, [body, param]] of Object.entries(BAD_BODIES)) {
    it(`is refused by its field when the body ${title}`, async () => {
      const error = await expectError(await relay.post("/v1/chat/completions", body), 400, "invalid_request");
      expect(error.param).to.equal(param);
    });
  }

  it("is refused when embeddings have no input, images no prompt, or either streams", async () => {
    const model = "stand-in";
    for (const [path, body, param] of [
      ["/v1/embeddings", { model }, "input"],
      ["/v1/embeddings", { model, input: [] }, "input"],
      ["/v1/images/generations", { model }, "prompt"],
      ["/v1/images/generations", { model, prompt: "x", n: 11 }, "n"],
      ["/v1/images/generations", { model, prompt: "x", stream: true }, "stream"],
    ] as const)
      expect((await expectError(await relay.post(path, body), 400, "invalid_request")).param).to.equal(param);
  });

  it("names an unknown model", async () => {
    const response = await relay.post("/v1/chat/completions", { ...CHAT, model: "nobody-has-this" });
    const error = await expectError(response, 404, "model_not_found");
    expect(error.message).to.include("nobody-has-this");
  });

  it("tells a model that is not offered now from one that never was", async () => {
    const offers = relay.offers;
    relay.offers = [];
    await expectError(await relay.post("/v1/chat/completions", CHAT), 503, "model_unavailable");
    relay.offers = offers;
  });

  it("is refused for every kind of wrong key, before its body is read", async () => {
    for (const authorization of [
      "",
      "Bearer",
      "Bearer aimo-sk-unknown",
      "Bearer aimo-st-none",
      "Basic abc",
      "x".repeat(9_000),
    ]) {
      const response = await relay.post("/v1/chat/completions", "{not json", { authorization });
      await expectError(response, 401, "authentication_failed");
      expect(response.headers.get("www-authenticate")).to.equal("Bearer");
    }
  });

  it("is refused when the account has no channel", async () => {
    const settings = {
      name: "",
      limit: undefined,
      limitReset: undefined,
      expiresAt: undefined,
      models: undefined,
    };
    const { key } = await relay.keys.create(
      { userId: 77, owner: "0x00000000000000000000000000000000000000B0" },
      { ...settings, disabled: false },
    );
    const response = await relay.post("/v1/chat/completions", CHAT, { authorization: `Bearer ${key}` });
    await expectError(response, 402, "channel_exhausted");
  });

  it("is refused above the body limit, which it names", async () => {
    const content = "x".repeat(70_000);
    const response = await relay.post("/v1/chat/completions", {
      ...CHAT,
      messages: [{ role: "user", content }],
    });
    expect((await expectError(response, 413, "payload_too_large")).message).to.include("65536 bytes");
  });

  it("is refused when it is not JSON by its type", async () => {
    const response = await relay.post("/v1/chat/completions", CHAT, { "content-type": "text/plain" });
    await expectError(response, 415, "unsupported_media_type");
  });

  it("is told which methods a path knows, and which paths there are", async () => {
    const wrong = await fetch(`${relay.url}/v1/chat/completions`);
    await expectError(wrong, 405, "method_not_allowed");
    expect(wrong.headers.get("allow")).to.equal("POST");
    await expectError(await relay.post("/v1/models", {}), 405, "method_not_allowed");
    await expectError(await fetch(`${relay.url}/v1/nothing`), 404, "not_found");
  });

  it("is refused when it is nested deeper than is written anywhere, by its field and the limit", async () => {
    const deep = "[".repeat(20_000) + "]".repeat(20_000);
    const reply = await relay.post(
      "/v1/chat/completions",
      `${JSON.stringify(CHAT).slice(0, -1)},"x":${deep}}`,
    );
    const { error } = await jsonOf(reply);
    expect([reply.status, error.param, error.message]).to.deep.equal([
      400,
      "x",
      "x is nested deeper than 128 levels.",
    ]);
  });

  it("is refused when an Idempotency-Key is without end", async () => {
    const response = await relay.post("/v1/chat/completions", CHAT, { "idempotency-key": "k".repeat(256) });
    expect((await expectError(response, 400, "invalid_request")).param).to.equal("Idempotency-Key");
  });

  it("is refused when the body ends early", async () => {
    const status = await new Promise<number | undefined>((resolve, reject) => {
      const url = new URL(`${relay.url}/v1/chat/completions`);
      const headers = {
        authorization: `Bearer ${relay.key}`,
        "content-type": "application/json",
        "content-length": 10,
      };
      const call = request(url, { method: "POST", headers }, (response) => resolve(response.statusCode));
      call.on("error", () => resolve(undefined));
      call.on("socket", (socket) => socket.once("error", reject));
      call.flushHeaders();
      call.write("{}", () => call.destroy());
    });
    expect(status).to.be.oneOf([undefined, 400]);
  });

  it("leaves fields that it does not know to the provider", async () => {
    const other = await startTestRelay();
    const response = await other.post("/v1/chat/completions", {
      ...CHAT,
      temperature: 0.1,
      made_up: { by: "me" },
    });
    expect(response.status).to.equal(200);
    expect(JSON.parse(providerOf(other).asks[0]?.body.toString() ?? "").made_up).to.deep.equal({ by: "me" });
    await other.close();
  });
});
