import { raiseFees } from "@aimo/node/fees";
import { expect } from "chai";
import fc from "fast-check";

describe("node/fees", () => {
  const fee = fc.bigInt({ min: 0n, max: 10n ** 13n });
  const fees = fc
    .tuple(fee, fee)
    .map(([a, b]) => ({ maxFeePerGas: a > b ? a : b, maxPriorityFeePerGas: a > b ? b : a }));

  it("raises both fees by at least 12.5 %, never above the limit, or not at all", () => {
    fc.assert(
      fc.property(fees, fees, fee, (last, market, limit) => {
        const next = raiseFees(last, market, limit);
        if (!next) {
          expect(limit * 8n < last.maxFeePerGas * 9n + 8n || limit === 0n).to.equal(true);
          return;
        }
        expect(next.maxFeePerGas <= limit).to.equal(true);
        expect(next.maxPriorityFeePerGas <= next.maxFeePerGas).to.equal(true);
        expect(next.maxFeePerGas * 8n >= last.maxFeePerGas * 9n).to.equal(true);
        expect(next.maxPriorityFeePerGas * 8n >= last.maxPriorityFeePerGas * 9n).to.equal(true);
      }),
    );
  });
});
