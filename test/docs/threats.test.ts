import { readdirSync, readFileSync } from "node:fs";
import { expect } from "chai";

const root = new URL("../../", import.meta.url);

/** Names of all Solidity tests. */
function solidityTests(): ReadonlySet<string> {
  const folder = new URL("test/contracts/", root);
  const files = readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((file) =>
    file.endsWith(".t.sol"),
  );
  const names = files.flatMap((file) =>
    [
      ...readFileSync(new URL(file.replaceAll("\\", "/"), folder), "utf8").matchAll(/function (test\w+)/g),
    ].map(([, name]) => name ?? ""),
  );
  return new Set(names);
}

describe("docs/threats.md", () => {
  const text = readFileSync(new URL("docs/threats.md", root), "utf8");
  const rows = text.split("\n").filter((line) => line.startsWith("| ") && !line.startsWith("| attack"));
  const named = (line: string) => [...line.matchAll(/`(test\w*_\w+)`/g)].map(([, name]) => name ?? "");

  it("names a test that exists for every attack", () => {
    const tests = solidityTests();
    expect(rows.length).to.be.greaterThan(50);
    for (const row of rows.filter((line) => !line.startsWith("| ---"))) {
      const names = named(row);
      expect(names, row).to.have.length.greaterThan(0);
      for (const name of names) expect(tests.has(name), name).to.equal(true);
    }
  });
});
