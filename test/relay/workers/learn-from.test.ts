import { expect } from "chai";
import { FAILURES_TO_EJECT } from "../../../relay/src/core/breaker.ts";
import { RoutingState } from "../../../relay/src/core/routing-state.ts";
import type { Attempt } from "../../../relay/src/core/types.ts";
import { learnFrom } from "../../../relay/src/workers/learn-from.ts";
import { makeOffer } from "../support/offers.ts";

describe("what the main process learns of workers' requests", () => {
  const offers = [makeOffer(1, 1_000n), makeOffer(2, 1_000n)];
  const [first] = offers;
  const tried = (providerId: number, error?: Attempt["error"]): Attempt => ({
    ...{ providerId, nonce: "0x", status: error ? "failed" : "ok", latencyMs: 1 },
    ...(error ? { error } : {}),
  });

  it("is who rests in all of them, once, and not for failures that are nobody's fault", () => {
    const routing = new RoutingState();
    const learn = (...attempts: Attempt[]) => learnFrom(routing, { offers }, { attempts }, 0);
    for (let i = 1; i < FAILURES_TO_EJECT; i++)
      expect(learn(tried(1, "provider_unavailable"), tried(2))).to.deep.equal([]);
    expect(learn(tried(1, "overloaded"), tried(2, "overloaded"))).to.deep.equal([]);
    const told = learn(tried(1, "provider_unavailable"), tried(2));
    expect(told).to.deep.equal([{ providerId: 1, modelId: first?.model.modelId }]);
    expect(learn(tried(1, "provider_unavailable"))).to.deep.equal([]);
  });
});
