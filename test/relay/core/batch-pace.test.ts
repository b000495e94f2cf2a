import { expect } from "chai";
import fc from "fast-check";
import { BatchPace, FIRST_PAUSE_MS, MAX_PAUSE_MS } from "../../../relay/src/core/batch-pace.ts";

describe("the pace of a batch", () => {
  const Step = fc.record({
    wait: fc.nat(40_000),
    what: fc.constantFrom("refused" as const, "served" as const),
    retryAfter: fc.option(fc.nat(100), { nil: undefined }),
  });

  it("pauses after a refusal, never for longer than it may, and goes on after any history", () => {
    fc.assert(
      fc.property(fc.array(Step, { maxLength: 100 }), (steps) => {
        const pace = new BatchPace();
        let now = 1_000_000;
        for (const { wait, what, retryAfter } of steps) {
          now += wait;
          if (what === "served") pace.onServed();
          else {
            const before = pace.waitMs(now);
            pace.onRefusal(now, retryAfter);
            const after = pace.waitMs(now);
            if (before > 0) expect(after).to.equal(before);
            else expect(after).to.be.at.least(Math.min(MAX_PAUSE_MS, (retryAfter ?? 0) * 1_000));
            expect(after).to.be.within(Math.min(1, before || 1), MAX_PAUSE_MS);
          }
        }
        expect(pace.waitMs(now + MAX_PAUSE_MS)).to.equal(0);
      }),
    );
  });

  it("doubles the pause for each refusal in a row, those together being one, until a line is served", () => {
    const pace = new BatchPace();
    let now = 0;
    const refuse = () => {
      pace.onRefusal(now);
      pace.onRefusal(now);
      const ms = pace.waitMs(now);
      now += ms;
      return ms;
    };
    expect([refuse(), refuse(), refuse()]).to.deep.equal([1, 2, 4].map((times) => times * FIRST_PAUSE_MS));
    for (let i = 0; i < 2_000; i++) expect(refuse()).to.be.at.most(MAX_PAUSE_MS);
    expect(refuse()).to.equal(MAX_PAUSE_MS);
    pace.onServed();
    expect(refuse()).to.equal(FIRST_PAUSE_MS);
  });
});
