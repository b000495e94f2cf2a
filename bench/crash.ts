import assert from "node:assert/strict";
import { performance } from "node:perf_hooks";
import { setTimeout as wait } from "node:timers/promises";
import { type Ack, audit, readBooks } from "./crash/audit.ts";
import { type CrashNetwork, startCrashNetwork } from "./crash/network.ts";

export type CrashOptions = {
  readonly points: number;
  /** Processes that serve; above 1 all of them end with the one that is killed, which has the books. */
  readonly workers: number;
};
export const CRASH_BENCH: CrashOptions = { points: 200, workers: 1 };

const CLIENTS = 8;
/** A relay is killed this long after it began to serve, at random. */
const LEAST_LOAD_MS = 50;
const MOST_LOAD_MS = 1_500;
/** An answer this old is on the relay's disk: two hundred times as long as it may wait for others to share its sync. */
const DURABLE_MS = 1_000;

/**
 * Kills the relay at random points under load, again and again, and starts it on what it left. At the end everything is
 * held to the chain and to what clients were told. Throws when money was lost or anything was billed twice.
 */
export async function benchCrash(
  progress: (text: string) => void,
  { points, workers }: CrashOptions = CRASH_BENCH,
): Promise<Readonly<Record<string, unknown>>> {
  progress("deploying the contracts, starting a provider");
  const network = await startCrashNetwork(workers);
  const acks: Ack[] = [];
  const kills: number[] = [];
  const restarts: number[] = [];
  try {
    for (let point = 0; point < points; point++) {
      const began = performance.now();
      const relay = await network.startRelay();
      restarts.push(performance.now() - began);
      await expectSound(network);
      const load = Array.from({ length: CLIENTS }, (_, index) => askUntilKilled(network, acks, index));
      await wait(LEAST_LOAD_MS + Math.random() * (MOST_LOAD_MS - LEAST_LOAD_MS));
      process.kill(relay.pid, "SIGKILL");
      kills.push(Date.now());
      await Promise.all([relay.close(), ...load]);
      progress(`killed ${point + 1} of ${points} times, ${acks.length} answers`);
    }
    const relay = await network.startRelay();
    try {
      return await conclude(network, { points, acks, kills, restarts });
    } finally {
      await relay.close();
    }
  } finally {
    await network.close();
  }
}

/** Right after a start: what was running is freed, and the channel owes no less than the chain took. */
async function expectSound({ client }: CrashNetwork): Promise<void> {
  const { held, charged, settled } = await readBooks(client);
  assert.equal(held, 0n, "nothing is held by requests of before");
  assert.ok(charged >= settled, "the running total is not below the chain's");
}

async function askUntilKilled({ client }: CrashNetwork, acks: Ack[], index: number): Promise<void> {
  for (let turn = index; ; turn++) {
    try {
      const { status, generationId, aimo } = await client.ask({ stream: turn % 2 === 1 });
      if (status === 200 && generationId && aimo)
        acks.push({ id: generationId, charge: aimo.cost_pusd, at: Date.now() });
    } catch {
      // The connection broke: the relay is dead.
      return;
    }
  }
}

type Run = {
  readonly points: number;
  readonly acks: readonly Ack[];
  readonly kills: readonly number[];
  readonly restarts: readonly number[];
};

async function conclude(network: CrashNetwork, { points, acks, kills, restarts }: Run) {
  const { client, world, providerId } = network;
  const { freed, lines: _lines, ...sums } = await audit({ client, world, providerIds: [providerId] }, acks);
  assert.equal(
    `${await network.voucher()}`,
    sums.paidPusd,
    "the provider was paid all that was signed to it",
  );
  // What the relay wrote before it was killed may be read after.
  const late = freed.filter(({ at }) => !kills.some((kill) => Math.abs(kill - at) < DURABLE_MS));
  assert.deepEqual(late, [], "only answers of a kill's last moment are free");
  const mean = restarts.reduce((sum, ms) => sum + ms, 0) / restarts.length;
  return {
    ...{ kills: points, passed: true, answers: acks.length },
    ...sums,
    /** Of the last moment before a kill: their clients had them for nothing, and their provider was not paid. */
    freedAnswers: freed.length,
    meanRestartMs: Math.round(mean),
  };
}
