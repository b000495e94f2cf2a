import { readFileSync, writeFileSync } from "node:fs";
import { type Figures, measureBatches, type Size } from "./gas/batches.ts";
import { measureMoves } from "./gas/moves.ts";
import { measureProofs } from "./gas/proofs.ts";
import { openWorld } from "./gas/world.ts";

/** A relay's busy day: one settlement of 10,000 users who made a million requests with 200 providers. */
const FULL: Size = {
  ...{ users: 10_000, providers: 200, metered: 2_500, signed: 1_100 },
  ...{ requests: 1_000_000, isRingUsed: true },
};
/** The same in seconds, for the snapshot. */
const SMALL: Size = {
  ...{ users: 128, providers: 16, metered: 128, signed: 64 },
  ...{ requests: 12_800, isRingUsed: false },
};

const SNAPSHOT = new URL("./gas-snapshot.json", import.meta.url);

/** Gas at most, at full size. */
const TARGETS = {
  ...{
    meteredRow: 5_800,
    signedRow: 12_700,
    providerRow: 6_000,
    perRequestMetered: 60,
    perRequestSigned: 130,
  },
  ...{ meteredLargestGas: 2 ** 24, signedLargestGas: 2 ** 24, meteredLargestGasSkipped: 2 ** 24 },
} as const;

type Progress = (text: string) => void;

/** Gas of whole transactions, from their receipts on a Hardhat network. The exit code tells of a target that is missed. */
export async function benchGas(progress: Progress): Promise<Figures> {
  const figures = await measure(FULL, progress);
  const missed = Object.entries(TARGETS).filter(([name, most]) => !((figures[name] ?? Number.NaN) <= most));
  if (missed.length > 0) process.exitCode = 1;
  for (const [name, most] of missed) progress(`${name}: ${figures[name]} gas is above the target of ${most}`);
  return { ...figures, targetsMissed: missed.length };
}

/** The figures of a small run. Nothing in it hangs on time or chance, so they are the same everywhere. */
export function measureSnapshot(progress: Progress): Promise<Figures> {
  return measure(SMALL, progress);
}

export function readSnapshot(): Figures {
  return JSON.parse(readFileSync(SNAPSHOT, "utf8")) as Figures;
}

export function writeSnapshot(figures: Figures): void {
  writeFileSync(SNAPSHOT, `${JSON.stringify(figures, null, 2)}\n`);
}

async function measure(size: Size, progress: Progress): Promise<Figures> {
  const world = await openWorld(progress);
  try {
    const { figures, settled } = await measureBatches(world, size);
    const moves = await measureMoves(world);
    const proofs = await measureProofs(world, { size, settled, challenger: moves.user });
    return { ...figures, ...moves.figures, ...proofs };
  } finally {
    await world.chain.close();
  }
}
