import { isAimoError } from "@aimo/protocol/errors";
import { expect } from "chai";
import fc from "fast-check";
import { Rates } from "../../../relay/src/core/rates.ts";
import { Shedding } from "../../../relay/src/core/shedding.ts";
import { HEAD_START_MS, TIERS, type Tier } from "../../../relay/src/core/tiers.ts";
import type { Caller } from "../../../relay/src/core/types.ts";
import { WaitingLine } from "../../../relay/src/core/waiting-line.ts";
import { testLimits } from "../support/test-limits.ts";

const OWNER = "0x1111111111111111111111111111111111111111";
const caller = (userId: number, change: Partial<Caller> = {}): Caller => ({
  ...{ userId, owner: OWNER, keyHash: `key-${userId}`, models: undefined, limit: undefined },
  ...{ limitReset: undefined },
  ...change,
});
const codeOf = (act: () => unknown): string => {
  try {
    act();
  } catch (error) {
    if (isAimoError(error)) return error.code;
    throw error;
  }
  return "none";
};

describe("rates per minute", () => {
  const Takes = fc.array(fc.record({ after: fc.nat(20_000), cost: fc.integer({ min: 1, max: 50 }) }), {
    maxLength: 200,
  });

  it("never let more through in any minute than twice the limit, and no burst above it", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 200 }), Takes, (limit, takes) => {
        const rates = new Rates();
        const taken: { at: number; cost: number }[] = [];
        let now = 1_000_000;
        for (const { after, cost } of takes) {
          now += after;
          const before = rates.peek("a", limit, { now, cost });
          const verdict = rates.take("a", limit, { now, cost });
          expect(verdict.allowed).to.equal(before.allowed);
          if (verdict.allowed) taken.push({ at: now, cost });
          // What was promised: so long to wait, and then it is there.
          else if (Number.isFinite(verdict.retryMs)) {
            const later = { now: now + verdict.retryMs + 0.01, cost };
            expect(rates.peek("a", limit, later).allowed).to.equal(true);
          } else expect(cost > limit).to.equal(true);
        }
        for (const { at } of taken) {
          const sum = (from: number, to: number) =>
            taken
              .filter((one) => one.at >= from && one.at <= to)
              .reduce((total, { cost }) => total + cost, 0);
          expect(sum(at, at) <= limit).to.equal(true);
          expect(sum(at, at + 59_999) <= 2 * limit).to.equal(true);
        }
      }),
    );
  });

  it("come to what was really used, whatever was estimated", () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.integer({ min: 1, max: 90 }), fc.nat(90)), { maxLength: 20 }),
        (uses) => {
          const [estimated, exact] = [new Rates(), new Rates()];
          const limit = 1_000_000;
          for (const [estimate, used] of uses) {
            estimated.take("a", limit, { now: 0, cost: estimate });
            estimated.giveBack("a", limit, { now: 0, amount: estimate - used });
            if (used > 0) exact.take("a", limit, { now: 0, cost: used });
          }
          const left = (rates: Rates) => rates.peek("a", limit, { now: 0 }).remaining;
          expect(left(estimated)).to.be.closeTo(left(exact), 1);
        },
      ),
    );
  });

  it("forget who has all of the limit again", () => {
    const rates = new Rates();
    for (let i = 0; i < 1_000; i++) rates.take(`s${i}`, 60, { now: i });
    rates.take("late", 60, { now: 10_000_000 });
    expect(rates.size).to.equal(1);
  });
});

describe("the line for room", () => {
  const Arrivals = fc.array(fc.record({ after: fc.nat(1_500), tier: fc.constantFrom(...TIERS) }), {
    maxLength: 60,
  });

  it("goes by tier, and by arrival within a tier; whoever waited long enough goes before who came later", () => {
    fc.assert(
      fc.property(Arrivals, (arrivals) => {
        const line = new WaitingLine(1_000);
        const admitted: { since: number; tier: Tier; order: number }[] = [];
        let now = 0;
        arrivals.forEach(({ after, tier }, order) => {
          now += after;
          const since = now;
          const admit = () => void admitted.push({ since, tier, order });
          line.join({ since, headStartMs: HEAD_START_MS[tier], admit, refuse: () => {} });
        });
        while (line.next());
        expect(admitted.length).to.equal(arrivals.length);
        for (let i = 1; i < admitted.length; i++) {
          const [before, after] = [admitted[i - 1], admitted[i]];
          if (!before || !after) throw new Error("nobody");
          if (before.tier === after.tier) expect(before.order < after.order).to.equal(true);
          const lead = HEAD_START_MS[before.tier] - HEAD_START_MS[after.tier];
          expect(before.since - after.since <= Math.max(lead, 0) || before.since <= after.since).to.equal(
            true,
          );
        }
      }),
    );
  });

  it("holds no more than its limit, and turns away who would come last", () => {
    const refused: string[] = [];
    const line = new WaitingLine(2);
    const join = (name: string, headStartMs: number) =>
      line.join({ since: 0, headStartMs, admit: () => {}, refuse: () => void refused.push(name) });
    join("free", 0);
    join("pro", 2_000);
    expect(join("late free", 0)).to.equal(undefined);
    expect(join("enterprise", 4_000)).to.not.equal(undefined);
    expect([refused, line.length]).to.deep.equal([["free"], 2]);
    line.refuseOlder(1);
    expect([refused.length, line.length]).to.deep.equal([3, 0]);
  });
});

describe("shedding", () => {
  it("refuses free first, then pro, never enterprise, and eases well below the threshold", () => {
    const shedding = new Shedding(100);
    const refused = () => TIERS.filter((tier) => shedding.refuses(tier));
    expect(refused()).to.deep.equal([]);
    shedding.note(99);
    expect(refused()).to.deep.equal([]);
    shedding.note(100);
    expect(refused()).to.deep.equal(["free"]);
    shedding.note(150);
    expect(refused()).to.deep.equal(["free"]);
    for (let i = 0; i < 5; i++) shedding.note(1_000);
    expect(refused()).to.deep.equal(["free", "pro"]);
    shedding.note(101);
    expect(refused()).to.deep.equal(["free", "pro"]);
    shedding.note(99);
    shedding.note(49);
    expect(refused()).to.deep.equal([]);
  });

  it("is off at 0", () => {
    const shedding = new Shedding(0);
    shedding.note(1e9);
    expect(shedding.refuses("free")).to.equal(false);
  });
});

describe("admission", () => {
  it("counts every way in and out exactly, whatever happens in whatever order", async () => {
    const Steps = fc.array(
      fc.record({ user: fc.nat(3), act: fc.constantFrom("enter", "leave", "gone", "sweep") }),
      { maxLength: 80 },
    );
    await fc.assert(
      fc.asyncProperty(Steps, async (steps) => {
        let now = 0;
        const room = { maxInFlight: 3, maxInFlightPerAccount: 2, maxWaiting: 2, maxWaitMs: 100 };
        const { admission } = testLimits({ now: () => now, room });
        const inside: Caller[] = [];
        const goners: (() => void)[] = [];
        for (const { user, act } of steps) {
          now += 30;
          const who = caller(user);
          if (act === "enter") {
            try {
              const wait = admission.enter(who, { onGone: (leave) => void goners.push(leave) });
              if (wait) wait.then(() => void inside.push(who)).catch(() => {});
              else inside.push(who);
            } catch (error) {
              if (!isAimoError(error)) throw error;
            }
          } else if (act === "leave") {
            const [out] = inside.splice(0, 1);
            if (out) admission.leave(out);
          } else if (act === "gone") goners.shift()?.();
          else admission.sweep();
          await Promise.resolve();
          await Promise.resolve();
          expect(admission.inFlight).to.equal(inside.length);
          expect(admission.inFlight <= 3 && admission.waiting <= 2).to.equal(true);
        }
        while (inside.length > 0 || admission.waiting > 0) {
          const out = inside.shift();
          if (out) admission.leave(out);
          else throw new Error("Somebody waits for ever.");
          await Promise.resolve();
          await Promise.resolve();
        }
        expect(admission.inFlight).to.equal(0);
        // Nothing was left behind for any account.
        for (const user of [0, 1, 2, 3]) {
          expect(admission.enter(caller(user), { onGone: () => {} })).to.equal(undefined);
          admission.leave(caller(user));
        }
        await admission.close(0, () => {});
      }),
    );
  });

  it("holds an account and a key to what each may have at once", () => {
    const { admission } = testLimits({ tierLimits: { concurrency: 2 } });
    const enter = (who: Caller) => codeOf(() => admission.enter(who, { onGone: () => {} }));
    const own = caller(1, { maxInFlight: 1 });
    expect([enter(own), enter(own)]).to.deep.equal(["none", "rate_limit_exceeded"]);
    const other = caller(1, { keyHash: "another" });
    expect([enter(other), enter(other)]).to.deep.equal(["none", "rate_limit_exceeded"]);
    expect(enter(caller(2))).to.equal("none");
  });

  it("takes tokens of the account and the key, or of neither, and puts them right", () => {
    const { admission } = testLimits({ now: () => 0, tierLimits: { tokensPerMinute: 100 } });
    const own = caller(1, { tokensPerMinute: 40 });
    const take = (who: Caller, tokens: number) => codeOf(() => admission.takeTokens(who, tokens));
    const grant = admission.takeTokens(own, 40);
    expect(take(own, 1)).to.equal("rate_limit_exceeded");
    grant.used(10);
    expect([take(own, 30), take(own, 1)]).to.deep.equal(["none", "rate_limit_exceeded"]);
    // The account has 60 left for its other keys: what the key was refused was not taken from it.
    const other = caller(1, { keyHash: "another" });
    expect([take(other, 60), take(other, 1)]).to.deep.equal(["none", "rate_limit_exceeded"]);
  });

  it("tells apart what can never pass, whatever else stands against it now", () => {
    const { admission } = testLimits({ now: () => 0, tierLimits: { tokensPerMinute: 100 } });
    const own = caller(1, { tokensPerMinute: 40 });
    const take = (who: Caller, tokens: number) => codeOf(() => admission.takeTokens(who, tokens));
    expect(take(caller(2), 101)).to.equal("request_above_limit");
    expect(take(own, 41)).to.equal("request_above_limit");
    expect([take(caller(1), 100), take(own, 40), take(own, 41)]).to.deep.equal([
      ...["none", "rate_limit_exceeded", "request_above_limit"],
    ]);
  });

  it("lets what has time wait behind everyone who comes within some seconds", async () => {
    let now = 0;
    const { admission } = testLimits({ now: () => now, tier: "free", room: { maxInFlight: 1 } });
    expect(admission.enter(caller(1), { onGone: () => {} })).to.equal(undefined);
    const order: string[] = [];
    const batch = admission.enter(caller(2), { isBackground: true, onGone: () => {} });
    now = 4_999;
    const soon = admission.enter(caller(3), { onGone: () => {} });
    now = 5_001;
    const late = admission.enter(caller(4), { onGone: () => {} });
    const all = [batch, soon, late].map((one, index) =>
      one?.then(() => {
        order.push(["batch", "soon", "late"][index] ?? "");
        admission.leave(caller(index + 2));
      }),
    );
    admission.leave(caller(1));
    await Promise.all(all);
    expect(order).to.deep.equal(["soon", "batch", "late"]);
  });

  it("lets nobody in who waits when it closes", async () => {
    const { admission } = testLimits({ room: { maxInFlight: 1 } });
    expect(admission.enter(caller(1), { onGone: () => {} })).to.equal(undefined);
    const waiting = admission.enter(caller(2), { onGone: () => {} });
    const closed = admission.close(0, () => {});
    const error: unknown = await waiting?.then(
      () => undefined,
      (reason: unknown) => reason,
    );
    expect(isAimoError(error) && error.code).to.equal("shutting_down");
    admission.leave(caller(1));
    await closed;
  });
});
