/**
 * `npm run mutate`: plants one fault after the other in a copy of the contracts and shows that the Solidity tests catch
 * each. A fault that no test catches is a test that is missing.
 */
import { performance } from "node:perf_hooks";
import type { Fault } from "./mutate/fault.ts";
import { FAULTS } from "./mutate/faults.ts";
import { openScratch, type Scratch, type Verdict } from "./mutate/scratch.ts";
import { endWithUsage, readOptions } from "./project/options.ts";

const HELP = `Usage: npm run mutate -- [options]

Plants ${FAULTS.length} one-line faults in a copy of the contracts, one at a time, and runs the Solidity tests over each:
first those that are to catch it, then all others. Exits with 1 when a fault survives.

Options:
  --only <name>   this fault; may be given more than once
  --jobs <n>      copies to work in at the same time, 1 to 8 (default 2)
  --list          names the faults and what they would mean, and runs nothing
  --json          one line of JSON
  --help          this text`;

const MOST_JOBS = 8;

type Result = { readonly fault: Fault; readonly verdict: Verdict; readonly seconds: number };

const say = (text: string): void => void process.stderr.write(`${text}\n`);

async function main(): Promise<number> {
  const { values } = readOptions(HELP, {
    only: { type: "string", multiple: true },
    jobs: { type: "string", default: "2" },
    list: { type: "boolean", default: false },
    json: { type: "boolean", default: false },
  });
  const chosen = choose(values.only);
  const jobs = jobsOf(values.jobs);
  if (!values.list) return report(await judgeAll(chosen, jobs), values.json);
  if (values.json) console.log(JSON.stringify({ faults: chosen }));
  else for (const { name, file, means } of chosen) console.log(`${name} (${file}): ${means}`);
  return 0;
}

function choose(names: readonly string[] | undefined): readonly Fault[] {
  if (!names) return FAULTS;
  return names.map((name) => {
    const found = FAULTS.find((fault) => fault.name === name);
    if (!found) endWithUsage(`There is no fault "${name}"; --list names them.`);
    return found;
  });
}

function jobsOf(text: string): number {
  const jobs = Number(text);
  if (!Number.isInteger(jobs) || jobs < 1 || jobs > MOST_JOBS)
    endWithUsage(`--jobs is a number from 1 to ${MOST_JOBS}, not "${text}".`);
  return jobs;
}

async function judgeAll(faults: readonly Fault[], jobs: number): Promise<readonly Result[]> {
  const stop = new AbortController();
  process.once("SIGINT", () => stop.abort());
  const workers = Math.min(jobs, faults.length);
  say(`Compiling and testing ${workers} ${workers === 1 ? "copy" : "copies"} without a fault.`);
  const opened = await Promise.allSettled(Array.from({ length: workers }, () => openScratch(stop.signal)));
  const scratches = opened.flatMap((one) => (one.status === "fulfilled" ? [one.value] : []));
  try {
    for (const one of opened) if (one.status === "rejected") throw one.reason;
    const results: Result[] = [];
    const waiting = [...faults];
    const started = performance.now();
    const work = async (scratch: Scratch): Promise<void> => {
      for (let fault = waiting.shift(); fault; fault = waiting.shift()) {
        const result = await judgeOne(scratch, fault);
        results.push(result);
        const left = ((performance.now() - started) / results.length) * (faults.length - results.length);
        say(`${results.length} of ${faults.length}: ${textOf(result)}; about ${minutes(left)} left`);
      }
    };
    await Promise.all(scratches.map(work));
    return faults.flatMap((fault) => results.filter((result) => result.fault === fault));
  } finally {
    await Promise.all(scratches.map((scratch) => scratch.close()));
  }
}

async function judgeOne(scratch: Scratch, fault: Fault): Promise<Result> {
  const started = performance.now();
  const verdict = await scratch.judge(fault);
  return { fault, verdict, seconds: Math.round((performance.now() - started) / 1_000) };
}

const minutes = (milliseconds: number): string => `${Math.ceil(milliseconds / 60_000)} min`;

function textOf({ fault, verdict, seconds }: Result): string {
  const { name } = fault;
  if (verdict.kind === "caught") return `${name} caught by ${verdict.by[0]} (${seconds} s)`;
  return verdict.kind === "survived"
    ? `${name} SURVIVED: ${fault.means}`
    : `${name} IS NO FAULT: ${verdict.output}`;
}

function report(results: readonly Result[], asJson: boolean): number {
  const caught = results.filter(({ verdict }) => verdict.kind === "caught").length;
  if (asJson) {
    const list = results.map(({ fault, verdict, seconds }) => ({ ...fault, verdict, seconds }));
    console.log(JSON.stringify({ faults: results.length, caught, results: list }));
  } else {
    for (const result of results) console.log(textOf(result));
    console.log(`${caught} of ${results.length} faults caught.`);
  }
  return caught === results.length ? 0 : 1;
}

main().then(
  (code) => process.exit(code),
  (error: unknown) => {
    console.error(error);
    process.exit(1);
  },
);
