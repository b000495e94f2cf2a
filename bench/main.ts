import { performance } from "node:perf_hooks";
import { endWithUsage, readOptions } from "../scripts/project/options.ts";
import { benchCrash, CRASH_BENCH, type CrashOptions } from "./crash.ts";
import { benchCrypto } from "./crypto.ts";
import { benchFaults } from "./faults.ts";
import { benchGas, measureSnapshot, writeSnapshot } from "./gas.ts";
import { benchLedger } from "./ledger.ts";
import { benchRelay, RELAY_BENCH, type RelayBenchOptions } from "./relay.ts";
import { benchSoak, SOAK_BENCH, type SoakOptions } from "./soak.ts";
import { benchVouchers } from "./vouchers.ts";

const NAMES = ["crypto", "vouchers", "ledger", "gas", "relay", "faults", "crash", "soak"] as const;
type Name = (typeof NAMES)[number];
/** The others take minutes, and both cores of a small machine: only when they are asked for by name. */
const BY_DEFAULT: readonly Name[] = ["crypto", "ledger", "gas"];
/** Lines of progress come at most this often. */
const PROGRESS_MS = 2_000;

const HELP = `Usage: npm run bench -- [${NAMES.join("|")}] [options]

Measures in this process, on this machine; compare figures of one run only. Gas is the same on every machine.

  crypto   native signing, recovery and keccak against viem's, in operations per second and as ratios
  vouchers processor time for checking the voucher of a request on a SIGNED channel: in its own turn, and by a worker thread
  ledger   holds and commits per second, each on disk before it counts (group commit)
  gas      gas of whole transactions from their receipts: what a row of a full batch adds, what a request costs when
           10,000 users with a million requests and 200 providers are settled, and what each other transaction costs
  relay    what our whole relay (key, hold, route, session, receipt, journal, on a real chain) costs against bare proxies
           on node:http and Fastify with undici and against Portkey's gateway from npm: each on one core, alternating
           rounds, whole answers and streams. Only when named; it takes some eighteen minutes and two cores that do nothing else
  faults   sixteen ways in which providers fail (resets, stalls, cut streams, 429s, …) against a real relay on a real
           chain, each with the bill held to the pUSD. Only when named; it takes some four minutes
  crash    kills the relay (kill -9) at random points under load and starts it again; then every bill is held to the
           chain, to the provider's vouchers and to what clients were told. Only when named; some four seconds a point
  soak     minutes of mixed load with clients that leave, slow readers and providers that stop and start: slope of the
           relay's memory, holds that are left, and all bills against what the inference server wrote and the clients
           have; \`passed\` also means that memory does not grow, which only 15 minutes can tell. Only when named

Options:
  --json     one line of JSON; of one bench its figures alone
  --update   gas: instead writes bench/gas-snapshot.json anew, which the tests compare a small run with
  --rounds   relay: how many (${RELAY_BENCH.rounds}); figures are means with the half width of their 95 % confidence interval
  --seconds  relay: length of one measurement (${RELAY_BENCH.seconds})
  --no-portkey
             relay: without Portkey's gateway, which is installed into bench/.portkey the first time
  --points   crash: how often the relay is killed (${CRASH_BENCH.points})
  --workers  crash: processes that serve beside the one that is killed (${CRASH_BENCH.workers}: none)
  --minutes  soak: how long (${SOAK_BENCH.minutes})
  --help     this text`;

type Figures = Readonly<Record<string, unknown>>;

async function main(): Promise<void> {
  const known = {
    json: { type: "boolean", default: false },
    update: { type: "boolean", default: false },
    rounds: { type: "string", default: String(RELAY_BENCH.rounds) },
    seconds: { type: "string", default: String(RELAY_BENCH.seconds) },
    "no-portkey": { type: "boolean", default: false },
    points: { type: "string", default: String(CRASH_BENCH.points) },
    workers: { type: "string", default: String(CRASH_BENCH.workers) },
    minutes: { type: "string", default: String(SOAK_BENCH.minutes) },
  } as const;
  const { values, positionals } = readOptions(HELP, known, { allowPositionals: true });
  const wanted = positionals.length === 0 ? BY_DEFAULT : positionals;
  const unknown = wanted.find((name) => !NAMES.includes(name as never));
  if (unknown !== undefined) endWithUsage(`There is no bench "${unknown}": ${NAMES.join(", ")}.`);
  const progress = createProgress();
  if (values.update) {
    if (wanted.join() !== "gas") endWithUsage("--update is for gas alone.");
    return writeSnapshot(await measureSnapshot(progress));
  }
  const options = {
    ...{ rounds: positive("rounds", values.rounds), seconds: positive("seconds", values.seconds) },
    ...{
      warmUpSeconds: RELAY_BENCH.warmUpSeconds,
      portkey: !values["no-portkey"],
      pin: true,
      points: positive("points", values.points),
      workers: positive("workers", values.workers),
    },
    minutes: positive("minutes", values.minutes),
  };
  const results: Record<string, Figures> = {};
  for (const name of NAMES.filter((one) => wanted.includes(one))) {
    results[name] = await run(name, progress, options);
    if (values.json) continue;
    console.log(name);
    print(results[name]);
  }
  const [only] = wanted;
  if (values.json) console.log(JSON.stringify(only && wanted.length === 1 ? results[only] : results));
}

function run(
  name: Name,
  progress: (text: string) => void,
  options: RelayBenchOptions & CrashOptions & SoakOptions,
): Promise<Figures> {
  if (name === "relay") return benchRelay(progress, options);
  if (name === "crash") return benchCrash(progress, options);
  if (name === "soak") return benchSoak(progress, options);
  const benches = {
    ...{ crypto: benchCrypto, vouchers: benchVouchers, ledger: benchLedger, gas: benchGas },
    faults: benchFaults,
  };
  return benches[name](progress);
}

function positive(option: string, text: string): number {
  const value = Number(text);
  if (!(value > 0)) endWithUsage(`--${option} must be a positive number.`);
  return value;
}

/** Figures under their names; what belongs together is indented. */
function print(figures: Figures, indent = "  "): void {
  for (const [what, figure] of Object.entries(figures)) {
    const { mean, plusMinus } = Object(figure);
    if (mean !== undefined) console.log(`${indent}${what.padEnd(32)} ${mean} +- ${plusMinus}`);
    else if (typeof figure !== "object" || figure === null)
      console.log(`${indent}${what.padEnd(32)} ${figure}`);
    else {
      console.log(`${indent}${what}`);
      print(figure as Figures, `${indent}  `);
    }
  }
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
