import { execFile } from "node:child_process";
import { globSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect } from "chai";

const root = fileURLToPath(new URL("../../", import.meta.url));

type Outcome = { readonly code: number; readonly out: string; readonly error: string };

function run(script: string, ...args: string[]): Promise<Outcome> {
  return new Promise((done) => {
    const child = execFile(process.execPath, [script, ...args], { cwd: root }, (_failure, out, error) =>
      done({ code: child.exitCode ?? -1, out, error }),
    );
  });
}

describe("options of the scripts", function () {
  // Each is a process of its own.
  this.timeout(120_000);

  const SCRIPTS = [
    ...["start", "demo", "check", "build", "deploy-main", "docs", "mutate", "coverage"],
    ...["abi", "actions", "vectors"],
  ].map((name) => `scripts/${name}.ts`);

  for (const script of [...SCRIPTS, "bench/main.ts"])
    it(`${script} explains itself, and names an option that it does not know`, async () => {
      const [help, unknown] = await Promise.all([run(script, "--help"), run(script, "--bogus")]);
      expect([help.code, help.error]).to.deep.equal([0, ""]);
      expect(help.out)
        .to.match(/^Usage: /)
        .and.to.contain("--help");
      expect(unknown.code).to.be.oneOf([1, 2]);
      expect([unknown.out, unknown.error.trim().split("\n").length]).to.deep.equal(["", 1]);
      expect(unknown.error).to.contain("--bogus");
    });

  it("are read in one place, so that no script is forgotten", () => {
    const readers = globSync("{scripts,bench}/**/*.ts", { cwd: root }).filter((path) =>
      /\bparseArgs\b/.test(readFileSync(`${root}${path}`, "utf8")),
    );
    expect(readers.sort()).to.deep.equal(["scripts/deploy/options.ts", "scripts/project/options.ts"]);
  });

  it("of mutate are judged before anything is listed, and the list is JSON when that is asked for", async () => {
    const { faults } = JSON.parse((await run("scripts/mutate.ts", "--list", "--json")).out) as {
      readonly faults: readonly { readonly name: string }[];
    };
    expect(faults.length).to.be.greaterThan(10);
    const one = await run("scripts/mutate.ts", "--list", "--json", "--only", faults[0]?.name ?? "");
    expect(JSON.parse(one.out)).to.deep.equal({ faults: [faults[0]] });
    for (const [args, message] of [
      [["--jobs", "99", "--list"], "from 1 to 8"],
      [["--only"], "--only"],
      [["--only", "nope", "--list"], 'no fault "nope"'],
    ] as const) {
      const { code, out, error } = await run("scripts/mutate.ts", ...args);
      expect([code, out]).to.deep.equal([2, ""]);
      expect(error).to.contain(message).and.not.to.contain("    at ");
    }
  });
});
