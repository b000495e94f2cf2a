import { expect } from "chai";
import { EJECTION_MS, FAILURES_TO_EJECT } from "../../../relay/src/core/breaker.ts";
import type { Ask } from "../support/stand-in-provider.ts";
import {
  CHAT,
  eventsOf,
  FEE_BPS,
  type Json,
  jsonOf,
  providerOf,
  startTestRelay,
  type TestRelay,
  USER_ID,
} from "../support/test-relay.ts";

const refuse =
  (status: number, headers: Record<string, string> = {}, error: object = {}) =>
  (ask: Ask) =>
    void ask.response
      .writeHead(status, { "content-type": "application/json", ...headers })
      .end(JSON.stringify({ error }));

/** Another model, of the n-th provider, at twice the price. */
function offerOther(relay: TestRelay, index: number) {
  const offer = providerOf(relay, index).offer();
  const model = { ...offer.model, modelId: 2, slug: "other", maxOutputTokens: 32 };
  const prices = [200_000n, 100_000n, 800_000n] as const;
  return { ...offer, model, price: { ...offer.price, prices } };
}

const chat = async (
  relay: TestRelay,
  body: object = {},
  headers: Record<string, string> = {},
): Promise<Json> => jsonOf(await relay.post("/v1/chat/completions", { ...CHAT, ...body }, headers));
const servedBy = async (...of: Parameters<typeof chat>) => {
  const body = await chat(...of);
  return body.aimo?.provider.id ?? body.error.message;
};

describe("fallback models", () => {
  let relay: TestRelay;
  afterEach(() => relay.close());

  async function start(): Promise<void> {
    relay = await startTestRelay({ providers: 2 });
    relay.offers = [providerOf(relay, 0).offer(), offerOther(relay, 1)];
  }

  it("serve when the first one cannot, at their own price and within the hold", async () => {
    await start();
    providerOf(relay, 0).onAsk = refuse(500);
    const cost = 10n * 200_000n + 800_000n;
    providerOf(relay, 1).onAsk = (ask) => {
      ask.say("Yes.");
      ask.finish({ cost });
    };
    const body = { ...CHAT, models: ["other"], stream: true };
    const { aimo } = eventsOf(await (await relay.post("/v1/chat/completions", body)).text()).at(-2);
    expect(aimo).to.include({ model_id: 2, max_tokens: 32, provider_cost_pusd: cost.toString() });
    expect(aimo.attempts.map(({ status }: Json) => status)).to.deep.equal(["failed", "ok"]);
    const [{ outcome } = { outcome: undefined }] = relay.ledger.commits;
    expect(outcome).to.include({ kind: "usage", modelId: 2, model: "other" });
    // The dearer of: 64 tokens of the one, 32 of the other.
    const prompt = BigInt(JSON.stringify(body).length + 256);
    const worst = prompt * 200_000n + 32n * 800_000n;
    expect(relay.ledger.mostHeld).to.equal((worst * (10_000n + BigInt(FEE_BPS))) / 10_000n);
    const { data } = await jsonOf(
      await fetch(`${relay.url}/v1/generation?id=${aimo.generation_id}`, {
        headers: { authorization: `Bearer ${relay.key}` },
      }),
    );
    expect(data.model).to.equal("other");
  });

  it("serve what the first one refuses, but nobody is asked twice for the same model", async () => {
    await start();
    relay.offers = [...relay.offers, providerOf(relay, 1).offer()];
    for (const provider of relay.providers)
      provider.onAsk = (ask) => (ask.query.get("model") === "1" ? refuse(400)(ask) : ask.reply("Yes."));
    const body = await chat(relay, { models: ["other"] });
    expect(body.aimo.attempts.map(({ error }: Json) => error)).to.deep.equal(["invalid_request", undefined]);
    for (const provider of relay.providers) provider.onAsk = refuse(400, {}, { message: "Too long." });
    const { error } = await chat(relay, { models: ["other"] });
    expect(error).to.include({ code: "invalid_request", message: "Too long." });
    expect(relay.ledger.holds.size).to.equal(0);
  });

  it("have a try each, however few there are", async () => {
    relay = await startTestRelay({ providers: 3, limits: { maxAttempts: 1 } });
    relay.offers = [providerOf(relay, 0).offer(), providerOf(relay, 1).offer(), offerOther(relay, 2)];
    for (const index of [0, 1]) providerOf(relay, index).onAsk = refuse(503);
    expect(await servedBy(relay, { models: ["other"] })).to.equal(3);
    expect(relay.providers.map(({ asks }) => asks.length)).to.deep.equal([1, 0, 1]);
  });

  it("are passed over when nobody offers them, and refused to a key that may not use them", async () => {
    await start();
    expect(await servedBy(relay, { model: "nothing", models: ["stand-in:nitro"] })).to.equal(1);
    const { error } = await chat(relay, { model: "nothing", models: ["nor this"] });
    expect(error).to.include({ code: "model_not_found" });
    expect(error.message).to.include("nothing, nor this");
    for (const { hash } of relay.keys.list(USER_ID))
      await relay.keys.change(USER_ID, hash, { models: ["stand-in"] });
    const refused = await chat(relay, { models: ["other"] });
    expect(refused.error).to.include({ code: "permission_denied", param: "model" });
    expect(refused.error.message).to.include("other");
  });
});

describe("choosing a provider", () => {
  let relay: TestRelay;
  afterEach(() => relay.close());

  it("obeys the name's suffix, the price and the filters, and says who was left out by what", async () => {
    relay = await startTestRelay({ providers: 2 });
    const [one, two] = [providerOf(relay, 0).offer(), providerOf(relay, 1).offer()];
    const prices = [99_999n, 50_000n, 300_000n] as const;
    relay.offers = [
      one,
      { ...two, price: { ...two.price, prices }, model: { ...two.model, zeroRetention: true } },
    ];
    expect(await servedBy(relay)).to.equal(1);
    expect(await servedBy(relay, { model: "stand-in:floor" })).to.equal(2);
    expect(await servedBy(relay, { provider: { zdr: true } })).to.equal(2);
    expect(await servedBy(relay, { provider: { max_price: { prompt: "0.099999" } } })).to.equal(2);
    const provider = { max_price: { completion: 0.35 }, quantizations: ["fp8"] };
    const { error } = await chat(relay, { provider });
    expect(error).to.include({ code: "no_fitting_provider", param: "provider", type: "not_found_error" });
    expect(error.message)
      .to.include("None of the 2 live providers")
      .and.include("max_price: 1 of 2 providers (the lowest there is: completion 0.4)")
      .and.include("quantizations: 1 of 2 providers");
    expect(error.metadata).to.deep.include({ providers: 2, excluded: ["max_price: 1", "quantizations: 1"] });
    const alone = await chat(relay, { provider: { only: [99] } });
    expect(alone.error).to.include({ code: "no_fitting_provider", param: "provider.only" });
    expect(alone.error.message).to.include("only: 2 of 2 providers.");
    const bad = await chat(relay, { provider: { sort: "exacto" } });
    expect(bad.error).to.include({ code: "invalid_request", param: "provider.sort" });
  });

  it("shows in the models list what providers promise", async () => {
    relay = await startTestRelay();
    const offer = providerOf(relay).offer();
    const claims = { quantization: "fp8", supportedParameters: ["tools"], zeroRetention: true } as const;
    relay.offers = [{ ...offer, model: { ...offer.model, ...claims, residency: "eu" } }];
    const { data } = await jsonOf(await fetch(`${relay.url}/v1/models`));
    expect(data[0].aimo.providers[0]).to.deep.include({
      ...{ quantization: "fp8", supported_parameters: ["tools"], zero_retention: true, residency: "eu" },
    });
    expect(data[0].aimo.providers[0]).to.not.have.property("collects_data");
  });

  it("lets one request at a time probe a provider after its rest, and goes back to it when that succeeds", async () => {
    relay = await startTestRelay({ providers: 2 });
    const [offer] = relay.offers;
    if (!offer) throw new RangeError("no offer");
    const fail = (now: number) => {
      for (let i = 0; i < FAILURES_TO_EJECT; i++)
        relay.routing.onFailure(offer, { code: "timeout", retryAfterSeconds: undefined }, { sent: now, now });
    };
    // Its rest is over just now.
    fail(Date.now() - EJECTION_MS - 1);
    const probed = Promise.withResolvers<Ask>();
    providerOf(relay, 0).onAsk = probed.resolve;
    const probe = servedBy(relay);
    const ask = await probed.promise;
    expect(await servedBy(relay), "beside the probe").to.equal(2);
    refuse(500)(ask);
    expect(await probe, "failed over").to.equal(2);
    expect(await servedBy(relay), "ejected again").to.equal(2);
    expect(providerOf(relay, 0).asks).to.have.length(1);
    relay.routing.endpointOf(offer).breaker.onSuccess();
    fail(Date.now() - EJECTION_MS - 1);
    providerOf(relay, 0).onAsk = (again) => again.reply("Back.");
    expect([await servedBy(relay), await servedBy(relay)]).to.deep.equal([1, 1]);
  });

  it("leaves a provider alone as long as its Retry-After says", async () => {
    relay = await startTestRelay({ providers: 2 });
    providerOf(relay, 0).onAsk = refuse(429, { "retry-after": "60" });
    for (let i = 0; i < 3; i++) expect(await servedBy(relay)).to.equal(2);
    expect(providerOf(relay, 0).asks).to.have.length(1);
    // When there is nobody else it is asked all the same.
    expect(await servedBy(relay, { provider: { only: [1] } })).to.match(/room/);
    expect(providerOf(relay, 0).asks).to.have.length(2);
  });

  it("tries no second provider when the retry budget is spent", async () => {
    relay = await startTestRelay({ providers: 2 });
    providerOf(relay, 0).onAsk = refuse(500);
    expect(await servedBy(relay)).to.equal(2);
    while (relay.routing.retries.take(Date.now()));
    const { error } = await chat(relay);
    expect(error.metadata.attempts).to.deep.equal(["1: provider_unavailable"]);
    expect(relay.ledger.holds.size).to.equal(0);
  });

  it("keeps a session with who served it, by field or by header, for its own account and model", async () => {
    let draw = 0.9;
    relay = await startTestRelay({ providers: 2, random: () => draw });
    expect(await servedBy(relay, { session_id: "a" })).to.equal(2);
    draw = 0;
    expect(await servedBy(relay)).to.equal(1);
    expect(await servedBy(relay, { session_id: "a" })).to.equal(2);
    expect(await servedBy(relay, {}, { "x-session-id": "a" })).to.equal(2);
    expect(await servedBy(relay, { session_id: "b" })).to.equal(1);
    providerOf(relay, 1).onAsk = refuse(500);
    expect(await servedBy(relay, { session_id: "a" })).to.equal(1);
    providerOf(relay, 1).onAsk = (ask) => ask.reply("Again.");
    expect(await servedBy(relay, { session_id: "a" }), "moved").to.equal(1);
  });
});
