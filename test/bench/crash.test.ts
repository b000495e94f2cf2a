import { expect } from "chai";
import { benchCrash } from "../../bench/crash.ts";

const POINTS = 4;

describe("a relay that is killed under load", function () {
  this.timeout(300_000);

  for (const workers of [1, 2])
    it(`loses no money and bills nothing twice: ${workers} serving`, async () => {
      const report = await benchCrash(() => {}, { points: POINTS, workers });
      expect(report).to.include({ kills: POINTS, passed: true });
      expect(report["billed"]).to.be.above(0);
    });
});
