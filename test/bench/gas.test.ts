import { expect } from "chai";
import { measureSnapshot, readSnapshot } from "../../bench/gas.ts";

describe("gas of transactions", function () {
  this.timeout(120_000);

  it("is what bench/gas-snapshot.json says; after a change that is meant: npm run bench -- gas --update", async () => {
    expect(await measureSnapshot(() => {})).to.deep.equal(readSnapshot());
  });
});
