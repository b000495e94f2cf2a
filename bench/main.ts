import { parseArgs } from "node:util";
import { benchCrypto } from "./crypto.ts";
import { benchLedger } from "./ledger.ts";

const BENCHES = { crypto: benchCrypto, ledger: benchLedger } as const;
const NAMES = Object.keys(BENCHES) as (keyof typeof BENCHES)[];

const HELP = `Usage: npm run bench -- [${NAMES.join("|")}] [options]

Measures in this process, on this machine; compare figures of one run only.

  crypto   native signing, recovery and keccak against viem's, in operations per second and as ratios
  ledger   holds and commits per second, each on disk before it counts (group commit)

Options:
  --json   one line of JSON
  --help   this text`;

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { json: { type: "boolean", default: false }, help: { type: "boolean", default: false } },
  });
  if (values.help) return console.log(HELP);
  const wanted = positionals.length === 0 ? NAMES : positionals;
  const unknown = wanted.find((name) => !NAMES.includes(name as never));
  if (unknown !== undefined) throw new RangeError(`There is no bench "${unknown}": ${NAMES.join(", ")}.`);
  const results: Record<string, Readonly<Record<string, number | string>>> = {};
  for (const name of NAMES.filter((one) => wanted.includes(one))) {
    results[name] = await BENCHES[name]();
    if (values.json) continue;
    console.log(name);
    for (const [what, figure] of Object.entries(results[name])) console.log(`  ${what.padEnd(32)} ${figure}`);
  }
  if (values.json) console.log(JSON.stringify(results));
}

main().catch((error: unknown) => {
  console.error(error instanceof RangeError ? error.message : error);
  process.exit(error instanceof RangeError ? 2 : 1);
});
