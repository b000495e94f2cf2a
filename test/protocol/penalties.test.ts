import { demandBond, penaltyOf, splitPenalty } from "@aimo/protocol/penalties";
import { MAX_U96, PUSD_PER_USD } from "@aimo/protocol/units";
import { expect } from "chai";
import fc from "fast-check";
import { readVectors } from "./cases.ts";

const USD = PUSD_PER_USD;
const amount = fc.oneof(
  fc.bigInt({ min: 0n, max: MAX_U96 }),
  fc.bigInt({ min: 0n, max: 10_000n * USD }),
  fc.bigInt({ min: 0n, max: 300n }),
);

describe("protocol/penalties", () => {
  for (const v of readVectors("penalties"))
    it(`splits "${v.name}" as the vectors do`, () => {
      const taken = penaltyOf(v.big("loss"), v.big("bond"));
      expect(taken).to.equal(v.big("taken"));
      expect(splitPenalty(taken, v.big("victimLoss"))).to.deep.equal({
        toVictim: v.big("toVictim"),
        toChallenger: v.big("toChallenger"),
        toNobody: v.big("toNobody"),
      });
    });

  it("takes and gives the same, never more than there is, and pays the victim first", () => {
    fc.assert(
      fc.property(amount, amount, (loss, bond) => {
        const taken = penaltyOf(loss, bond);
        const { toVictim, toChallenger, toNobody } = splitPenalty(taken, loss);
        expect(toVictim + toChallenger + toNobody).to.equal(taken);
        expect(taken <= bond).to.equal(true);
        expect(toVictim).to.equal(loss < bond ? loss : bond);
        expect(toChallenger >= 0n && toNobody >= 0n).to.equal(true);
        expect(5n * toChallenger <= taken - toVictim).to.equal(true);
        expect(toChallenger <= 1_000n * USD).to.equal(true);
      }),
    );
  });

  it("never pays an offender who proves its own fraud: victim and challenger together lose by it", () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 1n, max: MAX_U96 / 11n }), (loss) => {
        const bond = 11n * loss;
        const { toVictim, toChallenger } = splitPenalty(penaltyOf(loss, bond), loss);
        // even as its own victim and challenger it gets back less than a third of what it pays
        expect(11n * (toVictim + toChallenger) <= 3n * bond).to.equal(true);
      }),
    );
  });

  it("costs at least one hundredth of the bond", () => {
    fc.assert(
      fc.property(amount, amount, (loss, bond) => {
        expect(penaltyOf(loss, bond) >= bond / 100n).to.equal(true);
      }),
    );
  });

  it("locks a twentieth for a demand, and two dollars at least", () => {
    expect([0n, 40n * USD, 40n * USD + 20n, 100n * USD].map(demandBond)).to.deep.equal([
      2n * USD,
      2n * USD,
      2n * USD + 1n,
      5n * USD,
    ]);
  });
});
