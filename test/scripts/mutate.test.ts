import { readFileSync } from "node:fs";
import { expect } from "chai";
import { type Fault, plant } from "../../scripts/mutate/fault.ts";
import { FAULTS } from "../../scripts/mutate/faults.ts";

const read = (path: string) => readFileSync(new URL(`../../${path}`, import.meta.url), "utf8");

describe("planted faults", () => {
  const fault: Fault = {
    name: "an-example",
    file: "Some.sol",
    line: "require(paid, NotPaid());",
    replacement: "",
    means: "Nobody pays.",
    tests: [],
  };

  it("replace one whole line and keep its indentation", () => {
    const text = "a\n    require(paid, NotPaid());\nb";
    expect(plant(text, { ...fault, replacement: "pay();" })).to.equal("a\n    pay();\nb");
    expect(plant(text, fault)).to.equal("a\n\nb");
  });

  it("are refused where the line is missing or stands twice", () => {
    expect(() => plant("require(paid, NotPaid()); // so", fault)).to.throw(RangeError, "0 times");
    expect(() => plant(`${fault.line}\n  ${fault.line}`, fault)).to.throw(RangeError, "2 times");
  });

  it("fit the contracts as they are, have names of their own, and name tests that exist", () => {
    for (const one of FAULTS) {
      expect(plant(read(`contracts/${one.file}`), one), one.name).not.to.equal(read(`contracts/${one.file}`));
      for (const test of one.tests)
        expect(read(`test/contracts/${test}.t.sol`), one.name).to.include("contract");
    }
    expect(new Set(FAULTS.map(({ name }) => name)).size).to.equal(FAULTS.length);
  });
});
