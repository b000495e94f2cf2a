import { expect } from "chai";
import fc from "fast-check";
import { testLimits } from "../support/test-limits.ts";

const OWNER = "0x1111111111111111111111111111111111111111" as const;
const MINUTE_MS = 60_000;

describe("requests per minute of keys", () => {
  let now = 0;
  const ratesOf = (requestsPerMinute: number) =>
    testLimits({ tierLimits: { requestsPerMinute }, now: () => now }).rates;
  const keyOf = (requestsPerMinute: number, hash = "one") => ({
    ...{ hash, userId: 1, owner: OWNER, requestsPerMinute },
  });

  it("leave half of the key's and the account's to those who wait, whatever batches take at any rhythm", () => {
    const limit = fc.integer({ min: 1, max: 40 });
    const Steps = fc.array(fc.record({ after: fc.nat(30_000), tries: fc.nat(60) }), { maxLength: 30 });
    fc.assert(
      fc.property(limit, limit, Steps, (ofKey, ofAccount, steps) => {
        now = 1_000_000;
        const start = now;
        const rates = ratesOf(ofAccount);
        const key = keyOf(ofKey);
        const least = Math.min(ofKey, ofAccount);
        let taken = 0;
        for (const { after, tries } of steps) {
          now += after;
          for (let i = 0; i < tries; i++) {
            const waitMs = rates.takeSpare(key);
            if (waitMs > 0) {
              // What was promised: so long to wait, and then it is there.
              now += waitMs + 0.01;
              expect(rates.takeSpare(key)).to.equal(0);
            }
            taken++;
          }
        }
        expect(taken).to.be.at.most(least + Math.ceil(((now - start) * least) / MINUTE_MS));
        for (let i = 0; i < Math.floor(least / 2); i++) expect(rates.takeOfKey(key).allowed).to.equal(true);
      }),
    );
  });

  it("give batches only what others leave, and all of it to those who wait", () => {
    now = 0;
    const rates = ratesOf(1_000);
    const key = keyOf(60);
    for (let i = 0; i < 60; i++) expect(rates.takeOfKey(key).allowed).to.equal(true);
    expect(rates.takeOfKey(key).allowed).to.equal(false);
    now += MINUTE_MS / 2;
    expect(rates.takeSpare(key)).to.be.closeTo(1_000, 1);
    now += 1_000.01;
    expect(rates.takeSpare(key)).to.equal(0);
    expect(rates.takeSpare(keyOf(60, "another"))).to.equal(0);
  });
});
