/**
 * `npm run check`: everything that can be said about the code without running it. Each step is printed with its
 * time, and what it had to say if it failed. `--json` prints one object instead; the exit code is 1 if any failed.
 */
import { spawn } from "node:child_process";
import { performance } from "node:perf_hooks";
import { readOptions } from "./project/options.ts";

const HELP = `Usage: npm run check -- [options]

Says everything that can be said about the code without running it: format, lint, types, unused code, generated files.

Options:
  --json   print one object instead, with the output of each step
  --help   this text`;

type Step = { readonly name: string; readonly command: readonly string[] };
type Result = {
  readonly name: string;
  readonly ok: boolean;
  readonly seconds: number;
  readonly output: string;
};

const STEPS: readonly Step[] = [
  { name: "format and lint", command: ["biome", "check", "--error-on-warnings", "."] },
  { name: "types", command: ["tsc", "-p", "."] },
  { name: "unused code", command: ["knip", "--no-progress", "--no-config-hints"] },
  {
    name: "solidity lint",
    command: ["solhint", "--noPoster", "--max-warnings=0", "contracts/**/*.sol", "test/contracts/**/*.sol"],
  },
  { name: "contract ABI is fresh", command: ["scripts/abi.ts", "--check"] },
  { name: "actions are fresh", command: ["scripts/actions.ts", "--check"] },
  { name: "generated docs are fresh", command: ["scripts/docs.ts", "--check"] },
  { name: "golden vectors are fresh", command: ["scripts/vectors.ts", "--check"] },
];

async function run({ name, command }: Step): Promise<Result> {
  const started = performance.now();
  const args = ["scripts/bootstrap.mjs", ...command];
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text: string) => {
      output += text;
    });
  }
  const ok = await new Promise<boolean>((done) => {
    child.on("error", () => done(false));
    child.on("close", (code) => done(code === 0));
  });
  const seconds = Math.round((performance.now() - started) / 100) / 10;
  return { name, ok, seconds, output: output.trim() };
}

const { values } = readOptions(HELP, { json: { type: "boolean", default: false } });
const results: Result[] = [];
for (const step of STEPS) {
  const result = await run(step);
  results.push(result);
  if (values.json) continue;
  console.log(`${result.ok ? "ok  " : "FAIL"} ${result.name.padEnd(26)} ${result.seconds.toFixed(1)} s`);
  if (!result.ok) console.log(`\n${result.output}\n`);
}

const failed = results.filter(({ ok }) => !ok).map(({ name }) => name);
if (values.json) console.log(JSON.stringify({ ok: failed.length === 0, steps: results }));
else if (failed.length > 0) console.log(`Failed: ${failed.join(", ")}.`);
if (failed.length > 0) process.exitCode = 1;
