import { expect } from "chai";
import type { Address } from "viem";
import { generatePrivateKey, privateKeyToAccount } from "viem/accounts";
import { createSiweMessage } from "viem/siwe";
import {
  CHAIN_ID,
  CHAT,
  type Json,
  jsonOf,
  owner,
  providerOf,
  startTestRelay,
  type TestRelay,
  USD,
  USER_ID,
} from "../support/test-relay.ts";

type Fields = Parameters<typeof createSiweMessage>[0];

describe("accounts", () => {
  let relay: TestRelay;
  let now: number;
  beforeEach(async () => {
    now = Date.now();
    relay = await startTestRelay({ now: () => now });
  });
  afterEach(() => relay.close());

  const call = (method: string, path: string, token: string, body?: object) =>
    fetch(relay.url + path, {
      method,
      headers: {
        authorization: `Bearer ${token}`,
        ...(body ? { "content-type": "application/json" } : {}),
      },
      ...(body ? { body: JSON.stringify(body) } : {}),
    });

  async function makeMessage(change: Partial<Fields> = {}): Promise<string> {
    const { nonce } = await jsonOf(await relay.post("/v1/auth/nonce", {}));
    return createSiweMessage({
      address: owner.address,
      chainId: CHAIN_ID,
      domain: "relay.test",
      uri: "https://relay.test/login",
      version: "1",
      issuedAt: new Date(now),
      nonce,
      ...change,
    });
  }

  const signIn = async (message: string, account = owner) =>
    relay.post("/v1/auth/siwe", { message, signature: await account.signMessage({ message }) });

  async function openSession(): Promise<string> {
    return (await jsonOf(await signIn(await makeMessage()))).token;
  }

  describe("signing in with a wallet", () => {
    it("gives a session of 15 minutes", async () => {
      const body = await jsonOf(await signIn(await makeMessage()));
      expect(body).to.include({ address: owner.address, token_type: "Bearer" });
      expect(body.token).to.match(/^aimo-st-/);
      expect((await call("GET", "/v1/keys", body.token)).status).to.equal(200);
      now += 15 * 60_000;
      expect((await call("GET", "/v1/keys", body.token)).status).to.equal(401);
    });

    it("takes a message once", async () => {
      const message = await makeMessage();
      expect((await signIn(message)).status).to.equal(200);
      const again = await signIn(message);
      expect(again.status).to.equal(401);
      expect((await jsonOf(again)).error.message).to.include("nonce");
    });

    const WRONG: Record<string, [change: () => Partial<Fields>, reason: string]> = {
      "another domain": [() => ({ domain: "evil.test" }), "evil.test"],
      "another chain": [() => ({ chainId: 1 }), "chain 1"],
      "a nonce that was never given out": [() => ({ nonce: "deadbeefdeadbeef" }), "nonce"],
      "an expired message": [() => ({ expirationTime: new Date(now - 1) }), "expired"],
      "a message for later": [() => ({ notBefore: new Date(now + 60_000) }), "expired or not valid"],
      "an old message": [() => ({ issuedAt: new Date(now - 11 * 60_000) }), "too old"],
      "a message from the future": [() => ({ issuedAt: new Date(now + 120_000) }), "future"],
    };
    for (const [title, [change, reason]] of Object.entries(WRONG)) {
      it(`refuses ${title}`, async () => {
        const response = await signIn(await makeMessage(change()));
        const { error } = await jsonOf(response);
        expect([response.status, error.code]).to.deep.equal([401, "authentication_failed"]);
        expect(error.message).to.include(reason);
      });
    }

    it("refuses a nonce that has expired", async () => {
      const { nonce } = await jsonOf(await relay.post("/v1/auth/nonce", {}));
      now += 10 * 60_000;
      expect((await signIn(await makeMessage({ nonce }))).status).to.equal(401);
    });

    it("refuses another wallet's signature, and the nonce is spent", async () => {
      const message = await makeMessage();
      const stranger = privateKeyToAccount(generatePrivateKey());
      expect((await signIn(message, stranger as typeof owner)).status).to.equal(401);
      expect((await signIn(message)).status).to.equal(401);
    });

    it("refuses what is no sign-in message, by its field", async () => {
      expect((await signIn("Please let me in")).status).to.equal(401);
      const response = await relay.post("/v1/auth/siwe", { message: "x", signature: "0xzz" });
      expect((await jsonOf(response)).error).to.include({ code: "invalid_request", param: "signature" });
      const unknown = await relay.post("/v1/auth/siwe", { message: "x", signature: "0x00", admin: true });
      expect((await jsonOf(unknown)).error).to.include({ code: "invalid_request", param: "admin" });
    });

    it("is limited per address", async () => {
      const limited = await startTestRelay({ settings: { authCallsPerMinute: 2 } });
      const statuses = [];
      for (let i = 0; i < 3; i++) statuses.push((await limited.post("/v1/auth/nonce", {})).status);
      const last = await limited.post("/v1/auth/nonce", {});
      expect(statuses).to.deep.equal([200, 200, 429]);
      expect(Number(last.headers.get("retry-after"))).to.be.within(1, 60);
      expect((await jsonOf(last)).error.code).to.equal("rate_limit_exceeded");
      await limited.close();
    });
  });

  describe("keys", () => {
    it("are made by a session, shown once, and used at once", async () => {
      const session = await openSession();
      const made = await call("POST", "/v1/keys", session, {
        name: "mine",
        limit: 0.25,
        limit_reset: "daily",
      });
      const { key, data } = await jsonOf(made);
      expect(made.status).to.equal(201);
      expect(key).to.match(/^aimo-sk-[1-9A-HJ-NP-Za-km-z]{40,44}$/);
      expect(data).to.include({ name: "mine", limit: 0.25, limit_remaining: 0.25, limit_reset: "daily" });
      const listed = await (await call("GET", "/v1/keys", session)).text();
      expect(listed).to.include(data.hash).and.not.to.include(key);
      expect((await jsonOf(await call("GET", "/v1/key", key))).data.hash).to.equal(data.hash);
      const chat = await relay.post("/v1/chat/completions", CHAT, { authorization: `Bearer ${key}` });
      expect(chat.status).to.equal(200);
      const read = await jsonOf(await call("GET", `/v1/keys/${data.hash}`, session));
      expect(read.data.usage).to.be.above(0);
      expect(read.data.limit_remaining).to.be.closeTo(0.25 - read.data.usage, 1e-12);
    });

    it("can be changed, disabled, left to expire, and revoked", async () => {
      const session = await openSession();
      const { key, data } = await jsonOf(await call("POST", "/v1/keys", session, {}));
      const status = async () => (await call("GET", "/v1/key", key)).status;
      const patch = (body: object) => call("PATCH", `/v1/keys/${data.hash}`, session, body);
      await patch({ disabled: true });
      expect(await status()).to.equal(401);
      await patch({ disabled: false, expires_at: new Date(now + 1_000).toISOString() });
      expect(await status()).to.equal(200);
      now += 1_000;
      expect(await status()).to.equal(401);
      await patch({ expires_at: null });
      expect(await status()).to.equal(200);
      expect((await call("DELETE", `/v1/keys/${data.hash}`, session)).status).to.equal(200);
      expect(await status()).to.equal(401);
      expect((await call("DELETE", `/v1/keys/${data.hash}`, session)).status).to.equal(404);
    });

    it("refuse settings of the wrong kind, by their field", async () => {
      const session = await openSession();
      for (const [body, param] of [
        [{ limit: -1 }, "limit"],
        [{ limit: "5" }, "limit"],
        [{ limit_reset: "hourly" }, "limit_reset"],
        [{ expires_at: "tomorrow" }, "expires_at"],
        [{ models: "all" }, "models"],
        [{ is_admin: true }, "is_admin"],
      ] as const) {
        const response = await call("POST", "/v1/keys", session, body);
        const { error } = await jsonOf(response);
        expect([response.status, error.code, error.param]).to.deep.equal([400, "invalid_request", param]);
      }
    });

    it("manage nothing themselves, and sessions infer nothing", async () => {
      const session = await openSession();
      for (const response of [
        await call("GET", "/v1/keys", relay.key),
        await call("POST", "/v1/keys", relay.key, {}),
        await relay.post("/v1/chat/completions", CHAT, { authorization: `Bearer ${session}` }),
      ])
        expect([response.status, (await jsonOf(response)).error.code]).to.deep.equal([
          403,
          "permission_denied",
        ]);
    });

    it("need an account with a deposit", async () => {
      const stranger = privateKeyToAccount(generatePrivateKey());
      const message = await makeMessage({ address: stranger.address });
      const { token } = await jsonOf(await signIn(message, stranger as typeof owner));
      expect((await call("POST", "/v1/keys", token, {})).status).to.equal(402);
      expect((await jsonOf(await call("GET", "/v1/credits", token))).data.total_credits).to.equal(0);
    });

    it("are kept as hashes only, over a restart", async () => {
      const { KeyStore } = await import("../../../relay/src/store/keys.ts");
      const { openData } = await import("@aimo/node/data-dir");
      const zero = `0x${"00".repeat(32)}` as const;
      const identity = { chainId: 1, genesisHash: zero, settlement: owner.address };
      const db = await openData({ location: "memory", identity });
      const store = await KeyStore.open(db, () => now);
      const settings = {
        name: "a",
        limit: 5n,
        limitReset: undefined,
        expiresAt: undefined,
        models: ["m"],
        disabled: false,
      };
      const { key, record } = await store.create({ userId: 1, owner: owner.address }, settings);
      expect(JSON.stringify(await db.iterator().all())).to.not.include(key.slice(-20));
      const again = await KeyStore.open(db, () => now);
      expect(again.authenticate(key).record).to.deep.equal(record);
      expect(again.authenticate(key).caller).to.deep.include({ limit: 5n, models: ["m"], userId: 1 });
      await db.close();
    });
  });

  describe("reading", () => {
    it("gives credits, channel and generations to keys and sessions of the account", async () => {
      const chat = await jsonOf(await relay.post("/v1/chat/completions", CHAT));
      const session = await openSession();
      for (const token of [relay.key, session]) {
        const credits = await jsonOf(await call("GET", "/v1/credits", token));
        expect(credits.data.total_credits).to.equal(7);
        expect(credits.aimo.channel).to.include({ user: USER_ID, limit_pusd: (5n * USD).toString() });
        const { data } = await jsonOf(await call("GET", "/v1/channels", token));
        expect(data[0].pending_pusd).to.equal(chat.aimo.cost_pusd);
        const generation = await jsonOf(await call("GET", `/v1/generation?id=${chat.id}`, token));
        expect(generation.data).to.include({ id: chat.id, state: "provisional", tokens_completion: 3 });
        expect(generation.data.aimo).to.include({ cost_pusd: chat.aimo.cost_pusd, nonce: chat.aimo.nonce });
        const proof = await call("GET", `/v1/generation/${chat.id}/proof`, token);
        expect(proof.status).to.equal(404);
        expect((await jsonOf(proof)).error.metadata.state).to.equal("provisional");
        expect((await jsonOf(await call("GET", "/v1/settlements", token))).data).to.deep.equal([]);
        expect((await call("GET", "/v1/settlements/1", token)).status).to.equal(404);
      }
    });

    it("hides other accounts' generations", async () => {
      const chat = await jsonOf(await relay.post("/v1/chat/completions", CHAT));
      const settings = {
        name: "",
        limit: undefined,
        limitReset: undefined,
        expiresAt: undefined,
        models: undefined,
      };
      const stranger: Address = "0x00000000000000000000000000000000000000B0";
      const { key } = await relay.keys.create(
        { userId: 10, owner: stranger },
        { ...settings, disabled: false },
      );
      expect((await call("GET", `/v1/generation?id=${chat.id}`, key)).status).to.equal(404);
      expect((await call("GET", `/v1/generation/${chat.id}/proof`, key)).status).to.equal(404);
      expect((await call("GET", "/v1/generation?id=x", key)).status).to.equal(400);
    });

    it("opens a channel for its own wallet only, at this relay only", async () => {
      const session = await openSession();
      const body = {
        ...{ user: owner.address, relayId: 3, sessionKey: `0x${"00".repeat(20)}`, amount: "1000000000000" },
        ...{
          expiry: 2_000_000_000,
          mode: 0,
          nonce: "0",
          deadline: 2_000_000_000,
          signature: `0x${"11".repeat(65)}`,
        },
      };
      const opened = await call("POST", "/v1/channels", session, body);
      expect(opened.status).to.equal(201);
      expect((await jsonOf(opened)).transaction).to.match(/^0x/);
      const others = await call("POST", "/v1/channels", session, { ...body, user: `0x${"22".repeat(20)}` });
      expect(others.status).to.equal(403);
      expect((await call("POST", "/v1/channels", session, { ...body, relayId: 4 })).status).to.equal(400);
      expect((await call("POST", "/v1/channels", relay.key, body)).status).to.equal(403);
    });
  });
});

describe("what is open to all", () => {
  let relay: TestRelay;
  before(async () => {
    relay = await startTestRelay({ providers: 2, settings: { requestsPerMinute: 5 } });
    const offer = providerOf(relay, 1).offer();
    relay.offers = [
      providerOf(relay).offer(),
      {
        ...offer,
        model: { ...offer.model, slug: "author/stand-in" },
        price: { ...offer.price, prices: [1n, 1n, 2n] },
      },
    ];
  });
  after(() => relay.close());
  const get = (path: string, headers: Record<string, string> = {}) => fetch(relay.url + path, { headers });

  it("lists models with exact prices and who serves them", async () => {
    const { data } = await jsonOf(await get("/v1/models"));
    expect(data.map(({ id }: Json) => id)).to.deep.equal(["author/stand-in", "stand-in"]);
    expect(data[1].pricing).to.include({ prompt: "0.0000001", completion: "0.0000004" });
    expect(data[1].aimo.providers[0]).to.include({ id: 1, address: providerOf(relay).signer });
    const one = await jsonOf(await get("/v1/models/author/stand-in"));
    expect(one).to.deep.equal(data[0]);
    expect((await get("/v1/models/author/none")).status).to.equal(404);
  });

  it("says who it is, how it does, and what it can do", async () => {
    expect(await jsonOf(await get("/health"))).to.deep.equal({ status: "ok", in_flight: 0 });
    expect((await jsonOf(await get("/.well-known/aimo"))).relay.id).to.equal(3);
    const openapi = await jsonOf(await get("/openapi.json"));
    expect(Object.keys(openapi.paths)).to.include.members([
      "/v1/chat/completions",
      "/v1/keys/{hash}",
      "/v1/credits",
    ]);
    expect(openapi.paths["/v1/chat/completions"].post.operationId).to.equal("createChatCompletion");
  });

  it("lets web pages call", async () => {
    const response = await fetch(`${relay.url}/v1/chat/completions`, {
      method: "OPTIONS",
      headers: { origin: "https://app.test", "access-control-request-method": "POST" },
    });
    expect(response.status).to.equal(204);
    expect(response.headers.get("access-control-allow-origin")).to.equal("*");
  });

  it("tells every caller its limit, and holds a key to it", async () => {
    const authorization = `Bearer ${relay.key}`;
    const responses = [];
    for (let i = 0; i < 6; i++) responses.push(await get("/v1/credits", { authorization }));
    expect(responses.map(({ status }) => status)).to.deep.equal([200, 200, 200, 200, 200, 429]);
    expect(responses[0]?.headers.get("x-ratelimit-limit")).to.equal("5");
    expect(responses.map(({ headers }) => headers.get("x-ratelimit-remaining"))).to.deep.equal([..."432100"]);
    expect(Number(responses[5]?.headers.get("x-ratelimit-reset"))).to.be.above(Date.now() / 1000);
    expect(Number(responses[5]?.headers.get("retry-after"))).to.be.within(1, 12);
  });
});

describe("an error that nobody foresaw", () => {
  it("keeps what it says out of the reply", async () => {
    const secret = "the database password is hunter2";
    const relay = await startTestRelay({
      accounts: {
        creditsOf: async () => {
          throw new Error(secret);
        },
      },
    });
    const response = await fetch(`${relay.url}/v1/credits`, {
      headers: { authorization: `Bearer ${relay.key}` },
    });
    const text = await response.text();
    expect(response.status).to.equal(500);
    expect(text).to.not.include("hunter2");
    expect(JSON.parse(text).error.metadata.request_id).to.equal(response.headers.get("x-request-id"));
    await relay.close();
  });
});
