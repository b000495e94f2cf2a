import { expect } from "chai";
import { AccountClient } from "../support/account-client.ts";
import { CHAT, eventsOf, jsonOf, providerOf, startTestRelay, type TestRelay } from "../support/test-relay.ts";

const CHATS = "/v1/chat/completions";

describe("what a client says of its request", () => {
  let relay: TestRelay;
  let client: AccountClient;
  const logged: object[] = [];
  before(async () => {
    const note = (fields: object) => void logged.push(fields);
    relay = await startTestRelay({ log: { debug: note, warn: note } });
    client = new AccountClient(relay, Date.now);
  });
  after(() => relay.close());
  const generation = async (reply: Response) => {
    const id = reply.headers.get("x-generation-id");
    return (await jsonOf(await client.call("GET", `/v1/generation?id=${id}`, relay.key))).data;
  };
  const NOTHING = {
    metadata: null,
    external_user: null,
    http_referer: null,
    app_title: null,
    client_request_id: null,
  };

  it("is kept with the generation, and its own id sent back", async () => {
    const headers = {
      "x-client-request-id": "job-7/line-3",
      "http-referer": "https://app.test/",
      "x-title": "An app",
    };
    const body = { ...CHAT, metadata: { ticket: "4711", team: "blue" }, user: "u-1" };
    const reply = await relay.post(CHATS, body, headers);
    expect(reply.status).to.equal(200);
    expect(reply.headers.get("x-client-request-id")).to.equal("job-7/line-3");
    expect(await generation(reply)).to.deep.include({
      metadata: { ticket: "4711", team: "blue" },
      external_user: "u-1",
      http_referer: "https://app.test/",
      app_title: "An app",
      client_request_id: "job-7/line-3",
    });
    expect(JSON.stringify(logged)).not.to.match(/4711|u-1|job-7/);
  });

  it("is nothing where it says nothing, also where others did before", async () => {
    expect(await generation(await relay.post(CHATS, CHAT))).to.deep.include(NOTHING);
  });

  it("leaves the bytes for the provider as they were sent", async () => {
    const text = `{"model":"stand-in", "messages":[{"role":"user","content":"Hi"}],"metadata":{"a":"b"}}`;
    await relay.post(CHATS, text);
    expect(providerOf(relay).asks.at(-1)?.body.toString()).to.equal(text);
  });

  it("is understood in other APIs' forms", async () => {
    const messages = [{ role: "user", content: "Hi" }];
    const theirs = { model: "stand-in", max_tokens: 8, messages, metadata: { user_id: "u-2" } };
    expect(await generation(await relay.post("/v1/messages", theirs))).to.deep.include({
      metadata: { user_id: "u-2" },
      external_user: "u-2",
    });
    const silent = { ...theirs, metadata: { user_id: null } };
    expect(await generation(await relay.post("/v1/messages", silent))).to.deep.include(NOTHING);
    const responses = { model: "stand-in", input: "Hi", metadata: { a: "1" } };
    expect(await generation(await relay.post("/v1/responses", responses))).to.deep.include({
      metadata: { a: "1" },
    });
  });

  it("is bounded: metadata is refused by name and limit, names are cut", async () => {
    const many = Object.fromEntries(Array.from({ length: 17 }, (_, i) => [`k${i}`, "v"]));
    for (const [metadata, param, words] of [
      [many, "metadata", "at most 16"],
      [{ ["k".repeat(65)]: "v" }, "metadata", "64 characters"],
      [{ a: "v".repeat(513) }, "metadata.a", "512 characters"],
      [{ a: 1 }, "metadata.a", "must be a string"],
      [["a"], "metadata", "object"],
      ["a", "metadata", "object"],
    ] as const) {
      const reply = await relay.post(CHATS, { ...CHAT, metadata });
      const { error } = await jsonOf(reply);
      expect([reply.status, error.code, error.param]).to.deep.equal([400, "invalid_request", param]);
      expect(error.message).to.include(words);
    }
    const largest = Object.fromEntries(
      Array.from({ length: 16 }, (_, i) => [`${i}`.padStart(64, "k"), "é".repeat(512)]),
    );
    const reply = await relay.post(CHATS, { ...CHAT, metadata: largest, user: "u".repeat(1_000) });
    const { metadata, external_user: user } = await generation(reply);
    expect(metadata).to.deep.equal(largest);
    expect(user).to.equal("u".repeat(256));
  });

  it("has an id that is visible ASCII, or none", async () => {
    for (const id of ["x".repeat(129), "a b", ""]) {
      const reply = await relay.post(CHATS, CHAT, { "x-client-request-id": id });
      const { error } = await jsonOf(reply);
      expect([reply.status, error.param], id).to.deep.equal([400, "X-Client-Request-Id"]);
    }
    const refused = await relay.post(
      CHATS,
      { ...CHAT, messages: [] },
      { "x-client-request-id": "x".repeat(128) },
    );
    expect(refused.status).to.equal(400);
    expect(refused.headers.get("x-client-request-id")).to.equal("x".repeat(128));
  });

  it("stands in /openapi.json", async () => {
    const { paths } = await jsonOf(await fetch(`${relay.url}/openapi.json`));
    const { parameters, requestBody } = paths[CHATS].post;
    const { schema } = requestBody.content["application/json"];
    expect(schema.properties).to.include.keys("metadata", "user");
    expect(parameters.map(({ name }: { name: string }) => name)).to.include("x-client-request-id");
  });
});

describe("a key's word on the usage of streams", () => {
  let relay: TestRelay;
  let client: AccountClient;
  let session: string;
  before(async () => {
    relay = await startTestRelay();
    client = new AccountClient(relay, Date.now);
    session = await client.openSession();
    providerOf(relay).onAsk = (ask) => {
      ask.say("Hi");
      ask.finish();
    };
  });
  after(() => relay.close());
  const lastOf = async (key: string, body: object = {}) => {
    const headers = { authorization: `Bearer ${key}` };
    const reply = await relay.post(CHATS, { ...CHAT, stream: true, ...body }, headers);
    return eventsOf(await reply.text()).at(-2);
  };

  it("shows it unasked, until it is changed; the bill is there either way", async () => {
    const made = await client.call("POST", "/v1/keys", session, { show_usage: "always" });
    const { key, data } = await jsonOf(made);
    expect(data.show_usage).to.equal("always");
    const shown = await lastOf(key);
    expect(shown.usage).to.include({ prompt_tokens: 10, completion_tokens: 1 });
    const explicit = await lastOf(key, { stream_options: { include_usage: false } });
    expect(explicit.usage.completion_tokens).to.equal(1);
    const changed = await client.call("PATCH", `/v1/keys/${data.hash}`, session, { show_usage: "asked" });
    expect((await jsonOf(changed)).data.show_usage).to.equal("asked");
    const hidden = await lastOf(key);
    expect(hidden).not.to.have.property("usage");
    expect(hidden.aimo.receipt_hash).to.match(/^0x/);
    const asked = await lastOf(key, { stream_options: { include_usage: true } });
    expect(asked.usage.completion_tokens).to.equal(1);
  });

  it('is "asked" for a key without one, and nothing else', async () => {
    expect((await jsonOf(await client.call("GET", "/v1/key", relay.key))).data.show_usage).to.equal("asked");
    expect(await lastOf(relay.key)).not.to.have.property("usage");
    const refused = await client.call("POST", "/v1/keys", session, { show_usage: "never" });
    expect((await jsonOf(refused)).error.param).to.equal("show_usage");
  });
});
