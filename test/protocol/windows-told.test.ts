import { readFileSync } from "node:fs";
import { PROFILES, type Windows } from "@aimo/protocol/windows";
import { expect } from "chai";

const read = (path: string) => readFileSync(new URL(`../../${path}`, import.meta.url), "utf8");
const SECONDS: Readonly<Record<string, number>> = {
  ...{ s: 1, h: 3_600, d: 86_400 },
  ...{ hours: 3_600, days: 86_400 },
};
const secondsOf = (count = "", unit = "") => Number(count) * (SECONDS[unit] ?? Number.NaN);

/** The profiles are in one typed file; whoever repeats them must not be left behind. */
describe("windows", () => {
  it("are told by docs/protocol.md as they are", () => {
    const [, table = ""] = read("docs/protocol.md").split("## 11. Windows");
    const rows = [...table.matchAll(/^\| (?:\w+ )?(\w+) \| (\d+) (\w) \| (\d+) (\w) \|/gm)];
    const names: Readonly<Record<string, keyof Windows>> = { E: "epoch", T_RESP: "response", T_POST: "post" };
    const told = { main: {} as Record<string, number>, local: {} as Record<string, number> };
    for (const [, name = "", main, mainUnit, local, localUnit] of rows) {
      told.main[names[name] ?? name] = secondsOf(main, mainUnit);
      told.local[names[name] ?? name] = secondsOf(local, localUnit);
    }
    expect(told).to.deep.equal(PROFILES);
  });

  it("are those that the Solidity tests deploy with", () => {
    const source = read("test/contracts/Deployment.t.sol");
    const [, main = ""] = source.split("function mainWindows()");
    const fields = [...main.matchAll(/(\w+): (\d+) (hours|days)/g)];
    const used = fields.map(([, name = "", count, unit]) => [name, secondsOf(count, unit)]);
    expect(Object.fromEntries(used)).to.deep.equal(PROFILES.main);
  });
});
