import { expect } from "chai";
import fc from "fast-check";
import { FAILURES_TO_EJECT } from "../../../relay/src/core/breaker.ts";
import { EXPLORATION, rankOffers } from "../../../relay/src/core/routing.ts";
import { RoutingState } from "../../../relay/src/core/routing-state.ts";
import type { Offer } from "../../../relay/src/core/types.ts";
import { idsOf, makeAsk, makeOffer } from "../support/offers.ts";

const rank = (offers: readonly Offer[], change: Partial<Parameters<typeof rankOffers>[0]> = {}) =>
  rankOffers({
    ...{
      ask: makeAsk(),
      offers,
      sort: undefined,
      state: new RoutingState(),
      now: 0,
      random: () => 0,
      limit: 9,
    },
    ...change,
  });
const by = (offers: readonly Offer[], provider: object, state = new RoutingState()) => {
  const ask = makeAsk({ provider });
  return idsOf(rank(offers, { ask, sort: ask.preferences.sort, state }));
};

/** Draws that cover [0, 1) evenly, in pairs: the k-th of `steps` first draws with the k-th of second ones, shuffled. */
function* evenDraws(steps: number): Generator<number> {
  // A step that shares no divisor with `steps` meets every place once.
  for (let i = 0; ; i++) {
    yield ((i % steps) + 0.5) / steps;
    yield (((i * 619) % steps) + 0.5) / steps;
  }
}

/** How often each is first, of 1,000. */
function firstsOf(offers: readonly Offer[], state = new RoutingState()): Map<number, number> {
  const draws = evenDraws(1_000);
  const random = () => draws.next().value ?? 0;
  const firsts = new Map<number, number>();
  for (let i = 0; i < 1_000; i++) {
    const [first] = rank(offers, { random, state, limit: 1 });
    if (first) firsts.set(first.providerId, (firsts.get(first.providerId) ?? 0) + 1);
  }
  return firsts;
}

function eject(state: RoutingState, offer: Offer, now = 0): void {
  for (let i = 0; i < FAILURES_TO_EJECT; i++)
    state.onFailure(offer, { code: "timeout", retryAfterSeconds: undefined }, { sent: now, now });
}

const draws = fc.infiniteStream(fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }));
const prices = fc.array(fc.bigInt({ min: 0n, max: 10n ** 12n }), { minLength: 1, maxLength: 8 });
const fromDraws = (stream: Iterator<number>) => () => stream.next().value ?? 0;

describe("rankOffers", () => {
  it("draws by one over price squared, a small part at any price", () => {
    const firsts = firstsOf([makeOffer(1, 1_000n), makeOffer(2, 3_000n)]);
    const share = (1 - EXPLORATION) * 0.9 + EXPLORATION / 2;
    expect(firsts.get(1)).to.equal(Math.round(share * 1_000));
  });

  it("gives who is dearer no larger share, and everybody some", () => {
    fc.assert(
      fc.property(fc.array(fc.bigInt({ min: 1n, max: 10_000n }), { minLength: 2, maxLength: 6 }), (list) => {
        const offers = list.map((price, index) => makeOffer(index + 1, price));
        const firsts = firstsOf(offers);
        // The draws are a grid: shares are exact to one step at each end.
        for (const [a, mine] of list.entries())
          for (const [b, theirs] of list.entries())
            if (mine < theirs) expect(firsts.get(a + 1) ?? 0).to.be.at.least((firsts.get(b + 1) ?? 0) - 2);
        const least = Math.floor((EXPLORATION / list.length) * 1_000) - 1;
        for (const { providerId } of offers) expect(firsts.get(providerId) ?? 0).to.be.at.least(least);
      }),
      { numRuns: 25 },
    );
  });

  it("keeps each offer once, whatever chance says", () => {
    fc.assert(
      fc.property(prices, draws, (list, stream) => {
        const offers = list.map((each, index) => makeOffer(index + 1, each));
        const ranked = rank(offers, { random: fromDraws(stream) });
        expect(idsOf(ranked).sort()).to.deep.equal(idsOf(offers).sort());
      }),
    );
  });

  it("never puts an ejected provider before another, unless the caller orders it", () => {
    const provider = fc.record(
      {
        sort: fc.constantFrom("price", "latency", "throughput"),
        order: fc.array(fc.integer({ min: 1, max: 6 }), { maxLength: 6 }),
        preferred_regions: fc.constant(["eu"]),
      },
      { requiredKeys: [] },
    );
    const list = fc.array(
      fc.record({
        price: fc.bigInt({ min: 0n, max: 9n }),
        ejected: fc.boolean(),
        freeSlots: fc.nat(1),
        isEu: fc.boolean(),
      }),
      { minLength: 2, maxLength: 6 },
    );
    fc.assert(
      fc.property(
        list,
        provider,
        draws,
        fc.option(fc.integer({ min: 1, max: 6 })),
        (each, wishes, stream, sticky) => {
          const state = new RoutingState();
          const offers = each.map(({ price, freeSlots, isEu }, index) =>
            makeOffer(index + 1, price, { region: isEu ? "eu" : "us", model: { freeSlots } }),
          );
          for (const [index, offer] of offers.entries()) if (each[index]?.ejected) eject(state, offer);
          const ask = makeAsk({ provider: wishes });
          const ranked = rank(offers, {
            ...{
              ask,
              sort: ask.preferences.sort,
              state,
              random: fromDraws(stream),
              stickyTo: sticky ?? undefined,
            },
          });
          const { order } = ask.preferences;
          const unnamed = ranked.filter(({ providerId }) => !order.includes(String(providerId)));
          const rests = unnamed.map((offer) => state.isResting(offer, 0));
          expect(rests).to.deep.equal([...rests].sort((a, b) => Number(a) - Number(b)));
          expect(ranked).to.have.length(offers.length);
        },
      ),
    );
  });

  it("of two draws takes the one with the shorter expected wait, requests in flight counted", () => {
    const state = new RoutingState();
    const [slow, fast] = [makeOffer(1, 1n), makeOffer(2, 1n)];
    state.endpointOf(slow).firstToken.add(300, 0);
    state.endpointOf(fast).firstToken.add(100, 0);
    const pair = [0.1, 0.9];
    const random = () => pair[(calls++ % 2) as 0 | 1] ?? 0;
    let calls = 0;
    expect(idsOf(rank([slow, fast], { state, random }))).to.deep.equal([2, 1]);
    // Three in flight make 400 ms of 100.
    for (let i = 0; i < 3; i++) state.endpointOf(fast).begin();
    expect(idsOf(rank([slow, fast], { state, random }))).to.deep.equal([1, 2]);
  });

  it("tries who was slow again when that is long ago", () => {
    const state = new RoutingState();
    const [spiked, steady] = [makeOffer(1, 1n), makeOffer(2, 1n)];
    state.endpointOf(spiked).firstToken.add(5_000, 0);
    let calls = 0;
    const random = () => (calls++ % 2 === 0 ? 0.1 : 0.9);
    const firstAt = (now: number) => {
      state.endpointOf(steady).firstToken.add(100, now);
      return rank([spiked, steady], { state, random, now })[0]?.providerId;
    };
    expect(firstAt(0)).to.equal(2);
    expect(firstAt(60_000)).to.equal(1);
  });

  it("puts the busy behind the free: no slot left, or as many in flight as was learned that it takes", () => {
    const state = new RoutingState();
    const offers = [makeOffer(1, 1n), makeOffer(2, 1n, { model: { freeSlots: 0 } }), makeOffer(3, 1n)];
    const [first] = offers as [Offer, ...Offer[]];
    const endpoint = state.endpointOf(first);
    endpoint.cap.onRefusal(2, 0, 0);
    endpoint.begin();
    expect(idsOf(rank(offers, { state }))).to.deep.equal([3, 1, 2]);
  });

  it("sorts as the caller says", () => {
    const state = new RoutingState();
    const offers = [
      makeOffer(1, 300n, { model: { latencyMs: 9 } }),
      makeOffer(2, 100n),
      makeOffer(3, 200n, { model: { latencyMs: 5 } }),
    ];
    const [one, two] = offers as [Offer, Offer, Offer];
    expect(by(offers, { sort: "price" })).to.deep.equal([2, 3, 1]);
    expect(by(offers, { sort: { by: "latency" } })).to.deep.equal([3, 1, 2]);
    state.endpointOf(one).throughput.add(10, 0);
    state.endpointOf(two).throughput.add(90, 0);
    expect(by(offers, { sort: "throughput" }, state)).to.deep.equal([2, 1, 3]);
    // What the relay saw itself counts more than what a provider announces.
    state.endpointOf(two).firstToken.add(1, 0);
    expect(by(offers, { sort: "latency" }, state)).to.deep.equal([2, 3, 1]);
  });

  it("follows the caller's order, and its word on fallbacks", () => {
    const offers = [makeOffer(1, 300n), makeOffer(2, 100n), makeOffer(3, 200n)];
    expect(by(offers, { sort: "price", order: [1] })).to.deep.equal([1, 2, 3]);
    expect(by(offers, { sort: "price", order: [3, 1] })).to.deep.equal([3, 1, 2]);
    expect(by(offers, { sort: "price", allow_fallbacks: false })).to.deep.equal([2]);
    expect(rank(offers, { limit: 2 })).to.have.length(2);
  });

  it("puts who meets the caller's wishes first, and keeps the others", () => {
    const state = new RoutingState();
    const offers = [
      makeOffer(1, 1n, { region: "us-east" }),
      makeOffer(2, 2n, { region: "eu-west-1" }),
      makeOffer(3, 3n, { region: "eurasia", model: { supportedParameters: ["tools"] } }),
    ];
    const [, two, three] = offers as [Offer, Offer, Offer];
    expect(by(offers, { sort: "price", preferred_regions: ["eu"] })).to.deep.equal([2, 1, 3]);
    state.endpointOf(two).firstToken.add(700, 0);
    state.endpointOf(three).firstToken.add(400, 0);
    expect(by(offers, { sort: "price", preferred_max_latency: 0.5 }, state)).to.deep.equal([3, 1, 2]);
    state.endpointOf(two).throughput.add(50, 0);
    expect(by(offers, { sort: "price", preferred_min_throughput: { p90: 40 } }, state)).to.deep.equal([
      2, 1, 3,
    ]);
    const ask = makeAsk({ tools: [{ type: "function" }] });
    expect(idsOf(rank(offers, { ask, sort: "price" }))).to.deep.equal([3, 1, 2]);
  });
});

describe("sticky conversations", () => {
  const cached = (id: number) => makeOffer(id, 100n, { prices: [100n, 10n, 100n] });
  const offers = [1, 2, 3, 4, 5].map(cached);
  const body = (head: string) => Buffer.from(`{"messages":[{"content":"${head.padEnd(1_200, "x")}"}]}`);
  const ask = makeAsk({}, 1_300);
  const first = (text: string, of: readonly Offer[], random: () => number, state = new RoutingState()) =>
    rank(of, { ask, random, state, conversation: { userId: 7, body: body(text) } })[0]?.providerId;

  it("go to the same provider whatever chance says, and move only when it is gone", () => {
    fc.assert(
      fc.property(
        fc.string({ maxLength: 40 }),
        draws,
        fc.integer({ min: 1, max: 5 }),
        (text, stream, gone) => {
          const head = JSON.stringify(text).slice(1, -1);
          const home = first(head, offers, fromDraws(stream));
          expect(first(head, offers, fromDraws(stream))).to.equal(home);
          const others = offers.filter(({ providerId }) => providerId !== gone);
          if (home !== gone) expect(first(head, others, fromDraws(stream))).to.equal(home);
        },
      ),
    );
  });

  it("leave a provider that is ejected, and spread over all", () => {
    const state = new RoutingState();
    const home = first("a", offers, () => 0);
    for (const offer of offers) if (offer.providerId === home) eject(state, offer);
    expect(first("a", offers, () => 0, state)).to.not.equal(home);
    const homes = new Set(Array.from({ length: 100 }, (_, i) => first(`conversation ${i}`, offers, () => 0)));
    expect(homes.size).to.equal(offers.length);
  });

  it("are left to chance where no cached prompt is cheaper, or the prompt is too short to be cached", () => {
    const plain = [makeOffer(1, 1n), makeOffer(2, 1n)];
    const ids = (of: readonly Offer[], about: ReturnType<typeof makeAsk>) =>
      new Set(
        [0.1, 0.9].map(
          (draw) =>
            rank(of, { ask: about, random: () => draw, conversation: { userId: 7, body: body("a") } })[0]
              ?.providerId,
        ),
      );
    expect(ids(plain, ask).size).to.equal(2);
    expect(ids([cached(1), cached(2)], makeAsk({}, 500)).size).to.equal(2);
    expect(ids([cached(1), cached(2)], ask).size).to.equal(1);
  });

  it("with a name go to who served them last, unless the caller orders or sorts", () => {
    const plain = [makeOffer(1, 1n), makeOffer(2, 9n)];
    const at = (provider: object) => {
      const wish = makeAsk({ provider });
      return rank(plain, { ask: wish, sort: wish.preferences.sort, stickyTo: 2 })[0]?.providerId;
    };
    expect([at({}), at({ order: [1] }), at({ sort: "price" })]).to.deep.equal([2, 1, 1]);
  });
});
