import { expect } from "chai";
import type { Ask } from "../support/stand-in-provider.ts";
import {
  CHAT,
  eventsOf,
  jsonOf,
  openRaw,
  owner,
  providerOf,
  RELAY_ID,
  startTestRelay,
  type TestRelay,
  type TestRelayOptions,
  USD,
  USER_ID,
  until,
} from "../support/test-relay.ts";

const CHATS = "/v1/chat/completions";
const ON = { "x-aimo-cache": "true" };
const STREAM = { ...CHAT, stream: true };
const OTHER_USER = 10;
const KEY_SETTINGS = {
  ...{ name: "t", limit: undefined, limitReset: undefined, expiresAt: undefined },
  ...{ models: undefined, disabled: false },
};

describe("kept replies", () => {
  let relay: TestRelay;
  let now: number;
  const start = async (options: TestRelayOptions = {}) => {
    now = Date.now();
    relay = await startTestRelay({ now: () => now, ...options });
    providerOf(relay).onAsk = answer;
  };
  afterEach(() => relay.close());
  const answer = (ask: Ask) => {
    if (!JSON.parse(ask.body.toString()).stream) return ask.reply(`Answer ${asked()}.`);
    ask.say(`Answer ${asked()}`);
    ask.say(" in pieces.");
    ask.finish();
  };
  const asked = () => providerOf(relay).asks.length;
  const post = (body: unknown, headers: Record<string, string> = ON, path = CHATS) =>
    relay.post(path, body, headers);
  const cacheOf = ({ headers }: Response) =>
    ["status", "age", "ttl", "source-id"].map((name) => headers.get(`x-aimo-cache-${name}`));

  it("are given again, free, and say where they come from", async () => {
    await start();
    const first = await post(CHAT);
    const id = first.headers.get("x-generation-id");
    expect(cacheOf(first)).to.deep.equal(["MISS", null, "300", null]);
    const whole = await jsonOf(first);
    const before = relay.ledger.balanceOf(USER_ID);
    now += 7_900;
    const second = await post(CHAT);
    expect(cacheOf(second)).to.deep.equal(["HIT", "7", "300", id]);
    expect(second.headers.get("x-generation-id")).to.equal(id);
    const { usage, aimo, ...said } = await jsonOf(second);
    const { usage: _usage, aimo: paid, ...saidFirst } = whole;
    expect(said).to.deep.equal(saidFirst);
    expect(usage).to.include({ prompt_tokens: 0, completion_tokens: 0, total_tokens: 0, cost: 0 });
    expect(aimo).to.deep.equal({
      ...{ request_id: second.headers.get("x-request-id"), generation_id: id },
      ...{ relay: RELAY_ID, provider: paid.provider, model_id: 1, price_version: 1 },
      ...{ cost_pusd: "0", provider_cost_pusd: "0", relay_fee_pusd: "0", attempts: [], latency_ms: 0 },
      ...{ cached: true, cache_age: 7 },
    });
    expect(asked()).to.equal(1);
    expect(relay.ledger.commits).to.have.length(1);
    expect(relay.ledger.generations.size).to.equal(1);
    expect(relay.ledger.balanceOf(USER_ID)).to.deep.equal(before);
  });

  it("of a stream are its bytes, but for what they say of the bill", async () => {
    await start();
    const body = { ...STREAM, stream_options: { include_usage: true } };
    const first = await (await post(body)).text();
    const hit = await post(body);
    expect(hit.headers.get("content-type")).to.match(/^text\/event-stream/);
    expect(hit.headers.get("x-aimo-cache-status")).to.equal("HIT");
    const second = await hit.text();
    const frames = (text: string) => text.split("\n\n").filter((frame) => !frame.startsWith(":"));
    expect(frames(second).slice(0, -3)).to.deep.equal(frames(first).slice(0, -3));
    const [closing, done] = eventsOf(second).slice(-2);
    expect(done).to.equal("[DONE]");
    expect(closing.aimo).to.include({ cached: true, cost_pusd: "0" });
    expect(closing.usage).to.include({ total_tokens: 0, cost: 0 });
    expect(eventsOf(first).at(-2).aimo.cost_pusd).not.to.equal("0");
    expect(asked()).to.equal(1);
  });

  it("in other APIs' forms are kept of each form", async () => {
    await start();
    const theirs = { model: "stand-in", max_tokens: 8, messages: [{ role: "user", content: "Hi" }] };
    const first = await jsonOf(await post(theirs, ON, "/v1/messages"));
    const hit = await post(theirs, ON, "/v1/messages");
    expect(hit.headers.get("x-aimo-cache-status")).to.equal("HIT");
    const { content, type } = await jsonOf(hit);
    expect({ content, type }).to.deep.equal({ content: first.content, type: "message" });
    const streamed = { ...theirs, stream: true };
    await (await post(streamed, ON, "/v1/messages")).text();
    const again = await post(streamed, ON, "/v1/messages");
    expect(again.headers.get("x-aimo-cache-status")).to.equal("HIT");
    expect(await again.text()).to.match(/event: message_start.*in pieces.*event: message_stop/s);
    expect(asked()).to.equal(2);
  });

  it("are not for a request that does not ask for them, or asks anything else", async () => {
    await start();
    await post(CHAT);
    expect(cacheOf(await post(CHAT, {}))).to.deep.equal([null, null, null, null]);
    expect(cacheOf(await post(CHAT, { "x-aimo-cache": "false" }))[0]).to.equal(null);
    for (const other of [STREAM, { ...CHAT, seed: 1 }, { ...CHAT, max_tokens: 63 }]) {
      const reply = await post(other);
      expect(reply.headers.get("x-aimo-cache-status"), JSON.stringify(other)).to.equal("MISS");
      await reply.text();
    }
    const { max_tokens, messages, model } = CHAT;
    const same = JSON.stringify({ user: "u", max_tokens, messages, metadata: { a: "b" }, model }, null, 2);
    expect((await post(same)).headers.get("x-aimo-cache-status")).to.equal("HIT");
  });

  it("are one account's, and for the models of its keys", async () => {
    await start();
    await post(CHAT);
    relay.ledger.open(OTHER_USER, USD);
    const other = await relay.keys.create({ userId: OTHER_USER, owner: owner.address }, KEY_SETTINGS);
    const foreign = await post(CHAT, { ...ON, authorization: `Bearer ${other.key}` });
    expect(foreign.headers.get("x-aimo-cache-status")).to.equal("MISS");
    const mine = { userId: USER_ID, owner: owner.address };
    const narrow = await relay.keys.create(mine, { ...KEY_SETTINGS, models: ["another"] });
    const refused = await post(CHAT, { ...ON, authorization: `Bearer ${narrow.key}` });
    expect((await jsonOf(refused)).error.code).to.equal("permission_denied");
  });

  it("need no money", async () => {
    await start();
    await post(CHAT);
    relay.ledger.open(USER_ID, 0n);
    expect((await post(CHAT, {})).status).to.equal(402);
    expect((await post(CHAT)).status).to.equal(200);
  });

  it("need no voucher", async () => {
    const asks: unknown[] = [];
    const voucherStateOf = (userId: number) => void asks.push(userId) as undefined;
    await start({ book: { voucherStateOf, takeVoucher: () => {} } });
    await post(CHAT);
    const before = asks.length;
    expect((await post(CHAT)).headers.get("x-aimo-cache-status")).to.equal("HIT");
    expect([before, asks.length]).to.deep.equal([1, 1]);
  });

  it("end with their time, and when a client says so", async () => {
    await start();
    const brief = { ...ON, "x-aimo-cache-ttl": "60" };
    expect(cacheOf(await post(CHAT, brief))[2]).to.equal("60");
    now += 59_999;
    expect(cacheOf(await post(CHAT))).to.deep.include.members(["HIT", "59", "60"]);
    now += 1;
    expect(cacheOf(await post(CHAT))[0]).to.equal("MISS");
    expect(cacheOf(await post(CHAT, { ...ON, "x-aimo-cache-clear": "true" }))[0]).to.equal("MISS");
    expect(cacheOf(await post(CHAT))[0]).to.equal("HIT");
    expect(asked()).to.equal(3);
  });

  it("are not those which a later wish to forget has overtaken", async () => {
    await start();
    const { promise: isLet, resolve: letGo } = Promise.withResolvers<void>();
    providerOf(relay).onAsk = async (ask) => {
      const name = `Answer ${asked()}.`;
      if (asked() === 1) await isLet;
      ask.reply(name);
    };
    const slow = post(CHAT);
    await until(() => asked() === 1);
    await post(CHAT, { ...ON, "x-aimo-cache-clear": "true" });
    letGo();
    expect((await jsonOf(await slow)).choices[0].message.content).to.equal("Answer 1.");
    expect((await jsonOf(await post(CHAT))).choices[0].message.content).to.equal("Answer 2.");
    expect(asked()).to.equal(2);
  });

  it("are only whole ones: not what was refused, broke off or was left", async () => {
    await start();
    const provider = providerOf(relay);
    provider.onAsk = (ask) => {
      ask.say("Half an ans");
      ask.response.destroy();
    };
    await (await post(STREAM)).text().catch(() => {});
    provider.onAsk = (ask) => void ask.response.writeHead(400).end("{}");
    await post(STREAM);
    provider.onAsk = (ask) => void ask.say("Half an answ");
    const socket = openRaw(relay, STREAM, ON);
    await until(() => provider.asks.at(-1)?.frames === 1);
    socket.destroy();
    await until(() => relay.ledger.holds.size === 0);
    provider.onAsk = answer;
    expect((await post(STREAM)).headers.get("x-aimo-cache-status")).to.equal("MISS");
    expect(relay.cache.size).to.be.at.most(1);
  });

  it("are not those that the balance made shorter than was asked", async () => {
    await start({ free: 200_000_000n });
    const { max_tokens: _max, ...open } = CHAT;
    const { aimo } = await jsonOf(await post(open));
    expect(aimo.max_tokens).to.be.a("number");
    expect((await post(open)).headers.get("x-aimo-cache-status")).to.equal("MISS");
  });

  it("are not those that are too large, which are delivered all the same", async () => {
    await start({ cache: { maxEntryBytes: 4_096 } });
    providerOf(relay).onAsk = (ask) => ask.reply("long ".repeat(1_000), { completion: 2_000 });
    for (let i = 0; i < 2; i++) {
      const reply = await post(CHAT);
      expect(reply.headers.get("x-aimo-cache-status")).to.equal("MISS");
      expect((await jsonOf(reply)).choices[0].message.content).to.have.length(5_000);
    }
    expect([relay.cache.size, relay.cache.bytes]).to.deep.equal([0, 0]);
  });

  it("count as requests, not as tokens", async () => {
    await start({ settings: { requestsPerMinute: 3 } });
    for (const remaining of ["2", "1", "0"])
      expect((await post(CHAT)).headers.get("x-ratelimit-remaining")).to.equal(remaining);
    expect((await post(CHAT)).status).to.equal(429);
  });

  it("go with repeated keys: a repetition is what its first was", async () => {
    await start();
    const named = { ...ON, "idempotency-key": "one" };
    const first = await jsonOf(await post(CHAT, named));
    const repeated = await post(CHAT, named);
    expect(repeated.headers.get("idempotent-replayed")).to.equal("true");
    expect(await jsonOf(repeated)).to.deep.equal(first);
    const hit = await post(CHAT, { ...ON, "idempotency-key": "two" });
    expect(hit.headers.get("x-aimo-cache-status")).to.equal("HIT");
    expect(asked()).to.equal(1);
  });

  it("are what a hook made of them", async () => {
    await start({
      hooks: {
        onResponse: async ({ body }) => ({ ...body, marked: true }),
        onFrame: ({ json }) => ({ ...json, marked: true }),
      },
    });
    expect((await jsonOf(await post(CHAT))).marked).to.equal(true);
    const hit = await post(CHAT);
    expect(hit.headers.get("x-aimo-cache-status")).to.equal("HIT");
    expect((await jsonOf(hit)).marked).to.equal(true);
    await (await post(STREAM)).text();
    expect(eventsOf(await (await post(STREAM)).text())[0].marked).to.equal(true);
    expect(asked()).to.equal(2);
  });

  it("wait for a client that reads slowly", async () => {
    await start({ cache: { maxEntryBytes: 8 << 20, maxAccountBytes: 8 << 20, maxBytes: 8 << 20 } });
    const padding = "x".repeat(64 * 1024);
    providerOf(relay).onAsk = async (ask) => {
      for (let i = 0; i < 64; i++) {
        ask.say("word ", padding);
        await new Promise((resolve) => setImmediate(resolve));
      }
      ask.finish();
    };
    const whole = await (await post(STREAM)).text();
    const socket = openRaw(relay, STREAM, { ...ON, connection: "close" });
    socket.pause();
    // Another one is served meanwhile.
    expect((await (await post(STREAM)).text()).length).to.be.within(whole.length - 1_000, whole.length);
    let bytes = 0;
    for await (const piece of socket) bytes += (piece as Buffer).length;
    expect(bytes).to.be.greaterThan(64 * padding.length);
    expect(asked()).to.equal(1);
  });

  it("are refused where a header says nothing of sense", async () => {
    await start();
    for (const [name, value, words] of [
      ["x-aimo-cache", "yes", "true or false"],
      ["x-aimo-cache-clear", "1", "true or false"],
      ["x-aimo-cache-ttl", "0", "1 to 86400"],
      ["x-aimo-cache-ttl", "86401", "1 to 86400"],
      ["x-aimo-cache-ttl", "1.5", "1 to 86400"],
    ] as const) {
      const reply = await post(CHAT, { ...ON, [name]: value });
      const { error } = await jsonOf(reply);
      expect([reply.status, error.code, error.param]).to.deep.equal([400, "invalid_request", name]);
      expect(error.message).to.include(words);
    }
    expect(asked()).to.equal(0);
  });
});
