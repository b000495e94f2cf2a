import { expect } from "chai";
import { generatePrivateKey, privateKeyToAccount } from "viem/accounts";
import { AccountClient, type Fields } from "../support/account-client.ts";
import { jsonOf, owner, startTestRelay, type TestRelay } from "../support/test-relay.ts";

describe("signing in with a wallet", () => {
  let relay: TestRelay;
  let client: AccountClient;
  let now: number;
  beforeEach(async () => {
    now = Date.now();
    relay = await startTestRelay({ now: () => now });
    client = new AccountClient(relay, () => now);
  });
  afterEach(() => relay.close());

  it("gives a session of 15 minutes", async () => {
    const body = await jsonOf(await client.signIn(await client.makeMessage()));
    expect(body).to.include({ address: owner.address, token_type: "Bearer" });
    expect(body.token).to.match(/^aimo-st-/);
    expect((await client.call("GET", "/v1/keys", body.token)).status).to.equal(200);
    now += 15 * 60_000;
    expect((await client.call("GET", "/v1/keys", body.token)).status).to.equal(401);
  });

  it("takes a message once", async () => {
    const message = await client.makeMessage();
    expect((await client.signIn(message)).status).to.equal(200);
    const again = await client.signIn(message);
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
      const response = await client.signIn(await client.makeMessage(change()));
      const { error } = await jsonOf(response);
      expect([response.status, error.code]).to.deep.equal([401, "authentication_failed"]);
      expect(error.message).to.include(reason);
    });
  }

  it("refuses a nonce that has expired", async () => {
    const { nonce } = await jsonOf(await relay.post("/v1/auth/nonce", {}));
    now += 10 * 60_000;
    expect((await client.signIn(await client.makeMessage({ nonce }))).status).to.equal(401);
  });

  it("refuses another wallet's signature, and the nonce is spent", async () => {
    const message = await client.makeMessage();
    const stranger = privateKeyToAccount(generatePrivateKey());
    expect((await client.signIn(message, stranger)).status).to.equal(401);
    expect((await client.signIn(message)).status).to.equal(401);
  });

  it("refuses what is no sign-in message, by its field", async () => {
    expect((await client.signIn("Please let me in")).status).to.equal(401);
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
