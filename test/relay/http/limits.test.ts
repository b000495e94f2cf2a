import { expect } from "chai";
import { AccountClient } from "../support/account-client.ts";
import {
  CHAT,
  jsonOf,
  owner,
  providerOf,
  startTestRelay,
  type TestRelay,
  until,
} from "../support/test-relay.ts";

const LIMIT_HEADERS = ["x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"];

describe("limits over HTTP", () => {
  let relay: TestRelay;
  afterEach(() => relay?.close());

  const post = (body: object, key = relay.key) =>
    fetch(`${relay.url}/v1/chat/completions`, {
      method: "POST",
      headers: { authorization: `Bearer ${key}`, "content-type": "application/json" },
      body: JSON.stringify(body),
    });
  const keyWith = async (settings: object): Promise<string> => {
    const client = new AccountClient(relay, Date.now);
    const { token } = await jsonOf(await client.signIn(await client.makeMessage()));
    const reply = await client.call("POST", "/v1/keys", token, settings);
    expect(reply.status, await reply.clone().text()).to.equal(201);
    return (await jsonOf(reply)).key;
  };

  it("stand on every reply, whatever it is", async () => {
    relay = await startTestRelay();
    const replies = await Promise.all([
      fetch(`${relay.url}/health`),
      fetch(`${relay.url}/metrics`),
      fetch(`${relay.url}/.well-known/aimo`),
      fetch(`${relay.url}/nowhere`),
      fetch(`${relay.url}/v1/nowhere`),
      fetch(`${relay.url}/v1/models`),
      fetch(`${relay.url}/v1/key`),
      fetch(`${relay.url}/v1/chat/completions`, { method: "PUT" }),
      fetch(`${relay.url}/v1/chat/completions`, { method: "OPTIONS", headers: { origin: "https://a.test" } }),
      post(CHAT),
      post({ ...CHAT, stream: true }),
      post({ model: 7 }),
      post(CHAT, "aimo-sk-wrong"),
    ]);
    for (const reply of replies) {
      await reply.arrayBuffer();
      for (const name of LIMIT_HEADERS)
        expect(reply.headers.get(name), `${name} of ${reply.status} ${reply.url}`).to.match(/^\d+$/);
    }
  });

  it("count an account over all its keys, and a key by its own limit", async () => {
    // Two of them are for the sign-in, which this harness sends with the key.
    relay = await startTestRelay({ admission: { tierLimits: { requestsPerMinute: 7 } } });
    const own = await keyWith({ name: "slow", requests_per_minute: 2 });
    const statuses = async (key: string, count: number) => {
      const all: number[] = [];
      for (let i = 0; i < count; i++) all.push((await post(CHAT, key)).status);
      return all;
    };
    expect(await statuses(own, 3)).to.deep.equal([200, 200, 429]);
    expect(await statuses(relay.key, 4)).to.deep.equal([200, 200, 200, 429]);
    const refused = await post(CHAT);
    expect(Number(refused.headers.get("retry-after"))).to.be.within(1, 60);
    expect((await jsonOf(refused)).error.code).to.equal("rate_limit_exceeded");
  });

  it("count tokens: what was not used comes back", async () => {
    relay = await startTestRelay({ admission: { tierLimits: { tokensPerMinute: 200 } } });
    // Each may use some 90; what each does use is far less.
    for (let i = 0; i < 4; i++) expect((await post(CHAT)).status).to.equal(200);
    const refused = await post({ ...CHAT, max_tokens: 4_000 });
    const { error } = await jsonOf(refused);
    // No wait helps: nothing says when to come again.
    expect([refused.status, error.code, refused.headers.get("retry-after")]).to.deep.equal([
      ...[400, "request_above_limit", null],
    ]);
    expect(error.message).to.match(/may use \d+ tokens; this account may use 200 a minute/);
    expect(error.metadata).to.include({ tokens_per_minute: 200 });
    expect(error.metadata.tokens_estimated).to.be.above(200);
  });

  it("keep a key to the addresses it is for", async () => {
    relay = await startTestRelay();
    const here = await keyWith({ allowed_ips: ["127.0.0.0/8", "::1"] });
    const elsewhere = await keyWith({ allowed_ips: ["10.1.2.3", "2001:db8::/32"] });
    expect((await post(CHAT, here)).status).to.equal(200);
    const refused = await post(CHAT, elsewhere);
    expect([refused.status, (await jsonOf(refused)).error.code]).to.deep.equal([403, "permission_denied"]);
    const client = new AccountClient(relay, Date.now);
    const { token } = await jsonOf(await client.signIn(await client.makeMessage()));
    for (const bad of ["nonsense", "10.0.0.0/33", "::/129", "1.2.3.4/x"]) {
      const reply = await client.call("POST", "/v1/keys", token, { allowed_ips: [bad] });
      expect([reply.status, (await jsonOf(reply)).error.param]).to.deep.equal([400, "allowed_ips"]);
    }
  });

  it("let requests wait for room, refuse those for whom there is none, and forget those who left", async () => {
    relay = await startTestRelay({
      admission: { room: { maxInFlight: 1, maxWaiting: 1, maxWaitMs: 20_000 } },
    });
    const held = Promise.withResolvers<void>();
    const stand = providerOf(relay);
    const { onAsk } = stand;
    stand.onAsk = (ask) => void held.promise.then(() => onAsk(ask));
    const first = post(CHAT);
    await until(() => relay.admission.inFlight === 1);
    const leaving = new AbortController();
    const gone = fetch(`${relay.url}/v1/chat/completions`, {
      method: "POST",
      headers: { authorization: `Bearer ${relay.key}`, "content-type": "application/json" },
      body: JSON.stringify(CHAT),
      signal: leaving.signal,
    }).catch(() => "gone");
    await until(() => relay.admission.waiting === 1);
    const full = await post(CHAT);
    expect([full.status, (await jsonOf(full)).error.code]).to.deep.equal([503, "overloaded"]);
    expect(full.headers.get("retry-after")).to.equal("1");
    leaving.abort();
    expect(await gone).to.equal("gone");
    await until(() => relay.admission.waiting === 0);
    const second = post(CHAT);
    await until(() => relay.admission.waiting === 1);
    held.resolve();
    expect([(await first).status, (await second).status]).to.deep.equal([200, 200]);
    expect([relay.admission.inFlight, relay.admission.waiting]).to.deep.equal([0, 0]);
  });

  it("are those of the tier that the operator put an account in", async () => {
    relay = await startTestRelay({
      admission: { tier: "free", members: { enterprise: [owner.address] }, tierLimits: { concurrency: 9 } },
    });
    expect((await post(CHAT)).status).to.equal(200);
  });
});
