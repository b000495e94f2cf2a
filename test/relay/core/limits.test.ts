import { expect } from "chai";
import fc from "fast-check";
import { encodeBase58 } from "../../../relay/src/core/base58.ts";
import { RateLimiter } from "../../../relay/src/core/gcra.ts";

describe("RateLimiter", () => {
  it("never allows more than limit in a window plus the burst, at any rhythm", () => {
    fc.assert(
      fc.property(
        fc.array(fc.nat(2_000), { maxLength: 200 }),
        fc.integer({ min: 1, max: 20 }),
        (pauses, limit) => {
          const limiter = new RateLimiter(limit, 1_000);
          const allowed: number[] = [];
          let now = 0;
          for (const pause of pauses) {
            now += pause;
            if (limiter.take("a", now).allowed) allowed.push(now);
          }
          for (const start of allowed) {
            const within = allowed.filter((at) => at >= start && at < start + 1_000).length;
            expect(within).to.be.at.most(2 * limit);
          }
          expect(allowed.length).to.be.at.most(limit + Math.ceil((now * limit) / 1_000));
        },
      ),
    );
  });

  it("keeps subjects apart, and tells when to come back", () => {
    const limiter = new RateLimiter(2, 1_000);
    expect([limiter.take("a", 0).remaining, limiter.take("a", 0).remaining]).to.deep.equal([1, 0]);
    const refused = limiter.take("a", 0);
    expect(refused).to.include({ allowed: false, retryMs: 500 });
    expect(limiter.take("b", 0).allowed).to.equal(true);
    expect(limiter.take("a", refused.retryMs).allowed).to.equal(true);
  });
});

describe("encodeBase58", () => {
  it("agrees with known pairs", () => {
    const pairs: [string, string][] = [
      ["", ""],
      ["00", "1"],
      ["0000287fb4cd", "11233QC4"],
      ["48656c6c6f20576f726c6421", "2NEpo7TZRRrLZSi2U"],
    ];
    for (const [hex, text] of pairs) expect(encodeBase58(Buffer.from(hex, "hex"))).to.equal(text);
  });
});
