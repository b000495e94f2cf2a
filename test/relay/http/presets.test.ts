import { requestHash } from "@aimo/protocol/receipts";
import { expect } from "chai";
import OpenAI from "openai";
import { AccountClient } from "../support/account-client.ts";
import {
  CHAT,
  jsonOf,
  owner,
  providerOf,
  startTestRelay,
  type TestRelay,
  USER_ID,
} from "../support/test-relay.ts";

const CHATS = "/v1/chat/completions";
const SAY = { messages: CHAT.messages };
const FULL = {
  slug: "brief",
  name: "Brief answers",
  description: "For the status page.",
  model: "stand-in",
  system_prompt: "Be brief.",
  parameters: { temperature: 0.2, max_tokens: 32, seed: 5 },
  provider: { sort: "price" },
  cache: { enabled: true, ttl: 60 },
};

describe("presets", () => {
  let relay: TestRelay;
  let client: AccountClient;
  let session: string;
  beforeEach(async () => {
    relay = await startTestRelay();
    client = new AccountClient(relay, Date.now);
    session = await client.openSession();
  });
  afterEach(() => relay.close());
  const manage = (method: string, path: string, body?: object) =>
    client.call(method, `/v1/presets${path}`, session, body);
  const make = (change: object = {}) => manage("POST", "", { ...FULL, ...change });
  const sentBody = () => JSON.parse(providerOf(relay).asks.at(-1)?.body.toString() ?? "null");
  const errorOf = async (reply: Response) => {
    const { error } = await jsonOf(reply);
    return { status: reply.status, code: error.code, param: error.param, message: error.message };
  };

  it("are made, read, changed and removed", async () => {
    const made = await make();
    expect(made.status).to.equal(201);
    const { created_at, updated_at, ...settings } = (await jsonOf(made)).data;
    expect(settings).to.deep.equal({ ...FULL, models: null });
    expect(new Date(created_at).toISOString()).to.equal(updated_at);
    await make({ slug: "another" });
    const changed = await jsonOf(await manage("PATCH", "/brief", { name: "Short", cache: null }));
    expect(changed.data).to.include({ slug: "brief", name: "Short", cache: null, created_at });
    for (const token of [session, relay.key]) {
      const list = (await jsonOf(await client.call("GET", "/v1/presets", token))).data;
      expect(list.map(({ slug }: { slug: string }) => slug)).to.deep.equal(["another", "brief"]);
      const one = await client.call("GET", "/v1/presets/brief", token);
      expect((await jsonOf(one)).data).to.deep.equal(changed.data);
    }
    expect(await jsonOf(await manage("DELETE", "/brief"))).to.deep.equal({ deleted: true });
    for (const method of ["GET", "DELETE"])
      expect(await errorOf(await manage(method, "/brief"))).to.include({ status: 404, code: "not_found" });
  });

  it("are changed by the owner alone", async () => {
    await make();
    for (const [method, path, body] of [
      ["POST", "", FULL],
      ["PATCH", "/brief", {}],
      ["DELETE", "/brief", undefined],
    ] as const) {
      const reply = await client.call(method, `/v1/presets${path}`, relay.key, body);
      expect((await errorOf(reply)).code).to.equal("permission_denied");
    }
  });

  it("are an account's own", async () => {
    await make();
    const other = await relay.keys.create(
      { userId: USER_ID + 1, owner: owner.address },
      {
        ...{ name: "t", limit: undefined, limitReset: undefined, expiresAt: undefined },
        ...{ models: undefined, disabled: false },
      },
    );
    const reply = await client.call("POST", CHATS, other.key, { ...SAY, preset: "brief" });
    expect(await errorOf(reply)).to.include({ status: 404, param: "preset" });
    expect((await jsonOf(await client.call("GET", "/v1/presets", other.key))).data).to.deep.equal([]);
  });

  it("are a request's defaults; what goes upstream is both, and the bill is bound to what the client sent", async () => {
    await make();
    const mine = { ...SAY, preset: "brief", temperature: 1 };
    const reply = await relay.post(CHATS, mine);
    const { aimo } = await jsonOf(reply);
    expect(reply.headers.get("x-aimo-cache-ttl")).to.equal("60");
    expect(sentBody()).to.deep.equal({
      ...{ model: "stand-in", temperature: 1, max_tokens: 32, seed: 5, provider: { sort: "price" } },
      messages: [{ role: "system", content: "Be brief." }, ...CHAT.messages],
    });
    const about = { userId: USER_ID, channelEpoch: 1, nonce: aimo.nonce };
    expect(aimo.request_hash).to.equal(requestHash({ ...about, body: Buffer.from(JSON.stringify(mine)) }));
  });

  it("are named within a model too, and give way to what stands before", async () => {
    await make({ model: "another", cache: null });
    await jsonOf(await relay.post(CHATS, { ...SAY, model: "stand-in@preset/brief" }));
    expect(sentBody()).to.include({ model: "stand-in", seed: 5 });
    const reply = await relay.post(CHATS, { ...SAY, model: "@preset/brief" });
    expect(await errorOf(reply)).to.include({ status: 404, code: "model_not_found" });
    const own = { ...SAY, model: "stand-in@preset/brief" };
    const messages = [{ role: "system", content: "Be long." }, ...CHAT.messages];
    await jsonOf(await relay.post(CHATS, { ...own, messages, max_completion_tokens: 7 }));
    expect(sentBody()).to.deep.include({ messages, max_completion_tokens: 7 });
    expect(sentBody()).not.to.have.property("max_tokens");
  });

  it("keep a request's own cache headers above theirs", async () => {
    await make();
    const off = await relay.post(CHATS, { ...SAY, preset: "brief" }, { "x-aimo-cache": "false" });
    expect(off.headers.get("x-aimo-cache-status")).to.equal(null);
    const brief = await relay.post(CHATS, { ...SAY, preset: "brief" }, { "x-aimo-cache-ttl": "5" });
    expect(brief.headers.get("x-aimo-cache-ttl")).to.equal("5");
    const hit = await relay.post(CHATS, { ...SAY, preset: "brief" });
    expect(hit.headers.get("x-aimo-cache-status")).to.equal("HIT");
    await manage("PATCH", "/brief", { system_prompt: "Be long." });
    const changed = await relay.post(CHATS, { ...SAY, preset: "brief" });
    expect(changed.headers.get("x-aimo-cache-status"), "another preset, another answer").to.equal("MISS");
  });

  it("work in other APIs' forms", async () => {
    await make({ cache: null });
    const theirs = { max_tokens: 8, messages: CHAT.messages, model: "@preset/brief" };
    expect((await relay.post("/v1/messages", theirs)).status).to.equal(200);
    expect(sentBody()).to.include({ model: "stand-in", temperature: 0.2, max_tokens: 8 });
    expect(sentBody().messages[0]).to.deep.equal({ role: "system", content: "Be brief." });
    const unlimited = { messages: CHAT.messages, model: "@preset/brief" };
    expect((await relay.post("/v1/messages", unlimited)).status, "the preset's limit").to.equal(200);
    expect(sentBody()).to.include({ max_tokens: 32 });
    expect((await relay.post("/v1/responses", { preset: "brief", input: "Hi" })).status).to.equal(200);
    expect(sentBody()).to.include({ model: "stand-in", seed: 5, max_tokens: 32 });
    await make({ slug: "unlimited", parameters: {} });
    const refused = await relay.post("/v1/messages", { ...unlimited, model: "@preset/unlimited" });
    expect([refused.status, (await jsonOf(refused)).error.message]).to.deep.equal([
      ...[400, "max_tokens is required."],
    ]);
    const instructed = { preset: "brief", input: "Hi", instructions: "Be kind." };
    expect((await relay.post("/v1/responses", instructed)).status).to.equal(200);
    expect(JSON.stringify(sentBody().messages)).to.include("Be kind.").and.not.include("Be brief.");
  });

  it("serve the official client", async () => {
    await make();
    const openai = new OpenAI({ apiKey: relay.key, baseURL: `${relay.url}/v1`, maxRetries: 0 });
    const asked = { model: "@preset/brief", messages: [{ role: "user" as const, content: "Hello" }] };
    const first = await openai.chat.completions.create(asked).withResponse();
    const second = await openai.chat.completions.create(asked).withResponse();
    expect(second.response.headers.get("x-aimo-cache-status")).to.equal("HIT");
    expect(second.data.choices).to.deep.equal(first.data.choices);
    expect(second.data.usage?.total_tokens).to.equal(0);
  });

  it("are refused by name and limit where they make no sense", async () => {
    for (const [change, param, words] of [
      [{ slug: "No" }, "slug", ""],
      [{ slug: "a".repeat(65) }, "slug", ""],
      [{ parameters: { messages: [] } }, "parameters", "messages"],
      [{ parameters: { stream: true } }, "parameters", "stream"],
      [{ parameters: { n: 0 } }, "n", ""],
      [{ parameters: { max_tokens: "many" } }, "max_tokens", ""],
      [{ parameters: { temperature: 9 } }, "temperature", "from 0 to 2"],
      [{ parameters: { top_p: "1" } }, "top_p", "from 0 to 1"],
      [{ parameters: { frequency_penalty: -3 } }, "frequency_penalty", "from -2 to 2"],
      [{ parameters: { presence_penalty: 3 } }, "presence_penalty", "from -2 to 2"],
      [{ parameters: { top_logprobs: 1.5 } }, "top_logprobs", "an integer from 0 to 20"],
      [{ parameters: { logit_bias: 5 } }, "logit_bias", "object"],
      [{ parameters: { logit_bias: { 50256: -101 } } }, "logit_bias", "from -100 to 100"],
      [{ provider: { onyl: [1] } }, "provider.onyl", "known"],
      [{ provider: { sort: "luck" } }, "provider.sort", ""],
      [{ model: "@preset/brief" }, "model", "preset"],
      [{ cache: { enabled: true, ttl: 0 } }, "cache.ttl", ""],
      [{ unknown: 1 }, "unknown", ""],
    ] as const) {
      const error = await errorOf(await make(change));
      expect(error, JSON.stringify(change)).to.include({ status: 400, code: "invalid_request", param });
      expect(error.message).to.include(words);
    }
    const large = await errorOf(
      await make({
        system_prompt: "x".repeat(60_000),
        description: "é".repeat(1_000),
        parameters: { stop: ["x".repeat(4_000)] },
      }),
    );
    expect(large).to.include({ status: 413, code: "payload_too_large" });
    expect(large.message).to.include("65536 bytes");
    expect((await jsonOf(await manage("GET", ""))).data).to.deep.equal([]);
  });

  it("are refused in a request that names none, or two", async () => {
    await make();
    for (const [body, status, param] of [
      [{ preset: "nothing" }, 404, "preset"],
      [{ preset: 7 }, 400, "preset"],
      [{ preset: "UPPER" }, 400, "preset"],
      [{ preset: "" }, 400, "preset"],
      [{ model: "@preset/" }, 400, "model"],
      [{ model: "@preset/other", preset: "brief" }, 400, "preset"],
    ] as const)
      expect(await errorOf(await relay.post(CHATS, { ...SAY, ...body })), JSON.stringify(body)).to.include({
        status,
        param,
      });
    expect(relay.ledger.generations.size).to.equal(0);
  });

  it("are bounded in number, and unique, also when made at once", async () => {
    const replies = await Promise.all(Array.from({ length: 104 }, (_, i) => make({ slug: `p${i % 103}` })));
    const made = replies.filter(({ status }) => status === 201);
    expect(made).to.have.length(100);
    const messages = await Promise.all(
      replies.filter(({ status }) => status !== 201).map(async (reply) => (await errorOf(reply)).message),
    );
    for (const message of messages) expect(message).to.match(/at most 100|has a preset/);
  });
});
