import { expect } from "chai";
import fc from "fast-check";
import { readAsk } from "../../../relay/src/core/ask.ts";
import { encodeBase58 } from "../../../relay/src/core/base58.ts";
import { RateLimiter } from "../../../relay/src/core/gcra.ts";
import { EJECTION_MS, FAILURES_TO_EJECT, ProviderHealth } from "../../../relay/src/core/health.ts";
import { rankOffers } from "../../../relay/src/core/routing.ts";
import type { Offer } from "../../../relay/src/core/types.ts";

const offer = (providerId: number, unitPrice: bigint, change: Partial<Offer["model"]> = {}): Offer => ({
  ...{ providerId, signer: `0x${String(providerId).padStart(40, "0")}`, endpoint: "http://x", region: "" },
  model: {
    ...{
      modelId: 1,
      slug: "m",
      priceVersion: 1,
      route: "chat",
      contextTokens: 8_192,
      maxOutputTokens: 4_096,
    },
    ...{ freeSlots: 1, queued: 0, latencyMs: 0, description: "" },
    ...change,
  },
  price: { version: 1, prices: [unitPrice, unitPrice, unitPrice], kinds: ["token", "token", "token"] },
  expiresAt: 100,
});
const MESSAGES = [{ role: "user", content: "x" }];
const ask = (provider?: object) => readAsk("chat", { model: "m", messages: MESSAGES, provider }, 100);
const rank = (offers: Offer[], change: Partial<Parameters<typeof rankOffers>[0]> = {}) =>
  rankOffers({ ask: ask(), offers, now: 0, random: () => 0, isEjected: () => false, limit: 9, ...change });
const ids = (offers: readonly Offer[]) => offers.map(({ providerId }) => providerId);

describe("rankOffers", () => {
  it("draws by one over price squared: at three times the price, a ninth as often", () => {
    const offers = [offer(1, 1_000n), offer(2, 3_000n)];
    const steps = 1_000;
    let first = 0;
    for (let i = 0; i < steps; i++)
      if (rank(offers, { random: () => (i + 0.5) / steps })[0]?.providerId === 1) first++;
    expect(first).to.equal(900);
  });

  it("keeps each eligible offer once, whatever chance says", () => {
    const prices = fc.array(fc.bigInt({ min: 0n, max: 10n ** 12n }), { maxLength: 8 });
    fc.assert(
      fc.property(
        prices,
        fc.infiniteStream(fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true })),
        (list, draws) => {
          const offers = list.map((each, index) => offer(index + 1, each));
          const ranked = rank(offers, { random: () => draws.next().value ?? 0 });
          expect(ids(ranked).sort()).to.deep.equal(ids(offers).sort());
        },
      ),
    );
  });

  it("puts busy providers behind free ones, and ejected ones last", () => {
    const offers = [offer(1, 1n), offer(2, 1n, { freeSlots: 0 }), offer(3, 1n)];
    expect(ids(rank(offers, { isEjected: (id) => id === 1 }))).to.deep.equal([3, 2, 1]);
  });

  it("leaves out what is expired, of another route, or counts what cannot be bounded", () => {
    const strange = offer(4, 1n);
    const offers = [
      offer(1, 1n),
      { ...offer(2, 1n), expiresAt: 0 },
      offer(3, 1n, { route: "images" }),
      { ...strange, price: { ...strange.price, kinds: ["token", "token", "millisecond"] as const } },
    ];
    expect(ids(rank(offers))).to.deep.equal([1]);
  });

  it("follows the caller's preferences", () => {
    const offers = [
      offer(1, 300n, { latencyMs: 9 }),
      offer(2, 100n, { latencyMs: 0 }),
      offer(3, 200n, { latencyMs: 5 }),
    ];
    const by = (provider: object) => ids(rank(offers, { ask: ask(provider) }));
    expect(by({ sort: "price" })).to.deep.equal([2, 3, 1]);
    expect(by({ sort: "latency" })).to.deep.equal([3, 1, 2]);
    expect(by({ sort: "price", order: [1] })).to.deep.equal([1, 2, 3]);
    expect(by({ sort: "price", allow_fallbacks: false })).to.deep.equal([2]);
    expect(by({ sort: "price", ignore: ["2"] })).to.deep.equal([3, 1]);
    expect(by({ only: [`0x${"3".padStart(40, "0")}`] })).to.deep.equal([3]);
  });

  it("gives no more than it is asked for", () => {
    expect(rank([offer(1, 1n), offer(2, 1n), offer(3, 1n)], { limit: 2 })).to.have.length(2);
  });
});

describe("ProviderHealth", () => {
  it("ejects after failures in a row, longer each time, and forgives with a success", () => {
    const health = new ProviderHealth();
    const fail = (times: number, now: number) => {
      for (let i = 0; i < times; i++) health.onFailure(1, now);
    };
    fail(FAILURES_TO_EJECT - 1, 0);
    expect(health.isEjected(1, 0)).to.equal(false);
    fail(1, 0);
    expect([health.isEjected(1, EJECTION_MS - 1), health.isEjected(1, EJECTION_MS)]).to.deep.equal([
      true,
      false,
    ]);
    fail(FAILURES_TO_EJECT, EJECTION_MS);
    expect(health.isEjected(1, 3 * EJECTION_MS - 1)).to.equal(true);
    health.onSuccess(1);
    expect(health.isEjected(1, 2 * EJECTION_MS)).to.equal(false);
  });
});

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
