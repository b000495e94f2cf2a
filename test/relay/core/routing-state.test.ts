import { expect } from "chai";
import fc from "fast-check";
import {
  BUDGET_WINDOW_MS,
  ExtraBudget,
  RETRIES_PER_SECOND,
  RETRY_SHARE,
} from "../../../relay/src/core/budget.ts";
import { Itinerary } from "../../../relay/src/core/itinerary.ts";
import { MAX_REST_MS, RoutingState } from "../../../relay/src/core/routing-state.ts";
import { MAX_SESSIONS, SESSION_IDLE_MS, StickySessions } from "../../../relay/src/core/sticky.ts";
import { idsOf, makeOffer } from "../support/offers.ts";

describe("ExtraBudget", () => {
  it("bounds retries by a fifth of the requests and ten a second, in every window", () => {
    const event = fc.record({
      wait: fc.nat(3_000),
      isRetry: fc.boolean(),
      times: fc.integer({ min: 1, max: 200 }),
    });
    fc.assert(
      fc.property(fc.array(event, { maxLength: 80 }), (events) => {
        const budget = new ExtraBudget(RETRY_SHARE, RETRIES_PER_SECOND);
        const requests: number[] = [];
        const retries: number[] = [];
        let now = 1_000_000;
        for (const { wait, isRetry, times } of events) {
          now += wait;
          for (let i = 0; i < times; i++)
            if (!isRetry) {
              budget.onRequest(now);
              requests.push(now);
            } else if (budget.take(now)) retries.push(now);
        }
        const within = (list: readonly number[], end: number) =>
          list.filter((at) => at <= end && at > end - BUDGET_WINDOW_MS + 1_000).length;
        const floor = (RETRIES_PER_SECOND * BUDGET_WINDOW_MS) / 1_000;
        for (const end of new Set(retries)) {
          const asked = requests.filter((at) => at <= end && at > end - BUDGET_WINDOW_MS).length;
          expect(within(retries, end)).to.be.at.most(RETRY_SHARE * asked + floor);
        }
      }),
    );
  });

  it("opens again when the window has passed", () => {
    const budget = new ExtraBudget(RETRY_SHARE, RETRIES_PER_SECOND);
    const takeAll = (now: number) => {
      let taken = 0;
      while (budget.take(now)) taken++;
      return taken;
    };
    expect(takeAll(5_000)).to.equal(100);
    expect(takeAll(5_000 + BUDGET_WINDOW_MS - 1_000)).to.equal(0);
    expect(takeAll(5_000 + BUDGET_WINDOW_MS)).to.equal(100);
    // A clock that is set back gives nothing away.
    expect(takeAll(0)).to.equal(0);
    for (let i = 0; i < 50; i++) budget.onRequest(5_000 + BUDGET_WINDOW_MS);
    expect(takeAll(5_000 + BUDGET_WINDOW_MS)).to.equal(10);
  });
});

describe("RoutingState", () => {
  const overloaded = (retryAfterSeconds?: number) => ({ code: "overloaded" as const, retryAfterSeconds });

  it("honours a provider's Retry-After for all of its models, up to five minutes", () => {
    const state = new RoutingState();
    const [offer, sister, other] = [
      makeOffer(1, 1n),
      makeOffer(1, 1n, { model: { modelId: 2 } }),
      makeOffer(2, 1n),
    ];
    state.onFailure(offer, overloaded(7), { sent: 1_000, now: 1_000 });
    const restsAt = (now: number) => [offer, sister, other].map((each) => state.isResting(each, now));
    expect(restsAt(7_999)).to.deep.equal([true, true, false]);
    expect(restsAt(8_000)).to.deep.equal([false, false, false]);
    state.onFailure(offer, overloaded(999_999_999), { sent: 8_000, now: 8_000 });
    expect(state.isResting(offer, 8_000 + MAX_REST_MS - 1)).to.equal(true);
    expect(state.isResting(offer, 8_000 + MAX_REST_MS)).to.equal(false);
    // A shorter one does not cut a longer one short.
    state.onFailure(offer, overloaded(100), { sent: 9_000, now: 9_000 });
    state.onFailure(offer, overloaded(1), { sent: 9_000, now: 9_000 });
    expect(state.isResting(offer, 8_000 + MAX_REST_MS - 1)).to.equal(true);
  });

  it("keeps one endpoint per provider and model", () => {
    const state = new RoutingState();
    expect(state.find(makeOffer(1, 1n))).to.equal(undefined);
    const endpoint = state.endpointOf(makeOffer(1, 1n));
    expect(state.endpointOf(makeOffer(1, 5n))).to.equal(endpoint);
    expect(state.endpointOf(makeOffer(2, 1n))).to.not.equal(endpoint);
    expect(state.endpointOf(makeOffer(1, 1n, { model: { modelId: 2 } }))).to.not.equal(endpoint);
  });
});

describe("StickySessions", () => {
  it("remember for ten idle minutes, and no more than they may", () => {
    const sessions = new StickySessions();
    sessions.onServed("a", 1, 0);
    sessions.onServed("b", 2, 1);
    expect(sessions.providerOf("a", SESSION_IDLE_MS)).to.equal(1);
    sessions.onServed("a", 3, SESSION_IDLE_MS);
    expect(sessions.providerOf("b", SESSION_IDLE_MS + 2)).to.equal(undefined);
    expect(sessions.providerOf("a", 2 * SESSION_IDLE_MS)).to.equal(3);
    for (let i = 0; i < MAX_SESSIONS + 10; i++) sessions.onServed(`s${i}`, 1, 2 * SESSION_IDLE_MS);
    expect(sessions.size).to.equal(MAX_SESSIONS);
    expect(sessions.providerOf("a", 2 * SESSION_IDLE_MS)).to.equal(undefined);
  });
});

describe("Itinerary", () => {
  const offers = [1, 2, 3].map((id) => makeOffer(id, 1n, { model: { modelId: id === 3 ? 2 : 1 } }));
  const walk = (resting: readonly number[], order: readonly string[] = []) => {
    const itinerary = new Itinerary(
      offers,
      { isResting: ({ providerId }) => resting.includes(providerId) },
      order,
    );
    return idsOf(offers.flatMap(() => itinerary.next(0) ?? []));
  };

  it("goes in order, past those that came to rest meanwhile, and back to them at the end", () => {
    expect(walk([])).to.deep.equal([1, 2, 3]);
    expect(walk([1])).to.deep.equal([2, 3, 1]);
    expect(walk([1, 2, 3])).to.deep.equal([1, 2, 3]);
    expect(walk([1, 2], ["1"]), "but not past whom the caller orders").to.deep.equal([1, 3, 2]);
  });

  it("leaves a model out that takes the request from nobody", () => {
    const itinerary = new Itinerary(offers, { isResting: () => false }, []);
    const [first] = offers;
    if (!first) throw new RangeError("no offer");
    expect(itinerary.next(0)).to.equal(first);
    expect(itinerary.findBeside(first, 0)?.providerId).to.equal(2);
    expect(itinerary.skipModel(first)).to.equal(true);
    expect(itinerary.findBeside(first, 0)).to.equal(undefined);
    expect(itinerary.next(0)?.providerId).to.equal(3);
    expect([itinerary.hasMore, itinerary.next(0)]).to.deep.equal([false, undefined]);
  });
});
