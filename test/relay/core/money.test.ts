import { toHex } from "@aimo/protocol/bytes";
import { usageDigest } from "@aimo/protocol/receipts";
import { domainSeparator } from "@aimo/protocol/typed-data";
import { chargeBound, costOf, type Prices, type Units } from "@aimo/protocol/units";
import { expect } from "chai";
import fc from "fast-check";
import type { Hex } from "viem";
import { readAsk } from "../../../relay/src/core/ask.ts";
import {
  expectedTokens,
  MIN_OUTPUT_TOKENS,
  planHold,
  tokensFor,
  worstUnits,
} from "../../../relay/src/core/estimate.ts";
import { type Judgement, judgeStatement } from "../../../relay/src/core/judge.ts";
import { offersWithin } from "../../../relay/src/core/max-cost.ts";
import { outcomeOf } from "../../../relay/src/core/outcome.ts";
import type { Offer } from "../../../relay/src/core/types.ts";

const HASH: Hex = `0x${"ab".repeat(32)}`;
const SEPARATOR = domainSeparator({
  chainId: 1,
  verifyingContract: "0x00000000000000000000000000000000000000AA",
});

const offerWith = (prices: Prices, model: Partial<Offer["model"]> = {}): Offer => ({
  ...{
    providerId: 1,
    signer: "0x00000000000000000000000000000000000000B0",
    endpoint: "http://x",
    region: "",
  },
  model: {
    ...{
      modelId: 1,
      slug: "m",
      priceVersion: 1,
      route: "chat",
      contextTokens: 8_192,
      maxOutputTokens: 4_096,
    },
    ...{ freeSlots: 1, queued: 0, latencyMs: 0, description: "" },
    ...model,
  },
  price: { version: 1, prices, kinds: ["token", "token", "token"] },
  expiresAt: Number.MAX_SAFE_INTEGER,
});

const price = fc.bigInt({ min: 0n, max: 10_000_000_000n });
const offers = fc.array(
  fc
    .tuple(price, price, price, fc.integer({ min: 1, max: 100_000 }))
    .map(([p0, p1, p2, maxOutputTokens]) => offerWith([p0, p1 < p0 ? p1 : p0, p2], { maxOutputTokens })),
  { minLength: 1, maxLength: 4 },
);
const asks = fc
  .record({
    bodyBytes: fc.integer({ min: 2, max: 1_000_000 }),
    n: fc.integer({ min: 1, max: 128 }),
    max: fc.option(fc.integer({ min: 1, max: 100_000 }), { nil: undefined }),
    hasMedia: fc.boolean(),
  })
  .map(({ bodyBytes, n, max, hasMedia }) => {
    const content = hasMedia ? [{ type: "image_url", image_url: { url: "x" } }] : "x";
    const body = { model: "m", messages: [{ role: "user", content }], n, max_tokens: max };
    return readAsk("chat", body, bodyBytes);
  });
const feeBps = fc.integer({ min: 0, max: 2_000 });

describe("expectedTokens", () => {
  it("is at most what a prompt can have and the answer may, however many bytes a picture has", () => {
    fc.assert(
      fc.property(asks, offers, fc.nat(100_000), (ask, list, maxTokens) => {
        const longest = Math.max(...list.map(({ model }) => model.contextTokens));
        const expected = expectedTokens(ask, { maxTokens, offers: list });
        expect(expected).to.be.at.most(Math.max(1, longest + ask.count * maxTokens));
        expect(expected).to.be.at.most(Math.ceil(ask.bodyBytes / 4) + ask.count * maxTokens);
      }),
    );
  });

  it("bounds the vectors of many inputs by their bytes alone: each has a context", () => {
    const ask = readAsk("embeddings", { model: "m", input: ["a", "b"] }, 4_000_000);
    const list = [offerWith([1n, 0n, 0n])];
    expect(expectedTokens(ask, { maxTokens: undefined, offers: list })).to.equal(1_000_000);
  });
});

describe("planHold", () => {
  it("holds for the dearest offer whatever a provider may honestly state", () => {
    fc.assert(
      fc.property(
        asks,
        offers,
        feeBps,
        fc.bigInt({ min: 0n, max: 10n ** 16n }),
        fc.nat(),
        (ask, list, fee, free, seed) => {
          const { hold, maxTokens } = planHold({ ask, offers: list, free, feeBps: fee });
          for (const offer of list) {
            const worst = worstUnits(ask, offer, tokensFor(offer, maxTokens ?? 0)) ?? [0, 0, 0];
            const cached = Math.min(worst[0], seed);
            const units: Units = [worst[0] - cached, cached, worst[2]];
            expect(chargeBound(costOf(units, offer.price.prices), fee) <= hold).to.equal(true);
          }
        },
      ),
    );
  });

  it("never holds more than is free, unless it asks for the least answer", () => {
    fc.assert(
      fc.property(asks, offers, feeBps, fc.bigInt({ min: 0n, max: 10n ** 16n }), (ask, list, fee, free) => {
        const { hold, maxTokens = 0 } = planHold({ ask, offers: list, free, feeBps: fee });
        expect(hold <= free || maxTokens <= MIN_OUTPUT_TOKENS).to.equal(true);
      }),
    );
  });

  it("never holds more than the client allows: dearer offers are left out, or all is refused with the numbers", () => {
    const limits = fc.bigInt({ min: 0n, max: 10n ** 15n });
    fc.assert(
      fc.property(asks, offers, feeBps, limits, fc.boolean(), (ask, list, fee, maxCost, isShort) => {
        const limited = { ...ask, maxCost };
        const free = isShort ? maxCost / 2n : 10n ** 20n;
        const least = (offer: Offer) =>
          planHold({ ask, offers: [offer], free: 0n, feeBps: fee }).hold <= maxCost;
        const within = list.filter(least);
        if (within.length === 0) {
          expect(() => offersWithin(limited, list, fee)).to.throw(/aimo\.max_cost/);
          return;
        }
        expect(offersWithin(limited, list, fee)).to.deep.equal(within);
        const {
          hold,
          maxTokens = 0,
          clamped,
        } = planHold({ ask: limited, offers: within, free, feeBps: fee });
        expect(hold <= maxCost).to.equal(true);
        const open = planHold({ ask, offers: within, free, feeBps: fee });
        if (maxTokens < (open.maxTokens ?? 0)) expect(clamped).to.equal(true);
        if (open.hold <= maxCost) expect(hold).to.equal(open.hold);
      }),
    );
  });

  it("never allows more output than the client or the model does", () => {
    fc.assert(
      fc.property(asks, offers, feeBps, fc.bigInt({ min: 0n, max: 10n ** 20n }), (ask, list, fee, free) => {
        const { maxTokens = 0 } = planHold({ ask, offers: list, free, feeBps: fee });
        expect(maxTokens).to.be.at.least(1);
        if (ask.maxTokens !== undefined) expect(maxTokens).to.be.at.most(ask.maxTokens);
        const most = Math.max(...list.map(({ model }) => model.maxOutputTokens));
        expect(maxTokens).to.be.at.most(most);
        for (const offer of list)
          expect(tokensFor(offer, maxTokens)).to.be.within(1, offer.model.maxOutputTokens);
      }),
    );
  });
});

describe("judgeStatement", () => {
  const offer = offerWith([100n, 50n, 400n]);
  const delivered = { bytes: 20, count: 1, responseHash: HASH };
  const base: Omit<Judgement, "statement"> = {
    ...{ attempt: "0x01", requestHash: HASH, offer, relayId: 1, separator: SEPARATOR, sentAt: 1_000 },
    ...{ worst: [300, 0, 64], delivered },
  };
  const state = (units: Units, change: { cost?: bigint; issuedAt?: number; responseHash?: Hex } = {}) => {
    const { cost = costOf(units, offer.price.prices), issuedAt = 1_000, responseHash = HASH } = change;
    const receipt = { relayId: 1, providerId: 1, modelId: 1, priceVersion: 1, requestHash: HASH };
    const digest = usageDigest(SEPARATOR, { ...receipt, issuedAt, units, cost, responseHash });
    return {
      attempt: "0x01" as Hex,
      issuedAt,
      units,
      cost: cost.toString(),
      responseHash,
      receiptHash: toHex(digest),
    };
  };

  it("takes an honest statement, and a lower cost", () => {
    expect(judgeStatement({ ...base, statement: state([10, 5, 20]) })).to.deep.equal({
      ok: true,
      cost: 9_250n,
    });
    expect(judgeStatement({ ...base, statement: state([10, 5, 20], { cost: 1n }) })).to.deep.equal({
      ok: true,
      cost: 1n,
    });
  });

  const WRONG: Record<string, ReturnType<typeof state> | object> = {
    "more completion tokens than bytes and eight": state([10, 0, 29]),
    "more prompt tokens than the body can hold": state([301, 0, 1]),
    "cached tokens beyond the body": state([200, 101, 1]),
    "a cost above units x price": state([10, 0, 1], { cost: 1_401n }),
    "another response": state([10, 0, 1], { responseHash: `0x${"cd".repeat(32)}` }),
    "a time long ago": state([10, 0, 1], { issuedAt: 939 }),
    "a time to come": state([10, 0, 1], { issuedAt: 1_061 }),
    "another attempt": { ...state([10, 0, 1]), attempt: "0x02" },
    "a receipt hash of other numbers": { ...state([10, 0, 1]), receiptHash: HASH },
    "units that are no list": { ...state([10, 0, 1]), units: "many" },
    "units below zero": { ...state([10, 0, 1]), units: [10, -1, 1] },
    "half units": { ...state([10, 0, 1]), units: [10, 0.5, 1] },
    "a cost that is no number": { ...state([10, 0, 1]), cost: "-1" },
    "no cost": { ...state([10, 0, 1]), cost: undefined },
  };
  for (const [title, statement] of Object.entries(WRONG)) {
    it(`rejects ${title}`, () => {
      expect(judgeStatement({ ...base, statement } as Judgement).ok).to.equal(false);
    });
  }

  it("takes tokens that are not shown from a model that declares them, as far as they were held for", () => {
    const declared = { ...offer, model: { ...offer.model, hiddenReasoning: true } };
    const judged = (tokens: number) =>
      judgeStatement({ ...base, offer: declared, statement: state([10, 0, tokens]) }).ok;
    expect([judged(29), judged(64), judged(65)]).to.deep.equal([true, true, false]);
  });

  it("rejects a cost for nothing, and takes none", () => {
    const nothing = { ...base, delivered: { ...delivered, bytes: 0 } };
    expect(judgeStatement({ ...nothing, statement: state([10, 0, 0]) }).ok).to.equal(false);
    expect(judgeStatement({ ...nothing, statement: state([0, 0, 0]) }).ok).to.equal(true);
  });

  it("never throws, whatever a provider states", () => {
    const statement = fc.record({
      ...{ attempt: fc.constant("0x01"), units: fc.anything(), cost: fc.anything() },
      ...{ issuedAt: fc.anything(), responseHash: fc.constant(HASH), receiptHash: fc.anything() },
    });
    fc.assert(fc.property(statement, (any) => void judgeStatement({ ...base, statement: any } as Judgement)));
  });

  it("charges cost and fee, never above the hold", () => {
    const hold = fc.bigInt({ min: 0n, max: 20_000n });
    fc.assert(
      fc.property(fc.nat(64), fc.nat(20), feeBps, hold, (prompt, completion, fee, held) => {
        const judgement = { ...base, statement: state([prompt, 0, completion]) };
        const { result } = outcomeOf({
          ...{
            judgement,
            model: "m",
            nonce: "0x00",
            feeBps: fee,
            hold: held,
            attempts: [],
            finishReason: null,
          },
          ...{ cancelled: false, latencyMs: 0, generationMs: 0 },
        });
        const { cost = 0n, charge = 0n } = result.billing ?? {};
        expect(charge <= held && charge <= chargeBound(cost, fee)).to.equal(true);
        if (chargeBound(cost, fee) <= held) expect(charge).to.equal(chargeBound(cost, fee));
      }),
    );
  });
});
