import { expect } from "chai";
import { FAILURES_TO_EJECT } from "../../../relay/src/core/breaker.ts";
import { RoutingState } from "../../../relay/src/core/routing-state.ts";
import type { Attempt, Outcome } from "../../../relay/src/core/types.ts";
import { learnFrom } from "../../../relay/src/workers/learn-from.ts";
import { makeOffer } from "../support/offers.ts";

describe("what the main process learns of workers' requests", () => {
  const offers = [makeOffer(1, 1_000n), makeOffer(2, 1_000n)];
  const [first] = offers;
  const tried = (providerId: number, error?: Attempt["error"], latencyMs = 1): Attempt => ({
    ...{ providerId, nonce: "0x", status: error ? "failed" : "ok", latencyMs },
    ...(error ? { error } : {}),
  });
  const free = (...attempts: Attempt[]): Outcome => ({
    kind: "free",
    reason: "provider_unavailable",
    attempts,
  });
  const served = (change: { cancelled?: boolean }, ...attempts: Attempt[]): Outcome => ({
    ...{ kind: "usage", providerId: 2, nonce: "0x", requestHash: "0x", modelId: 1, priceVersion: 1 },
    statement: {
      ...{ attempt: "0x", issuedAt: 1, units: [1, 0, 1], cost: "1" },
      ...{ responseHash: "0x", receiptHash: "0x" },
    },
    ...{ charge: 1n, finishReason: "stop", cancelled: false, latencyMs: 1, generationMs: 1 },
    ...change,
    attempts,
  });
  const ejectedOne = [{ providerId: 1, modelId: first?.model.modelId }];

  it("is who rests in all of them, once", () => {
    const routing = new RoutingState();
    const learn = (outcome: Outcome) => learnFrom(routing, { offers }, outcome, 0);
    for (let i = 1; i < FAILURES_TO_EJECT; i++)
      expect(learn(served({}, tried(1, "provider_unavailable"), tried(2)))).to.deep.equal([]);
    expect(learn(served({}, tried(1, "provider_unavailable"), tried(2)))).to.deep.equal(ejectedOne);
    expect(learn(free(tried(1, "provider_unavailable")))).to.deep.equal([]);
  });

  it("is not what a client does wrong, nor a full house", () => {
    const routing = new RoutingState();
    for (const error of ["invalid_request", "payload_too_large", "overloaded", "cancelled"] as const)
      for (let i = 0; i < 3 * FAILURES_TO_EJECT; i++)
        expect(learnFrom(routing, { offers }, free(tried(1, error)), 0), error).to.deep.equal([]);
  });

  it("is a success only of a whole answer that was begun after the rest was", () => {
    for (const [outcome, heals] of [
      [served({}, tried(1)), true],
      [served({ cancelled: true }, tried(1)), false],
      [free(tried(1)), false],
    ] as const) {
      const routing = new RoutingState();
      const learn = (one: Outcome) => learnFrom(routing, { offers }, one, 0);
      for (let i = 1; i < FAILURES_TO_EJECT; i++) learn(free(tried(1, "timeout")));
      learn(outcome);
      expect(learn(free(tried(1, "timeout")))).to.deep.equal(heals ? [] : ejectedOne);
    }
    const late = new RoutingState();
    for (let i = 0; i < FAILURES_TO_EJECT; i++) learnFrom(late, { offers }, free(tried(1, "timeout")), 100);
    learnFrom(late, { offers }, served({}, tried(1, undefined, 200)), 150);
    expect(first && late.endpointOf(first).breaker.isResting(150)).to.equal(true);
  });

  it("is nothing where it cannot be told which of a provider's models was tried", () => {
    const routing = new RoutingState();
    const both = [makeOffer(1, 1_000n), makeOffer(1, 1_000n, { model: { modelId: 2, slug: "other" } })];
    for (let i = 0; i < 3 * FAILURES_TO_EJECT; i++)
      expect(learnFrom(routing, { offers: both }, free(tried(1, "timeout")), 0)).to.deep.equal([]);
  });
});
