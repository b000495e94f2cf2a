import { expect } from "chai";
import { type Json, jsonOf, providerOf, startTestRelay, type TestRelay } from "../support/test-relay.ts";

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

  it("shows its metrics to all, or to those who have the token where there is one", async () => {
    expect((await get("/metrics")).status).to.equal(200);
    const closed = await startTestRelay({ settings: { metricsToken: "for-the-scraper" } });
    const read = async (headers: Record<string, string> = {}) =>
      (await fetch(`${closed.url}/metrics`, { headers })).status;
    expect(await read()).to.equal(401);
    expect(await read({ authorization: `Bearer ${closed.key}` })).to.equal(401);
    expect(await read({ authorization: "Bearer for-the-scraper" })).to.equal(200);
    await closed.close();
  });

  it("says that a pause keeps it from posting, and serves on", async () => {
    const paused = await startTestRelay({ pausedUntil: () => 1_790_000_000 });
    const health = await fetch(`${paused.url}/health`);
    expect([health.status, await jsonOf(health)]).to.deep.equal([
      200,
      { status: "ok", in_flight: 0, posting: "paused", paused_until: 1_790_000_000 },
    ]);
    await paused.close();
  });

  it("lets web pages call", async () => {
    const response = await fetch(`${relay.url}/v1/chat/completions`, {
      method: "OPTIONS",
      headers: { origin: "https://app.test", "access-control-request-method": "POST" },
    });
    expect(response.status).to.equal(204);
    expect(response.headers.get("access-control-allow-origin")).to.equal("*");
  });

  it("lets web pages read the headers that it documents", async () => {
    const response = await get("/v1/models", { origin: "https://app.test" });
    const exposed = response.headers.get("access-control-expose-headers")?.split(/,\s*/) ?? [];
    expect(exposed).to.include.members([
      ...["x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset", "retry-after"],
      ...["x-request-id", "x-client-request-id", "x-generation-id", "x-aimo-cache-status"],
    ]);
    for (const name of ["x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset", "x-request-id"])
      expect(response.headers.get(name), name).to.be.a("string");
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
