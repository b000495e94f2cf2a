import { GROUP_DEADLINE_MS } from "@aimo/protocol/groups";
import { noTotals, Outstanding, type SignedGroup } from "@aimo/provider/core/outstanding";
import { expect } from "chai";
import fc from "fast-check";

const groupOf = (number: number, total: bigint, closedAtMs: number): SignedGroup => ({
  number,
  total,
  closedAtMs,
  event: {
    type: "group",
    group: { relayId: 7, providerId: 3, count: 1, closedAt: 1, root: "0x" },
    signature: "0x",
    receipts: [],
  },
});

describe("provider/core outstanding", () => {
  it("keeps a group until the relay's cumulative covers it", () => {
    const waiting = new Outstanding(noTotals(7), []);
    for (const [number, total] of [
      [1, 10n],
      [2, 20n],
      [3, 30n],
    ] as const)
      waiting.add(groupOf(number, total, 0));
    expect(waiting.acknowledge(25n).groups.map(({ number }) => number)).to.deep.equal([1]);
    expect([waiting.open, waiting.groups.length]).to.deep.equal([35n, 2]);
    expect(waiting.acknowledge(20n).freed).to.equal(0n);
    expect(waiting.acknowledge(60n).groups.map(({ number }) => number)).to.deep.equal([2, 3]);
    expect(waiting.open).to.equal(0n);
  });

  it("never loses a pUSD: signed is acknowledged, lapsed and open at any time", () => {
    const step = fc.oneof(
      fc.record({ add: fc.bigInt(0n, 1_000n) }),
      fc.record({ ack: fc.bigInt(0n, 20_000n) }),
      fc.record({ wait: fc.nat(2 * GROUP_DEADLINE_MS) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const waiting = new Outstanding(noTotals(7), []);
        let [now, exposure] = [0, 0n];
        steps.forEach((one, index) => {
          if ("add" in one) {
            waiting.add(groupOf(index + 1, one.add, now));
            exposure += one.add;
          } else if ("ack" in one) exposure -= waiting.acknowledge(one.ack).freed;
          else {
            now += one.wait;
            exposure -= waiting.lapse(now).freed;
          }
          const { signed, acknowledged, lapsed } = waiting.totals;
          expect(signed, `step ${index}`).to.equal(acknowledged + lapsed + waiting.open);
          expect(exposure, `step ${index}`).to.equal(waiting.open);
        });
      }),
    );
  });
});
