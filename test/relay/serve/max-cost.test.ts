import { expect } from "chai";
import {
  CHAT,
  type Json,
  jsonOf,
  providerOf,
  startTestRelay,
  type TestRelay,
} from "../support/test-relay.ts";

/** In pUSD; a prompt of up to 400 tokens at 100,000, an answer of 64 at 400,000, and 5 % on top stay below. */
const AMPLE = 100_000_000n;
const usd = (pusd: bigint) => `0.${pusd.toString().padStart(12, "0")}`;

describe("aimo.max_cost", () => {
  let relay: TestRelay;
  afterEach(() => relay.close());
  const post = (aimo: unknown, body: object = {}, path = "/v1/chat/completions") =>
    relay.post(path, { ...CHAT, ...body, aimo });
  const sentLimit = (index = 0) => Number(providerOf(relay, index).asks.at(-1)?.query.get("max"));

  it("changes nothing where the worst case is within it, as a number or a decimal text", async () => {
    relay = await startTestRelay();
    for (const max_cost of [usd(AMPLE), 0.0001, null]) {
      const body = await jsonOf(await post({ max_cost }));
      expect(body.aimo).to.not.have.property("max_tokens");
      expect(sentLimit()).to.equal(64);
    }
  });

  it("lowers the output to what it covers, and says so", async () => {
    relay = await startTestRelay();
    const body = await jsonOf(await post({ max_cost: usd(AMPLE) }, { max_tokens: 1_000 }));
    expect(sentLimit()).to.be.within(16, 238);
    expect(body.aimo.max_tokens).to.equal(sentLimit());
    expect(BigInt(body.aimo.cost_pusd) <= AMPLE).to.equal(true);
  });

  it("refuses with the field and the numbers what not even a short answer fits in", async () => {
    relay = await startTestRelay();
    const response = await post({ max_cost: usd(1_000_000n) });
    const { error } = await jsonOf(response);
    expect(response.status).to.equal(400);
    expect(error).to.include({ code: "invalid_request", param: "aimo.max_cost" });
    expect(error.message).to.contain("0.000001 USD");
    expect(error.metadata.max_cost_pusd).to.equal("1000000");
    const needed = BigInt(error.metadata.needed_pusd);
    expect(providerOf(relay).asks).to.have.length(0);
    expect(relay.ledger.holds.size).to.equal(0);
    expect((await post({ max_cost: usd(needed - 1n) })).status).to.equal(400);
    expect((await post({ max_cost: usd(needed) })).status).to.equal(200);
    expect(sentLimit()).to.equal(16);
  });

  it("leaves out providers that are too dear for it, also when they would come first", async () => {
    relay = await startTestRelay({ providers: 4 });
    relay.offers = relay.providers.map((provider, index) => {
      const offer = provider.offer();
      const prices = [100_000_000n, 50_000_000n, 400_000_000n] as const;
      return index === 3 ? offer : { ...offer, price: { ...offer.price, prices } };
    });
    const provider = { order: ["1", "2", "3"] };
    const dear = await jsonOf(await post(undefined, { provider }));
    expect(dear.aimo.provider.id).to.equal(1);
    const cheap = await jsonOf(await post({ max_cost: usd(AMPLE) }, { provider }));
    expect(cheap.aimo.provider.id).to.equal(4);
  });

  it("holds for other forms of a chat, and for other routes", async () => {
    relay = await startTestRelay();
    const message = await post({ max_cost: "0.000001" }, {}, "/v1/messages");
    expect([message.status, (await jsonOf(message)).error.param]).to.deep.equal([400, "aimo.max_cost"]);
    const offer = providerOf(relay).offer();
    relay.offers = [{ ...offer, model: { ...offer.model, route: "embeddings" } }];
    const embeddings = await post({ max_cost: "0.000001" }, { input: "text" }, "/v1/embeddings");
    expect([embeddings.status, (await jsonOf(embeddings)).error.param]).to.deep.equal([400, "aimo.max_cost"]);
  });

  it("names what makes no sense, and refuses limits that it does not know rather than ignore them", async () => {
    relay = await startTestRelay();
    const faults: [unknown, string][] = [
      ["0.01", "aimo"],
      [{ max_cost: "1e-3" }, "aimo.max_cost"],
      [{ max_cost: -1 }, "aimo.max_cost"],
      [{ max_cost: "0.0000000000001" }, "aimo.max_cost"],
      [{ max_cost: true }, "aimo.max_cost"],
      [{ max_cost: "0.01", relay_fee_max: 5 }, "aimo.relay_fee_max"],
    ];
    for (const [aimo, param] of faults) {
      const response = await post(aimo);
      const { error }: Json = await jsonOf(response);
      expect([response.status, error.param]).to.deep.equal([400, param]);
    }
    expect(providerOf(relay).asks).to.have.length(0);
  });
});
