import { expect } from "chai";
import type { Offer } from "../../../relay/src/core/types.ts";
import { confirmOffers } from "../../../relay/src/flow/choosing.ts";
import { makeAsk, makeOffer } from "../support/offers.ts";

describe("offers that another process chose", () => {
  const nameOf = ({ providerId, model, price }: Offer) => ({
    ...{ providerId, modelId: model.modelId, priceVersion: price.version },
  });
  /** Provider ids of what is confirmed of `chosen` where `known` is what is live. */
  const confirm = (chosen: readonly Offer[], known: readonly Offer[], provider: object = {}, now = 0) => {
    const ask = makeAsk({ provider });
    const offers = { live: () => known, knows: () => true };
    const dependencies = { offers, credit: { covers: () => true }, now: () => now };
    return confirmOffers(dependencies, { ask, route: ask.route }, chosen.map(nameOf));
  };
  const codeOf = (run: () => unknown) => {
    try {
      run();
    } catch (error) {
      return (error as { code: string }).code;
    }
    return undefined;
  };
  const [one, two] = [makeOffer(1, 1_000n), makeOffer(2, 2_000n)];
  const zdr = (offer: Offer) => ({ ...offer, model: { ...offer.model, zeroRetention: true } });

  it("stand in their order, in the form that is known here", () => {
    const newer = { ...two, price: { ...two.price, version: two.price.version + 1 } };
    expect(confirm([two, one], [one, newer])).to.deep.equal([newer, one]);
  });

  it("are left out where what is known by now does not fit the request", () => {
    const wish = { zdr: true };
    expect(confirm([zdr(one), zdr(two)], [one, zdr(two)], wish)).to.deep.equal([zdr(two)]);
    const dearer = { ...one, price: makeOffer(1, 5_000_000_000n).price };
    expect(confirm([one, two], [dearer, two], { max_price: { prompt: 1 } })).to.deep.equal([two]);
    const late = { ...one, expiresAt: 5 };
    expect(confirm([one, two], [late, two], {}, 5)).to.deep.equal([two]);
    expect(codeOf(() => confirm([zdr(one)], [one], wish))).to.equal("no_fitting_provider");
  });
});
