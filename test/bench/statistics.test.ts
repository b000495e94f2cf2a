import { expect } from "chai";
import fc from "fast-check";
import { estimate, quantileOf, slopePerMinute } from "../../bench/relay/statistics.ts";

describe("statistics of a bench", () => {
  it("gives the textbook's interval: five rounds, Student's t with four degrees of freedom", () => {
    // s = 1.5811, s / sqrt 5 = 0.7071, t = 2.776
    expect(estimate([1, 2, 3, 4, 5])).to.deep.equal({ mean: 3, plusMinus: 1.963 });
  });

  it("knows no interval of one round, and nothing of none", () => {
    expect(estimate([7])).to.deep.equal({ mean: 7, plusMinus: 0 });
    expect(() => estimate([])).to.throw(RangeError);
  });

  it("finds the true mean within the interval in about 95 of 100 samples", () => {
    let state = 1;
    // a fixed sequence, uniform in [0, 1): its mean is 0.5
    const next = () => {
      state = (state * 48_271) % 2_147_483_647;
      return state / 2_147_483_647;
    };
    let hits = 0;
    for (let sample = 0; sample < 2_000; sample++) {
      const { mean, plusMinus } = estimate(Array.from({ length: 6 }, next));
      if (Math.abs(mean - 0.5) <= plusMinus) hits++;
    }
    expect(hits / 2_000).to.be.within(0.92, 0.98);
  });

  it("takes quantiles from the values themselves, whatever their order", () => {
    expect(quantileOf([3, 1, 2, 4], 0.5)).to.equal(3);
    fc.assert(
      fc.property(
        fc.array(fc.integer(), { minLength: 1 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (values, part) => {
          const found = quantileOf(values, part);
          expect(values).to.include(found);
          expect(values.filter((value) => value < found).length).to.be.at.most(values.length * part);
        },
      ),
    );
  });

  it("finds the slope of a line whatever the noise around it that cancels out", () => {
    const noise = [1, -1, -1, 1];
    const points = Array.from(
      { length: 40 },
      (_, i) => [i * 1_000, 7 + i / 20 + (noise[i % 4] ?? 0)] as const,
    );
    expect(slopePerMinute(points)).to.be.closeTo(3, 0.2);
    expect(slopePerMinute(points.map(([ms]) => [ms, 5] as const))).to.equal(0);
  });
});
