import { isAimoError } from "@aimo/protocol/errors";
import { expect } from "chai";
import fc from "fast-check";
import { readAsk } from "../../../relay/src/core/ask.ts";
import { Exclusions, filterOf, preferVisible } from "../../../relay/src/core/filters.ts";
import { MAX_MODELS, NO_PREFERENCES, readPreferences } from "../../../relay/src/core/preferences.ts";
import type { Offer } from "../../../relay/src/core/types.ts";
import { idsOf, makeAsk, makeOffer } from "../support/offers.ts";

/** The field that a body is refused for. */
function faultOf(body: object): string | undefined {
  try {
    makeAsk(body);
    return undefined;
  } catch (error) {
    if (!isAimoError(error) || error.code !== "invalid_request") throw error;
    expect(error.message.length).to.be.above(10);
    return error.param;
  }
}

/** The filter that an offer does not pass. */
const filter = (provider: object, change: Parameters<typeof makeOffer>[2] = {}, body: object = {}) =>
  filterOf(makeAsk({ provider, ...body }), makeOffer(1, 100n, { region: "eu-west-1", ...change }));

describe("preferences", () => {
  it("name the field that is wrong", () => {
    const bad: [string, unknown][] = [
      ["sort", "exacto"],
      ["sort", { by: 3 }],
      ["order", "1"],
      ["only", [{}]],
      ["ignore", Array(65).fill(1)],
      ["allow_fallbacks", "no"],
      ["require_parameters", 1],
      ["quantizations", ["fp7"]],
      ["quantizations", []],
      ["zdr", "yes"],
      ["data_collection", "maybe"],
      ["regions", []],
      ["residency", ["x".repeat(33)]],
      ["preferred_regions", [1]],
      ["preferred_max_latency", 0],
      ["preferred_max_latency", { p50: "1" }],
      ["preferred_min_throughput", -1],
      ["max_price", 3],
      ["onyl", [1]],
      ["enforce_distillable_text", 1],
      ...["alpha", "0", "0x12", "1.5", ""].map((name): [string, unknown] => ["only", [name]]),
    ];
    for (const [field, value] of bad)
      expect(faultOf({ provider: { [field]: value } }), field).to.equal(`provider.${field}`);
    for (const value of [-1, "1e3", "", Number.NaN, 1e30, {}])
      expect(faultOf({ provider: { max_price: { prompt: value } } })).to.equal("provider.max_price.prompt");
    expect(faultOf({ provider: { max_price: { promt: 1 } } })).to.equal("provider.max_price.promt");
    expect(faultOf({ provider: { max_price: { audio: "dear" } } })).to.equal("provider.max_price.audio");
    expect(faultOf({ provider: { sort: { bye: "price" } } })).to.equal("provider.sort.bye");
    expect(faultOf({ provider: { preferred_max_latency: { p5: 1 } } })).to.equal(
      "provider.preferred_max_latency.p5",
    );
    expect(faultOf({ provider: [] })).to.equal("provider");
    expect(faultOf({ session_id: "x".repeat(257) })).to.equal("session_id");
    expect(faultOf({ models: [] })).to.equal("models");
    expect(faultOf({ models: Array(MAX_MODELS + 1).fill("m") })).to.equal("models");
    expect(faultOf({ models: ["a", 1] })).to.equal("models[1]");
    expect(faultOf({ model: undefined })).to.equal("model");
  });

  it("take every field that OpenRouter has, and name one without end by its beginning", () => {
    const provider = {
      ...{
        order: [1],
        allow_fallbacks: true,
        require_parameters: false,
        data_collection: "allow",
        zdr: false,
      },
      ...{ enforce_distillable_text: true, only: ["2"], ignore: [3], quantizations: ["fp8"] },
      ...{ sort: { by: "price", partition: "model" }, preferred_min_throughput: { p50: 1, p99: 2 } },
      ...{
        preferred_max_latency: 3,
        max_price: { prompt: 1, completion: 1, request: 1, image: 1, audio: 1 },
      },
    };
    expect(faultOf({ provider })).to.equal(undefined);
    expect(faultOf({ provider: { ["x".repeat(500)]: 1 } })).to.have.length(73);
  });

  it("read anything without another error than one that names a field", () => {
    fc.assert(
      fc.property(
        fc.dictionary(fc.constantFrom("order", "only", "sort", "max_price", "zdr", "other"), fc.anything()),
        (provider) => {
          const param = faultOf({ provider });
          if (param !== undefined) expect(param).to.match(/^provider\./);
        },
      ),
    );
  });

  it("cost nothing where there are none", () => {
    expect(readPreferences({})).to.equal(NO_PREFERENCES);
    expect(readPreferences({ provider: null })).to.equal(NO_PREFERENCES);
  });

  it("read the models by priority, each once, and how their names say to sort", () => {
    const read = (body: object) => makeAsk(body).wanted;
    expect(read({ model: "A/b:floor" })).to.deep.equal([{ model: "a/b", sort: "price" }]);
    expect(read({ model: "a:free" })).to.deep.equal([{ model: "a:free", sort: undefined }]);
    expect(read({ model: "a", models: ["b:nitro", "A", "c"] })).to.deep.equal([
      { model: "a", sort: undefined },
      { model: "b", sort: "throughput" },
      { model: "c", sort: undefined },
    ]);
    expect(makeAsk({ model: undefined, models: ["x", "y"] }).model).to.equal("x");
    expect(faultOf({ model: ":floor" })).to.equal(undefined);
  });

  it("take the session from the body, then from the header", () => {
    const body = { model: "m", messages: [{ role: "user", content: "x" }] };
    expect(readAsk("chat", { ...body, session_id: "b" }, 9, "h").sessionId).to.equal("b");
    expect(readAsk("chat", body, 9, "h").sessionId).to.equal("h");
    expect(() => readAsk("chat", body, 9, "h".repeat(257))).to.throw("x-session-id");
  });
});

describe("filters", () => {
  it("hold prices to USD per million tokens, exactly, as a number or as a text", () => {
    // 100 pUSD per token are 0.0001 USD per million.
    for (const [limit, isIn] of [
      ["0.0001", true],
      ["0.000099999999", false],
      [0.0001, true],
      [0.00009, false],
      [0, false],
      ["5", true],
    ] as const)
      for (const field of ["prompt", "completion"])
        expect(filter({ max_price: { [field]: limit } }), `${field} ${limit}`).to.equal(
          isIn ? undefined : "max_price",
        );
    const image = makeOffer(1, 0n, { model: { route: "images" } });
    const priced = {
      ...image,
      price: { version: 1, prices: [0n, 0n, 40_000_000_000n], kinds: ["none", "none", "image"] },
    } as const;
    const ask = (max: string) =>
      readAsk("images", { model: "m", prompt: "x", provider: { max_price: { image: max } } }, 9);
    expect([filterOf(ask("0.04"), priced), filterOf(ask("0.039"), priced)]).to.deep.equal([
      undefined,
      "max_price",
    ]);
  });

  it("never let a dearer offer in than the caller said", () => {
    const price = fc.bigInt({ min: 0n, max: 10n ** 9n });
    fc.assert(
      fc.property(price, price, price, fc.nat(2_000), (prompt, cached, completion, micro) => {
        const limit = (micro / 1_000_000).toFixed(6);
        const offer = makeOffer(1, 0n, { prices: [prompt, cached < prompt ? cached : prompt, completion] });
        const ask = makeAsk({ provider: { max_price: { prompt: limit, completion: limit } } });
        const isWithin = prompt <= BigInt(micro) && completion <= BigInt(micro);
        expect(filterOf(ask, offer)).to.equal(isWithin ? undefined : "max_price");
      }),
    );
  });

  it("take no promise for granted", () => {
    expect(filter({ zdr: true })).to.equal("zdr");
    expect(filter({ zdr: true }, { model: { zeroRetention: true } })).to.equal(undefined);
    expect(filter({ hidden_reasoning: false }, { model: { hiddenReasoning: true } })).to.equal(
      "hidden_reasoning",
    );
    expect(filter({ hidden_reasoning: true }, { model: { hiddenReasoning: true } })).to.equal(undefined);
    expect(filter({ hidden_reasoning: false })).to.equal(undefined);
    expect(filter({ data_collection: "deny" })).to.equal("data_collection");
    expect(filter({ data_collection: "deny" }, { model: { collectsData: true } })).to.equal(
      "data_collection",
    );
    expect(filter({ data_collection: "deny" }, { model: { collectsData: false } })).to.equal(undefined);
    expect(filter({ data_collection: "deny" }, { model: { zeroRetention: true } })).to.equal(undefined);
    expect(filter({ data_collection: "allow" })).to.equal(undefined);
    expect(filter({ quantizations: ["fp8", "bf16"] })).to.equal("quantizations");
    expect(filter({ quantizations: ["fp8", "bf16"] }, { model: { quantization: "bf16" } })).to.equal(
      undefined,
    );
    expect(filter({ residency: ["eu"] })).to.equal("residency");
    expect(filter({ residency: ["eu"] }, { model: { residency: "eu-north" } })).to.equal(undefined);
    expect(filter({ regions: ["us", "EU"] })).to.equal(undefined);
    expect(filter({ regions: ["eu-west"] })).to.equal(undefined);
    expect(filter({ regions: ["eu-w"] })).to.equal("regions");
  });

  it("let a provider serve only parameters that it names, when the caller requires it", () => {
    const body = { temperature: 0.5, tools: [], seed: null, max_tokens: 9, session_id: "s" };
    const named = (supportedParameters: readonly string[]) =>
      filter({ require_parameters: true }, { model: { supportedParameters } }, body);
    expect(named(["temperature"])).to.equal("require_parameters");
    expect(named(["tools", "temperature"])).to.equal(undefined);
    expect(filter({}, {}, body)).to.equal(undefined);
    const many = Object.fromEntries(Array.from({ length: 65 }, (_, i) => [`field_${i}`, 1]));
    expect(faultOf({ provider: { require_parameters: true }, ...many })).to.equal(
      "provider.require_parameters",
    );
  });

  it("keep to the named providers, and to the ordered ones when there are to be no others", () => {
    expect(filter({ only: [2] })).to.equal("only");
    expect(filter({ only: [`0x${"1".padStart(40, "0")}`] })).to.equal(undefined);
    expect(filter({ ignore: ["1"] })).to.equal("ignore");
    expect(filter({ order: [2], allow_fallbacks: false })).to.equal("allow_fallbacks");
    expect(filter({ order: [2] })).to.equal(undefined);
  });

  it("leave out what counts what cannot be bounded", () => {
    const offer = makeOffer(1, 1n);
    const strange = {
      ...offer,
      price: { ...offer.price, kinds: ["token", "token", "millisecond"] as const },
    };
    expect(filterOf(makeAsk(), strange)).to.equal("price_unit");
  });

  it("say which of them left out how many", () => {
    const exclusions = new Exclusions();
    const offers = [100n, 300n, 200n, 400n].map((price, at) => makeOffer(at, price));
    for (const [at, each] of (["zdr", "max_price", "max_price", undefined] as const).entries())
      exclusions.add(each, offers[at] ?? makeOffer(9, 1n));
    const { preferences } = makeAsk({ provider: { max_price: { prompt: 0, image: 1 } } });
    expect(exclusions.describe(preferences)).to.equal(
      "zdr: 1 of 4 providers, max_price: 2 of 4 providers (the lowest there is: prompt 0.0002)",
    );
    expect(exclusions.details()).to.deep.equal({ providers: 4, excluded: ["zdr: 1", "max_price: 2"] });
  });

  it("let who bills unseen tokens serve only where nobody else does, unless the request says so", () => {
    const [seen, unseen] = [makeOffer(1, 9n), makeOffer(2, 1n, { model: { hiddenReasoning: true } })];
    const of = (provider: object, offers: readonly Offer[]) =>
      idsOf(preferVisible(makeAsk({ provider }), offers));
    expect(of({}, [seen, unseen])).to.deep.equal([1]);
    expect(of({}, [unseen])).to.deep.equal([2]);
    expect(of({ hidden_reasoning: true }, [seen, unseen])).to.deep.equal([1, 2]);
    expect(of({ order: ["2"] }, [seen, unseen])).to.deep.equal([1, 2]);
  });
});
