import { expect } from "chai";
import type { Address } from "viem";
import { AccountClient } from "../support/account-client.ts";
import { CHAT, jsonOf, owner, startTestRelay, type TestRelay, USD, USER_ID } from "../support/test-relay.ts";

describe("reading an account", () => {
  let relay: TestRelay;
  let client: AccountClient;
  let now: number;
  beforeEach(async () => {
    now = Date.now();
    relay = await startTestRelay({ now: () => now });
    client = new AccountClient(relay, () => now);
  });
  afterEach(() => relay.close());

  it("gives credits, channel and generations to keys and sessions of the account", async () => {
    const chat = await jsonOf(await relay.post("/v1/chat/completions", CHAT));
    const session = await client.openSession();
    for (const token of [relay.key, session]) {
      const credits = await jsonOf(await client.call("GET", "/v1/credits", token));
      expect(credits.data.total_credits).to.equal(7);
      expect(credits.aimo.channel).to.include({ user: USER_ID, limit_pusd: (5n * USD).toString() });
      const { data } = await jsonOf(await client.call("GET", "/v1/channels", token));
      expect(data[0].pending_pusd).to.equal(chat.aimo.cost_pusd);
      expect(data[0]).to.include({ thawing_pusd: "0", thaw_end: 0 });
      const generation = await jsonOf(await client.call("GET", `/v1/generation?id=${chat.id}`, token));
      expect(generation.data).to.include({ id: chat.id, state: "provisional", tokens_completion: 3 });
      expect(generation.data.aimo).to.include({ cost_pusd: chat.aimo.cost_pusd, nonce: chat.aimo.nonce });
      const proof = await client.call("GET", `/v1/generation/${chat.id}/proof`, token);
      expect(proof.status).to.equal(404);
      expect((await jsonOf(proof)).error.metadata.state).to.equal("provisional");
      expect((await jsonOf(await client.call("GET", "/v1/settlements", token))).data).to.deep.equal([]);
      for (const query of ["limit=0", "limit=1001", "after=-1", "after=x"]) {
        const refused = await client.call("GET", `/v1/settlements?${query}`, token);
        expect([query, refused.status]).to.deep.equal([query, 400]);
      }
      expect((await client.call("GET", "/v1/settlements/1", token)).status).to.equal(404);
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
    expect((await client.call("GET", `/v1/generation?id=${chat.id}`, key)).status).to.equal(404);
    expect((await client.call("GET", `/v1/generation/${chat.id}/proof`, key)).status).to.equal(404);
    expect((await client.call("GET", "/v1/generation?id=x", key)).status).to.equal(400);
  });

  it("opens a channel for its own wallet only, at this relay only", async () => {
    const session = await client.openSession();
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
    const opened = await client.call("POST", "/v1/channels", session, body);
    expect(opened.status).to.equal(201);
    expect((await jsonOf(opened)).transaction).to.match(/^0x/);
    const others = await client.call("POST", "/v1/channels", session, {
      ...body,
      user: `0x${"22".repeat(20)}`,
    });
    expect(others.status).to.equal(403);
    expect((await client.call("POST", "/v1/channels", session, { ...body, relayId: 4 })).status).to.equal(
      400,
    );
    expect((await client.call("POST", "/v1/channels", relay.key, body)).status).to.equal(403);
  });
});
