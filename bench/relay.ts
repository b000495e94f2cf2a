import { cpus } from "node:os";
import { canPin, pinSelf } from "./relay/child.ts";
import { type Figures, MODES, type Target } from "./relay/modes.ts";
import { type Estimate, estimate } from "./relay/statistics.ts";
import { CORES, startTargets } from "./relay/targets.ts";

export type RelayBenchOptions = {
  /** Each round measures every target in every mode. */
  readonly rounds: number;
  /** Length of one measurement. */
  readonly seconds: number;
  /** Requests at full speed before the first round: engines compile late, and ours has the most to compile. */
  readonly warmUpSeconds: number;
  readonly portkey: boolean;
  /** Whether this process keeps to one core, for good. Tests are better off without. */
  readonly pin: boolean;
};

/** Enough for a confidence interval, in less than twenty minutes. */
export const RELAY_BENCH: RelayBenchOptions = {
  ...{ rounds: 5, seconds: 3, warmUpSeconds: 20, portkey: true, pin: true },
};
/** The mode that warms a target up. */
const WARM_UP = "json32";
/** Every mode is tried for so long before the first round, or for the length of a measurement if that is less. */
const TRY_SECONDS = 1;

/** Per target and mode: figures of each round, or why there are none. */
type Rounds = Map<string, Map<string, Figures[] | string>>;

/** What stands between a client and a model costs, ours and others', in alternating rounds on one core each. */
export async function benchRelay(
  progress: (text: string) => void,
  options: RelayBenchOptions = RELAY_BENCH,
): Promise<Readonly<Record<string, unknown>>> {
  if (options.pin) pinSelf(CORES.rest);
  const { targets, missing, close } = await startTargets({ portkey: options.portkey, progress });
  try {
    const rounds: Rounds = new Map(targets.map(({ name }) => [name, new Map()]));
    for (const target of targets) {
      progress(`warming up ${target.name}`);
      await warmUp(target, rounds, options);
    }
    for (let round = 0; round < options.rounds; round++) {
      progress(`round ${round + 1} of ${options.rounds}`);
      // another one begins each time, so that nobody always comes after the same neighbour
      for (const mode of Object.keys(MODES))
        for (let i = 0; i < targets.length; i++) {
          const target = targets[(i + round) % targets.length];
          if (target) await measure(target, mode, { rounds, seconds: options.seconds });
        }
    }
    return report(rounds, missing, options);
  } finally {
    await close();
  }
}

async function warmUp(target: Target, rounds: Rounds, options: RelayBenchOptions): Promise<void> {
  const { seconds, warmUpSeconds } = options;
  const own = rounds.get(target.name);
  // One that fails says so below.
  await MODES[WARM_UP]?.(target, warmUpSeconds).catch(() => {});
  for (const [mode, run] of Object.entries(MODES))
    try {
      await run(target, Math.min(seconds, TRY_SECONDS));
      own?.set(mode, []);
    } catch (error) {
      own?.set(mode, String(error));
    }
}

type Measurement = { readonly rounds: Rounds; readonly seconds: number };

/** A mode that failed once is left out: its figures would not be of equal rounds. */
async function measure(target: Target, mode: string, { rounds, seconds }: Measurement): Promise<void> {
  const own = rounds.get(target.name);
  const before = own?.get(mode);
  if (!own || !Array.isArray(before)) return;
  try {
    const figures = await MODES[mode]?.(target, seconds);
    if (figures) before.push(figures);
  } catch (error) {
    own.set(mode, String(error));
  }
}

function report(rounds: Rounds, missing: Readonly<Record<string, string>>, options: RelayBenchOptions) {
  const targets: Record<string, unknown> = {};
  for (const [name, modes] of rounds)
    targets[name] = Object.fromEntries([...modes].map(([mode, all]) => [mode, summary(all)]));
  for (const [name, error] of Object.entries(missing)) targets[name] = { figures: "n/a", error };
  const json32 = compare(rounds, { ...REQUESTS, ours: "aimo", theirs: "fastifyUndici" }, ratio);
  const requestsAgainst = (theirs: string) => compare(rounds, { ...REQUESTS, ours: "aimo", theirs }, ratio);
  return {
    ratioToBareProxy: json32?.mean ?? "n/a",
    ratioToBareProxyPlusMinus: json32?.plusMinus ?? "n/a",
    ratioToNodeProxy: requestsAgainst("nodeUndici") ?? "n/a",
    ratioToPortkey: requestsAgainst("portkey") ?? "n/a",
    ...againstBare(rounds, "aimo"),
    signed: {
      ratioToBareProxy:
        compare(rounds, { ...REQUESTS, ours: "aimoSigned", theirs: "fastifyUndici" }, ratio) ?? "n/a",
      ratioToMetered: compare(rounds, { ...REQUESTS, ours: "aimoSigned", theirs: "aimo" }, ratio) ?? "n/a",
      ...againstBare(rounds, "aimoSigned"),
    },
    /** The load and the mock on one core, nothing between them: nobody can be measured to be faster. Requests/s. */
    harnessCeiling: estimateOf(rounds.get("direct")?.get("json32"), "requestsPerSecond"),
    targets,
    conditions: {
      ...{ rounds: options.rounds, secondsEach: options.seconds, warmUpSeconds: options.warmUpSeconds },
      ...{ node: process.version, cores: cpus().length, pinned: String(canPin()) },
    },
  };
}

const REQUESTS = { mode: "json32", figure: "requestsPerSecond" } as const;

/** What else one of our modes costs against Fastify with undici. */
function againstBare(rounds: Rounds, ours: string): Readonly<Record<string, unknown>> {
  const paired = (mode: string, figure: string, how: Compare) =>
    compare(rounds, { mode, figure, ours, theirs: "fastifyUndici" }, how) ?? "n/a";
  return {
    cpuRatioToBareProxy: paired("json32", "cpuMicrosPerRequest", ratio),
    latencyRatioAtOne: paired("jsonOne", "p50Ms", ratio),
    addedFirstTokenP99Ms: paired("streamTimed", "firstTokenP99Ms", difference),
    addedChunkP99Ms: paired("streamTimed", "chunkP99Ms", difference),
    streams256FramesRatio: paired("streams256", "framesPerSecond", ratio),
    streams256CpuRatio: paired("streams256", "cpuShare", ratio),
    streams500FramesRatio: paired("streams500", "framesPerSecond", ratio),
    streams500CpuRatio: paired("streams500", "cpuShare", ratio),
  };
}

type Compare = (ours: number, theirs: number) => number;
const ratio: Compare = (ours, theirs) => ours / theirs;
const difference: Compare = (ours, theirs) => ours - theirs;

type Pair = {
  readonly mode: string;
  readonly figure: string;
  readonly ours: string;
  readonly theirs: string;
};

/** Round by round: what disturbed a round disturbed both. */
function compare(rounds: Rounds, { mode, figure, ours, theirs }: Pair, how: Compare): Estimate | undefined {
  const [a, b] = [ours, theirs].map((name) => rounds.get(name)?.get(mode));
  if (!Array.isArray(a) || !Array.isArray(b) || a.length === 0) return undefined;
  return estimate(
    a.map((figures, round) => how(figures[figure] ?? Number.NaN, b[round]?.[figure] ?? Number.NaN)),
  );
}

function estimateOf(all: readonly Figures[] | string | undefined, figure: string): Estimate | "n/a" {
  if (!Array.isArray(all) || all.length === 0) return "n/a";
  return estimate(all.map((one) => one[figure] ?? Number.NaN));
}

function summary(all: readonly Figures[] | string): unknown {
  if (typeof all === "string") return { figures: "n/a", error: all };
  const [first = {}] = all;
  return Object.fromEntries(
    Object.keys(first).map((figure) => [figure, estimate(all.map((one) => one[figure] ?? Number.NaN))]),
  );
}
