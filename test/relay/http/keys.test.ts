import { expect } from "chai";
import { generatePrivateKey, privateKeyToAccount } from "viem/accounts";
import { AccountClient } from "../support/account-client.ts";
import { CHAT, jsonOf, owner, startTestRelay, type TestRelay } from "../support/test-relay.ts";

describe("keys", () => {
  let relay: TestRelay;
  let client: AccountClient;
  let now: number;
  beforeEach(async () => {
    now = Date.now();
    relay = await startTestRelay({ now: () => now });
    client = new AccountClient(relay, () => now);
  });
  afterEach(() => relay.close());

  it("are made by a session, shown once, and used at once", async () => {
    const session = await client.openSession();
    const made = await client.call("POST", "/v1/keys", session, {
      name: "mine",
      limit: 0.25,
      limit_reset: "daily",
    });
    const { key, data } = await jsonOf(made);
    expect(made.status).to.equal(201);
    expect(key).to.match(/^aimo-sk-[1-9A-HJ-NP-Za-km-z]{40,44}$/);
    expect(data).to.include({ name: "mine", limit: 0.25, limit_remaining: 0.25, limit_reset: "daily" });
    const listed = await (await client.call("GET", "/v1/keys", session)).text();
    expect(listed).to.include(data.hash).and.not.to.include(key);
    expect((await jsonOf(await client.call("GET", "/v1/key", key))).data.hash).to.equal(data.hash);
    const chat = await relay.post("/v1/chat/completions", CHAT, { authorization: `Bearer ${key}` });
    expect(chat.status).to.equal(200);
    const read = await jsonOf(await client.call("GET", `/v1/keys/${data.hash}`, session));
    expect(read.data.usage).to.be.above(0);
    expect(read.data.limit_remaining).to.be.closeTo(0.25 - read.data.usage, 1e-12);
  });

  it("can be changed, disabled, left to expire, and revoked", async () => {
    const session = await client.openSession();
    const { key, data } = await jsonOf(await client.call("POST", "/v1/keys", session, {}));
    const status = async () => (await client.call("GET", "/v1/key", key)).status;
    const patch = (body: object) => client.call("PATCH", `/v1/keys/${data.hash}`, session, body);
    await patch({ disabled: true });
    expect(await status()).to.equal(401);
    await patch({ disabled: false, expires_at: new Date(now + 1_000).toISOString() });
    expect(await status()).to.equal(200);
    now += 1_000;
    expect(await status()).to.equal(401);
    await patch({ expires_at: null });
    expect(await status()).to.equal(200);
    expect((await client.call("DELETE", `/v1/keys/${data.hash}`, session)).status).to.equal(200);
    expect(await status()).to.equal(401);
    expect((await client.call("DELETE", `/v1/keys/${data.hash}`, session)).status).to.equal(404);
  });

  it("refuse settings of the wrong kind, by their field", async () => {
    const session = await client.openSession();
    for (const [body, param] of [
      [{ limit: -1 }, "limit"],
      [{ limit: "5" }, "limit"],
      [{ limit_reset: "hourly" }, "limit_reset"],
      [{ expires_at: "tomorrow" }, "expires_at"],
      [{ models: "all" }, "models"],
      [{ is_admin: true }, "is_admin"],
    ] as const) {
      const response = await client.call("POST", "/v1/keys", session, body);
      const { error } = await jsonOf(response);
      expect([response.status, error.code, error.param]).to.deep.equal([400, "invalid_request", param]);
    }
  });

  it("manage nothing themselves, and sessions infer nothing", async () => {
    const session = await client.openSession();
    for (const response of [
      await client.call("GET", "/v1/keys", relay.key),
      await client.call("POST", "/v1/keys", relay.key, {}),
      await relay.post("/v1/chat/completions", CHAT, { authorization: `Bearer ${session}` }),
    ])
      expect([response.status, (await jsonOf(response)).error.code]).to.deep.equal([
        403,
        "permission_denied",
      ]);
  });

  it("need an account with a deposit", async () => {
    const stranger = privateKeyToAccount(generatePrivateKey());
    const message = await client.makeMessage({ address: stranger.address });
    const { token } = await jsonOf(await client.signIn(message, stranger));
    const refused = await client.call("POST", "/v1/keys", token, {});
    expect(refused.status).to.equal(402);
    expect((await jsonOf(refused)).error.metadata.hint)
      .to.contain("Deposit first")
      .and.not.to.contain("max_tokens");
    expect((await jsonOf(await client.call("GET", "/v1/credits", token))).data.total_credits).to.equal(0);
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
