import { expect } from "chai";
import { readAsk } from "../../../relay/src/core/ask.ts";
import { type DueParameters, dueReason } from "../../../relay/src/core/due.ts";
import { worstCost } from "../../../relay/src/core/estimate.ts";
import type { Offer } from "../../../relay/src/core/types.ts";
import { ProviderCredit } from "../../../relay/src/flow/credit.ts";

const OFFER: Offer = {
  ...{ providerId: 4, signer: `0x${"04".repeat(20)}`, endpoint: "http://x", region: "", expiresAt: 100 },
  model: {
    ...{ modelId: 1, slug: "m", priceVersion: 1, route: "chat", contextTokens: 8_192, maxOutputTokens: 100 },
    ...{ freeSlots: 1, queued: 0, latencyMs: 0, description: "" },
  },
  price: { version: 1, prices: [10n, 10n, 20n], kinds: ["token", "token", "token"] },
};
const ASK = readAsk("chat", { model: "m", messages: [{ role: "user", content: "x" }], max_tokens: 50 }, 100);
const REQUEST = { ask: ASK, offer: OFFER, maxTokens: 50 };
const WORST = worstCost(ASK, OFFER, 50);

describe("a provider's credit", () => {
  const open = (cover: bigint | undefined, { owed = 0n, unsigned = 0n } = {}) =>
    new ProviderCredit({ covers: { coverOf: () => cover }, owedTo: () => owed, unsignedOf: () => unsigned });

  it("covers a request while debts, unsigned receipts, what is in flight and its worst case are within it", () => {
    expect(WORST).to.equal(10n * (100n + 256n) + 20n * 50n);
    expect(open(WORST).covers(REQUEST)).to.equal(true);
    expect(open(WORST - 1n).covers(REQUEST)).to.equal(false);
    expect(open(WORST, { owed: 1n }).covers(REQUEST)).to.equal(false);
    expect(open(WORST, { unsigned: 1n }).covers(REQUEST)).to.equal(false);
    expect(open(WORST + 2n, { owed: 1n, unsigned: 1n }).covers(REQUEST)).to.equal(true);
  });

  it("counts requests in flight until they end", () => {
    const credit = open(2n * WORST - 1n);
    const end = credit.begin(REQUEST);
    expect(credit.covers(REQUEST)).to.equal(false);
    end();
    expect(credit.covers(REQUEST)).to.equal(true);
  });

  it("is left to the provider while its reserve is not known", () => {
    expect(open(undefined, { owed: 10n ** 18n }).covers(REQUEST)).to.equal(true);
  });
});

describe("the settlement policy", () => {
  const due: DueParameters = {
    ...{ unsettled: 1n, oldestMs: 1, channels: [], providers: [], oldestIssuedAt: 1_000, protocolNow: 1_010 },
    limits: {
      ...{ amount: 100n, channelPercent: 25, maxAgeMs: 1_000, settleByMargin: 10 },
      ...{ providerPercent: 50, receiptAge: 30 },
    },
  };

  it("posts when half of what a provider lends is used, so that it goes on serving", () => {
    expect(dueReason(due)).to.equal(undefined);
    expect(dueReason({ ...due, providers: [{ owed: 49n, cover: 100n }] })).to.equal(undefined);
    expect(dueReason({ ...due, providers: [{ owed: 50n, cover: 100n }] })).to.equal("credit");
  });

  it("posts before a receipt gets too old, however late it was billed", () => {
    expect(dueReason({ ...due, protocolNow: 1_029 })).to.equal(undefined);
    expect(dueReason({ ...due, protocolNow: 1_030 })).to.equal("receipt");
  });
});
