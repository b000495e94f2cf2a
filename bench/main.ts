import { performance } from "node:perf_hooks";
import { endWithUsage, readOptions } from "../scripts/project/options.ts";
import { benchCrypto } from "./crypto.ts";
import { benchGas, measureSnapshot, writeSnapshot } from "./gas.ts";
import { benchLedger } from "./ledger.ts";

const BENCHES = { crypto: benchCrypto, ledger: benchLedger, gas: benchGas } as const;
const NAMES = Object.keys(BENCHES) as (keyof typeof BENCHES)[];
/** Lines of progress come at most this often. */
const PROGRESS_MS = 2_000;

const HELP = `Usage: npm run bench -- [${NAMES.join("|")}] [options]

Measures in this process, on this machine; compare figures of one run only. Gas is the same on every machine.

  crypto   native signing, recovery and keccak against viem's, in operations per second and as ratios
  ledger   holds and commits per second, each on disk before it counts (group commit)
  gas      gas of whole transactions from their receipts: what a row of a full batch adds, what a request costs when
           10,000 users with a million requests and 200 providers are settled, and what each other transaction costs

Options:
  --json     one line of JSON; of one bench its figures alone
  --update   gas: instead writes bench/gas-snapshot.json anew, which the tests compare a small run with
  --help     this text`;

type Figures = Readonly<Record<string, number | string>>;

async function main(): Promise<void> {
  const options = {
    json: { type: "boolean", default: false },
    update: { type: "boolean", default: false },
  } as const;
  const { values, positionals } = readOptions(HELP, options, { allowPositionals: true });
  const wanted = positionals.length === 0 ? NAMES : positionals;
  const unknown = wanted.find((name) => !NAMES.includes(name as never));
  if (unknown !== undefined) endWithUsage(`There is no bench "${unknown}": ${NAMES.join(", ")}.`);
  const progress = createProgress();
  if (values.update) {
    if (wanted.join() !== "gas") endWithUsage("--update is for gas alone.");
    return writeSnapshot(await measureSnapshot(progress));
  }
  const results: Record<string, Figures> = {};
  for (const name of NAMES.filter((one) => wanted.includes(one))) {
    results[name] = await BENCHES[name](progress);
    if (values.json) continue;
    console.log(name);
    for (const [what, figure] of Object.entries(results[name])) console.log(`  ${what.padEnd(32)} ${figure}`);
  }
  const [only] = wanted;
  if (values.json) console.log(JSON.stringify(only && wanted.length === 1 ? results[only] : results));
}

function createProgress(): (text: string) => void {
  let last = Number.NEGATIVE_INFINITY;
  return (text) => {
    if (performance.now() - last < PROGRESS_MS) return;
    last = performance.now();
    process.stderr.write(`${text}\n`);
  };
}

main().catch((error: unknown) => {
  console.error(error);
  process.exit(1);
});
