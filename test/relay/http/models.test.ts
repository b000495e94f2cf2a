import { expect } from "chai";
import type { Offer } from "../../../relay/src/core/types.ts";
import {
  CHAT,
  type Json,
  jsonOf,
  providerOf,
  startTestRelay,
  type TestRelay,
} from "../support/test-relay.ts";

describe("the models list and its endpoints", () => {
  let relay: TestRelay;
  before(async () => {
    relay = await startTestRelay({ providers: 2 });
    const first = providerOf(relay, 0).offer();
    const second = providerOf(relay, 1).offer();
    const image: Offer = {
      ...second,
      region: "eu-west",
      model: { ...second.model, modelId: 2, slug: "acme/painter", route: "images", contextTokens: 4_000 },
      price: { version: 1, prices: [0n, 0n, 20_000_000_000n], kinds: ["none", "none", "image"] },
    };
    const announced = {
      quantization: "fp8" as const,
      supportedParameters: ["tools", "seed"],
      zeroRetention: true,
    };
    const cheap: Offer = {
      ...second,
      region: "eu-west",
      model: { ...second.model, ...announced, contextTokens: 32_768, description: "A quick writer." },
      price: { ...second.price, prices: [50_000n, 50_000n, 100_000n] },
    };
    relay.offers = [first, cheap, image];
  });
  after(() => relay.close());

  const get = async (path: string) => jsonOf(await fetch(relay.url + path));
  const ids = async (query: string) => (await get(`/v1/models?${query}`)).data.map(({ id }: Json) => id);

  it("finds models by words, category and modality", async () => {
    expect(await ids("")).to.deep.equal(["acme/painter", "stand-in"]);
    expect(await ids("q=QUICK%20stand")).to.deep.equal(["stand-in"]);
    expect(await ids("q=nothing")).to.deep.equal([]);
    expect(await ids("category=images")).to.deep.equal(["acme/painter"]);
    expect(await ids("output_modalities=image&input_modalities=text")).to.deep.equal(["acme/painter"]);
    expect(await ids("input_modalities=audio")).to.deep.equal([]);
  });

  it("say how much a model writes, of models that write", async () => {
    const [painter, writer] = (await get("/v1/models")).data;
    expect([painter.max_completion_tokens, painter.aimo.providers[0].max_completion_tokens]).to.deep.equal([
      ...[null, null],
    ]);
    expect(writer.max_completion_tokens).to.equal(writer.aimo.providers[0].max_completion_tokens);
    expect(writer.max_completion_tokens).to.be.greaterThan(0);
    const { endpoints } = (await get("/v1/models/acme/painter/endpoints")).data;
    expect(endpoints[0].max_completion_tokens).to.equal(null);
  });

  it("keeps only the providers that fit", async () => {
    const providers = async (query: string) =>
      (await get(`/v1/models?category=chat&${query}`)).data[0]?.aimo.providers.map(({ id }: Json) => id);
    expect(await providers("")).to.deep.equal([1, 2]);
    expect(await providers("providers=2")).to.deep.equal([2]);
    expect(await providers(`providers=${providerOf(relay).signer}`)).to.deep.equal([1]);
    expect(await providers("region=eu-west,us-east")).to.deep.equal([2]);
    expect(await providers("supported_parameters=tools,seed")).to.deep.equal([2]);
    expect(await providers("supported_parameters=logprobs")).to.equal(undefined);
    expect(await providers("min_context=10000")).to.deep.equal([2]);
    expect(await providers("max_context=10000")).to.deep.equal([1]);
    expect(await providers("max_price=0.05")).to.deep.equal([2]);
    expect(await providers("min_price=0.06")).to.deep.equal([1]);
  });

  it("orders by price and context", async () => {
    // 0.05 USD for a million tokens, 0.02 USD an image.
    expect(await ids("sort=price")).to.deep.equal(["acme/painter", "stand-in"]);
    expect(await ids("sort=-price")).to.deep.equal(["stand-in", "acme/painter"]);
    expect(await ids("sort=context-high-to-low&limit=1")).to.deep.equal(["stand-in"]);
  });

  it("names the parameter that is wrong", async () => {
    const long = "x".repeat(201);
    const many = Array.from({ length: 33 }, (_, index) => index).join(",");
    for (const [name, value] of [
      ...[
        ["q", long],
        ["category", "poetry"],
        ["input_modalities", "smell"],
        ["providers", many],
        ["providers", "abc"],
      ],
      ...[
        ["min_context", "-1"],
        ["max_context", "ten"],
        ["max_price", "1e99"],
        ["sort", "random"],
        ["limit", "0"],
      ],
    ]) {
      const response = await fetch(`${relay.url}/v1/models?${name}=${value}`);
      expect([response.status, (await jsonOf(response)).error.param]).to.deep.equal([400, name]);
    }
    expect((await fetch(`${relay.url}/v1/models?foo=bar`)).status, "another's parameter").to.equal(200);
    const twice = await fetch(`${relay.url}/v1/models?q=a&q=b`);
    expect([twice.status, (await jsonOf(twice)).error.param]).to.deep.equal([400, "q"]);
    const crossed = await jsonOf(await fetch(`${relay.url}/v1/models?min_price=2&max_price=1`));
    expect(crossed.error.param).to.equal("max_price");
  });

  it("shows who serves a model, with what this relay saw of them", async () => {
    providerOf(relay, 1).onAsk = (ask) => void ask.response.writeHead(500).end("{}");
    const body = { ...CHAT, provider: { order: [2, 1] } };
    expect((await relay.post("/v1/chat/completions", body)).status).to.equal(200);
    const { data } = await get("/v1/models/stand-in/endpoints");
    expect(data).to.include({ id: "stand-in", context_length: 32_768 });
    const [cheap, first] = data.endpoints;
    expect(cheap).to.include({ tag: "2", quantization: "fp8", zero_retention: true, region: "eu-west" });
    expect(cheap).to.include({ uptime_last_5m: 0, uptime_last_1d: 0, latency_last_30m: null, status: 0 });
    expect(cheap.requests.last_30m).to.deep.equal({ ok: 0, failed: 1 });
    expect(first).to.include({ tag: "1", quantization: null, uptime_last_30m: 1 });
    expect(first.requests.last_5m).to.deep.equal({ ok: 1, failed: 0 });
    expect(first.latency_last_30m.p50).to.be.greaterThan(0);
    expect(first.throughput_last_30m.p50).to.be.greaterThan(0);
    expect(first.pricing).to.include({ prompt: "0.0000001", completion: "0.0000004" });
  });

  it("finds endpoints of a name with a slash, and of none", async () => {
    const { data } = await get("/v1/models/ACME/painter/endpoints");
    expect(data.endpoints[0].pricing.image).to.equal("0.02");
    const none = await fetch(`${relay.url}/v1/models/nobody/none/endpoints`);
    const { error } = await jsonOf(none);
    expect([none.status, error.code]).to.deep.equal([404, "model_not_found"]);
    expect(error.message).to.include("nobody/none").and.not.include("endpoints");
  });

  it("lists providers", async () => {
    const { data } = await get("/v1/providers");
    expect(data.map(({ id, models }: Json) => [id, models])).to.deep.equal([
      [1, ["stand-in"]],
      [2, ["acme/painter", "stand-in"]],
    ]);
    expect(data[1]).to.include({ slug: "2", region: "eu-west", uptime_last_1d: 0 });
  });
});
