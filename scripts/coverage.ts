/**
 * `npm run coverage`: which lines and branches of the contracts the Solidity tests reach. Works in a copy, in which each
 * condition is counted; see scripts/coverage/branches.ts.
 */
import { EXCEPTIONS, type Exception } from "./coverage/exceptions.ts";
import { type FileCoverage, type Gap, measure } from "./coverage/measure.ts";
import { readOptions } from "./project/options.ts";

const HELP = `Usage: npm run coverage -- [options]

Runs the Solidity tests over a copy of the contracts in which every line and every outcome of every condition is counted,
operands of && and || on their own. Exits with 1 when something is not reached and not listed with a reason in
scripts/coverage/exceptions.ts, or is listed and reached. Takes some minutes.

Options:
  --json   one line of JSON
  --help   this text`;

type Report = {
  readonly files: readonly FileCoverage[];
  readonly missing: readonly Gap[];
  readonly excepted: readonly (Gap & { readonly reason: string })[];
  /** Exceptions for what is reached, or is not there. */
  readonly stale: readonly Exception[];
};

const say = (text: string): void => void process.stderr.write(`${text}\n`);

async function main(): Promise<number> {
  const { values } = readOptions(HELP, { json: { type: "boolean", default: false } });
  const stop = new AbortController();
  process.once("SIGINT", () => stop.abort());
  say("Compiling contracts that count, and running all Solidity tests over them.");
  const report = judge(await measure(stop.signal));
  if (values.json) console.log(JSON.stringify(report));
  else print(report);
  return report.missing.length + report.stale.length === 0 ? 0 : 1;
}

function judge(files: readonly FileCoverage[]): Report {
  const gaps = files.flatMap((file) => file.gaps);
  const isFor = (exception: Exception, gap: Gap) =>
    gap.file === `contracts/${exception.file}` &&
    gap.code === exception.code &&
    gap.outcome === exception.outcome;
  return {
    files,
    missing: gaps.filter((gap) => !EXCEPTIONS.some((one) => isFor(one, gap))),
    excepted: gaps.flatMap((gap) => {
      const found = EXCEPTIONS.find((one) => isFor(one, gap));
      return found ? [{ ...gap, reason: found.reason }] : [];
    }),
    stale: EXCEPTIONS.filter((one) => !gaps.some((gap) => isFor(one, gap))),
  };
}

function print({ files, missing, excepted, stale }: Report): void {
  const width = Math.max(...files.map(({ file }) => file.length));
  const sum = (key: "lines" | "linesHit" | "branches" | "branchesHit") =>
    files.reduce((total, file) => total + file[key], 0);
  const row = (name: string, [lines, linesHit, branches, branchesHit]: readonly number[]) =>
    console.log(`${name.padEnd(width)}  ${part(linesHit, lines)}  ${part(branchesHit, branches)}`);
  console.log(`${"".padEnd(width)}  ${"lines".padStart(18)}  ${"branches".padStart(18)}`);
  for (const file of files) row(file.file, [file.lines, file.linesHit, file.branches, file.branchesHit]);
  row("all", [sum("lines"), sum("linesHit"), sum("branches"), sum("branchesHit")]);
  for (const gap of excepted) console.log(`excepted: ${textOf(gap)}\n          ${gap.reason}`);
  for (const gap of missing) console.log(`NOT REACHED: ${textOf(gap)}`);
  for (const one of stale)
    console.log(
      `REACHED OR GONE, but an exception: contracts/${one.file}: ${one.code} (${one.outcome ?? "line"})`,
    );
}

function part(hit = 0, all = 0): string {
  const percent = all === 0 ? "-" : `${((100 * hit) / all).toFixed(2)} %`;
  return `${hit}/${all}`.padStart(9) + percent.padStart(9);
}

function textOf({ file, line, code, outcome }: Gap): string {
  return `${file}:${line} ${outcome ? `never ${outcome}: ` : ""}${code}`;
}

main().then(
  (code) => process.exit(code),
  (error: unknown) => {
    console.error(error instanceof Error ? error.message : error);
    process.exit(1);
  },
);
