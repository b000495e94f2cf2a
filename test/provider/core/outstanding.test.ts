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

const voucherOf = (cumulative: bigint, signature: `0x${string}` = `0x${cumulative.toString(16)}`) => ({
  cumulative,
  signature,
  receivedAtMs: 0,
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
    expect(waiting.acknowledge(voucherOf(25n), 0n).groups.map(({ number }) => number)).to.deep.equal([1]);
    expect([waiting.open, waiting.groups.length]).to.deep.equal([35n, 2]);
    expect(waiting.acknowledge(voucherOf(20n), 0n).freed).to.equal(0n);
    expect(waiting.acknowledge(voucherOf(60n), 0n).groups.map(({ number }) => number)).to.deep.equal([2, 3]);
    expect(waiting.open).to.equal(0n);
  });

  it("begins at what was paid when its journal was lost, and keeps the newest voucher and key", () => {
    const waiting = new Outstanding(noTotals(7), []);
    waiting.add(groupOf(1, 10n, 0));
    waiting.add(groupOf(2, 20n, 0));
    expect(waiting.acknowledge(voucherOf(1_010n), 1_000n).groups.map(({ number }) => number)).to.deep.equal([
      1,
    ]);
    expect(waiting.acknowledge(voucherOf(1_005n), 1_000n).freed).to.equal(0n);
    expect(waiting.totals.voucher?.cumulative).to.equal(1_010n);
    expect(waiting.acknowledge(voucherOf(1_010n, "0xaa"), 1_000n).freed).to.equal(0n);
    expect(waiting.totals.voucher?.signature).to.equal("0xaa");
    expect([waiting.open, waiting.totals.acknowledged]).to.deep.equal([20n, 10n]);
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
          } else if ("ack" in one) exposure -= waiting.acknowledge(voucherOf(one.ack), 0n).freed;
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
