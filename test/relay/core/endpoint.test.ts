import { expect } from "chai";
import fc from "fast-check";
import {
  Breaker,
  EJECTION_MS,
  FAILURES_TO_EJECT,
  MAX_EJECTION_FACTOR,
} from "../../../relay/src/core/breaker.ts";
import { Endpoint } from "../../../relay/src/core/endpoint.ts";
import { DECREASE, LearnedCap } from "../../../relay/src/core/learned-cap.ts";
import { PEAK_TAU_MS, PeakEwma } from "../../../relay/src/core/peak-ewma.ts";
import { FAILED_TO_EJECT, SEEN } from "../../../relay/src/core/recent-outcomes.ts";

const fail = (breaker: Breaker, times: number, now: number) => {
  for (let i = 0; i < times; i++) breaker.onFailure(now);
};

describe("Breaker", () => {
  it("rests on another process's word, until a request of its own goes well", () => {
    const breaker = new Breaker();
    breaker.eject(0);
    breaker.eject(1);
    expect([breaker.isResting(EJECTION_MS - 1), breaker.isResting(EJECTION_MS)]).to.deep.equal([true, false]);
    expect(breaker.begin()).to.equal(true);
    breaker.onSuccess();
    expect(breaker.isResting(EJECTION_MS)).to.equal(false);
  });

  it("ejects after failures in a row only, longer each time", () => {
    const breaker = new Breaker();
    fail(breaker, FAILURES_TO_EJECT - 1, 0);
    breaker.onSuccess();
    fail(breaker, FAILURES_TO_EJECT - 1, 0);
    expect(breaker.isResting(0)).to.equal(false);
    fail(breaker, 1, 0);
    expect([breaker.isResting(EJECTION_MS - 1), breaker.isResting(EJECTION_MS)]).to.deep.equal([true, false]);
    // A single failed probe is enough, and what comes late from before says nothing.
    fail(breaker, 1, EJECTION_MS);
    fail(breaker, 9, EJECTION_MS + 1);
    expect([breaker.isResting(3 * EJECTION_MS - 1), breaker.isResting(3 * EJECTION_MS)]).to.deep.equal([
      true,
      false,
    ]);
  });

  it("lets one request at a time probe after the rest, and recovers with its success", () => {
    const breaker = new Breaker();
    fail(breaker, FAILURES_TO_EJECT, 0);
    const probe = breaker.begin();
    expect([probe, breaker.isResting(EJECTION_MS)]).to.deep.equal([true, true]);
    // The client went away: nothing was learned, the next request probes.
    breaker.end(probe);
    expect(breaker.isResting(EJECTION_MS)).to.equal(false);
    breaker.end(breaker.begin());
    breaker.onSuccess();
    expect([breaker.isResting(EJECTION_MS), breaker.begin(), breaker.isResting(EJECTION_MS)]).to.deep.equal([
      false,
      false,
      false,
    ]);
    fail(breaker, FAILURES_TO_EJECT - 1, EJECTION_MS);
    expect(breaker.isResting(EJECTION_MS)).to.equal(false);
  });

  it("recovers from any history: after the longest rest a probe may go, and its success closes it", () => {
    const step = fc.record({
      wait: fc.nat(60_000),
      what: fc.constantFrom("fail", "succeed", "begin", "end"),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const breaker = new Breaker();
        const open: boolean[] = [];
        let now = 0;
        for (const { wait, what } of steps) {
          now += wait;
          if (what === "fail") breaker.onFailure(now);
          if (what === "succeed") breaker.onSuccess();
          if (what === "begin") open.push(breaker.begin());
          if (what === "end") breaker.end(open.pop() ?? false);
        }
        for (const probe of open) breaker.end(probe);
        now += EJECTION_MS * MAX_EJECTION_FACTOR;
        expect(breaker.isResting(now)).to.equal(false);
        breaker.end(breaker.begin());
        breaker.onSuccess();
        expect(breaker.isResting(now)).to.equal(false);
      }),
    );
  });
});

/** What an endpoint does with the requests that it gets, one after the other; gives how many those were. */
function serve(breaker: Breaker, outcomes: readonly boolean[], start: number, everyMs: number): number {
  let sent = 0;
  for (const [at, isOk] of outcomes.entries()) {
    const now = start + at * everyMs;
    if (breaker.isResting(now)) continue;
    sent++;
    breaker.end(breaker.begin());
    if (isOk) breaker.onSuccess(now);
    else breaker.onFailure(now);
  }
  return sent;
}
const repeat = (pattern: readonly boolean[], times: number) =>
  Array.from({ length: times }, () => pattern).flat();

describe("Breaker, by the share of failures", () => {
  const Outcomes = (minFailed: number, maxFailed: number) =>
    fc
      .integer({ min: minFailed, max: maxFailed })
      .chain((failed) =>
        fc.shuffledSubarray([...Array(SEEN).keys()], { minLength: failed, maxLength: failed }),
      )
      .map((failed) => Array.from({ length: SEEN }, (_, at) => !failed.includes(at)));

  it("ejects whoever fails half of the requests or more, in whatever order", () => {
    fc.assert(
      fc.property(Outcomes(FAILED_TO_EJECT, SEEN), (pattern) => {
        const breaker = new Breaker();
        // Once around: each window of the pattern repeated has as many failures as the pattern.
        for (const isOk of [...pattern, ...pattern]) {
          if (breaker.isResting(0)) break;
          if (isOk) breaker.onSuccess(0);
          else breaker.onFailure(0);
        }
        expect(breaker.isResting(0)).to.equal(true);
      }),
    );
  });

  it("never ejects whoever fails less than half of any requests in a row, and never five of them", () => {
    fc.assert(
      fc.property(Outcomes(0, FAILED_TO_EJECT - 1), fc.nat(1_000), (pattern, everyMs) => {
        const around = repeat(pattern, 3);
        const five = (at: number) => around.slice(at, at + FAILURES_TO_EJECT).includes(true);
        fc.pre(around.slice(0, 2 * SEEN).every((_, at) => five(at)));
        expect(serve(new Breaker(), around, 0, everyMs)).to.equal(around.length);
      }),
    );
  });

  it("sends one that fails four of five ever fewer, and all again once it has recovered", () => {
    const flaky = repeat([false, false, true, false, false], 1_000);
    const breaker = new Breaker();
    const everyMs = 1_000;
    const sent = serve(breaker, flaky, 0, everyMs);
    // Five in a row never fail: without this rule all of them would be sent.
    expect(sent).to.be.below(flaky.length / 20);
    const later = flaky.length * everyMs + EJECTION_MS * MAX_EJECTION_FACTOR;
    const healthy = repeat([true], SEEN);
    expect(serve(breaker, healthy, later, everyMs)).to.equal(SEEN);
    // Nothing is left of its past: it is ejected as any other, for as long as the first time.
    const again = later + SEEN * everyMs;
    fail(breaker, FAILURES_TO_EJECT, again);
    expect([
      breaker.isResting(again + EJECTION_MS - 1),
      breaker.isResting(again + EJECTION_MS),
    ]).to.deep.equal([true, false]);
  });

  it("rests for longer when it fails again after a probe, up to the longest", () => {
    const breaker = new Breaker();
    let now = 0;
    for (const isOk of repeat([false, true], SEEN / 2))
      isOk ? breaker.onSuccess(now) : breaker.onFailure(now);
    const rests: number[] = [];
    for (let round = 0; round < 2 * MAX_EJECTION_FACTOR; round++) {
      while (!breaker.isResting(now)) breaker.onFailure(now);
      const begin = now;
      while (breaker.isResting(now)) now += EJECTION_MS;
      rests.push((now - begin) / EJECTION_MS);
      breaker.end(breaker.begin());
      breaker.onSuccess(now);
    }
    expect(rests.slice(0, 3)).to.deep.equal([1, 2, 3]);
    expect(rests.at(-1)).to.equal(MAX_EJECTION_FACTOR);
  });

  it("hears nothing of its rest from what was sent before", () => {
    const breaker = new Breaker();
    fail(breaker, FAILURES_TO_EJECT, 100);
    breaker.onSuccess(99);
    expect(breaker.isResting(101)).to.equal(true);
    breaker.onSuccess(100);
    expect(breaker.isResting(101)).to.equal(false);
  });
});

describe("LearnedCap", () => {
  it("shrinks when refused, once per burst, never below one, and grows back", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 100 }), { minLength: 1, maxLength: 30 }), (refusals) => {
        const cap = new LearnedCap();
        for (const [at, inFlight] of refusals.entries()) {
          const before = cap.value;
          cap.onRefusal(inFlight, at + 1, at + 1);
          expect(cap.value).to.be.at.most(Math.max(1, Math.min(before, inFlight) * DECREASE));
          expect(cap.value).to.be.at.least(1);
          const lowered = cap.value;
          for (let i = 0; i < inFlight; i++) cap.onRefusal(inFlight, at, at + 1);
          expect(cap.value, "of the same burst").to.equal(lowered);
        }
        const low = cap.value;
        for (let i = 0; i < 3; i++) cap.onSuccess();
        expect(cap.value).to.be.above(low);
        for (let i = 0; i < 200_000 && Number.isFinite(cap.value); i++) cap.onSuccess();
        expect(cap.value).to.equal(Number.POSITIVE_INFINITY);
      }),
      { numRuns: 30 },
    );
  });

  it("grows by one per round, and settles where a provider with so many slots refuses", () => {
    const cap = new LearnedCap();
    cap.onRefusal(100, 1, 1);
    expect(cap.value).to.equal(70);
    for (let i = 0; i < 70; i++) cap.onSuccess();
    expect(cap.value).to.be.within(70.9, 71);
    const slots = 20;
    for (let round = 2; round < 400; round++) {
      const sent = Math.floor(cap.value);
      for (let i = 0; i < Math.min(sent, slots); i++) cap.onSuccess();
      if (sent > slots) cap.onRefusal(sent, round, round);
    }
    expect(cap.value).to.be.within(slots * DECREASE, slots + 2);
  });
});

describe("PeakEwma", () => {
  it("jumps to a peak at once, and falls to it no faster than its time constant", () => {
    const sample = fc.record({ wait: fc.nat(20_000), value: fc.integer({ min: 0, max: 60_000 }) });
    fc.assert(
      fc.property(fc.array(sample, { minLength: 1, maxLength: 50 }), (samples) => {
        const average = new PeakEwma();
        let now = 0;
        let before = 0;
        for (const { wait, value } of samples) {
          now += wait;
          average.add(value, now);
          const after = average.last ?? 0;
          expect(after).to.be.at.least(value - 1e-6);
          expect(after).to.be.at.least(before * Math.exp(-wait / PEAK_TAU_MS) - 1e-6);
          expect(after).to.be.at.most(Math.max(before, value) + 1e-6);
          before = after;
        }
        expect(average.at(now)).to.equal(average.last);
        expect(average.at(now + PEAK_TAU_MS)).to.be.closeTo(before / Math.E, 1e-6);
      }),
    );
  });
});

describe("Endpoint", () => {
  it("costs nothing before its first request, and as much as a slow one while that is on its way", () => {
    const endpoint = new Endpoint();
    expect(endpoint.cost(0)).to.equal(0);
    const probe = endpoint.begin();
    expect(endpoint.cost(0)).to.equal(2_000);
    endpoint.end(probe);
    endpoint.onSuccess({ sentAt: 0, firstTokenMs: 120, tokens: 100, generationMs: 2_000 }, 0);
    expect([endpoint.cost(0), endpoint.throughput.last]).to.deep.equal([120, 50]);
    // Of a rival it is known that it needs at least so long.
    endpoint.onSlow(100, 0);
    expect(endpoint.firstToken.last).to.equal(120);
    endpoint.onSlow(900, 0);
    expect(endpoint.firstToken.last).to.equal(900);
  });

  it("is not ejected for being full, but for refusing a single request", () => {
    const endpoint = new Endpoint();
    const refuse = (others: number) => {
      endpoint.inFlight = others;
      for (let i = 0; i < FAILURES_TO_EJECT; i++) endpoint.onFailure({ code: "overloaded" }, i + 1, i + 1);
      return endpoint.breaker.isResting(9);
    };
    expect([refuse(3), refuse(0)]).to.deep.equal([true, true].map((_, i) => i === 1));
  });
});
