import assert from "node:assert/strict";
import { performance } from "node:perf_hooks";
import { setTimeout as wait } from "node:timers/promises";
import { GROUP_DEADLINE_MS } from "@aimo/protocol/groups";
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
/**
 * An answer that its client has for this long is on the relay's disk. It is queued for the journal in the turn in which its
 * last bytes are written, waits 5 ms for others to share its sync, and 5 ms more behind a sync that is under way; a sync
 * takes some milliseconds, on a busy disk some tens. The rest is for a relay and clients that share two cores with all else.
 */
const DURABLE_MS = 250;
/**
 * Of the answers that were each client's last before a kill, this part may be lost: what was written less than 10 ms and a
 * sync before it, where an answer takes 20 ms in the mean.
 */
const LOST_LIMIT = 0.5;
/** A relay that serves again has its provider's session, and the groups that it missed, within this time. */
const RESENT_MS = 5_000;
/** A busy machine may take longer than that to bring relay and provider together again; a relay that never billed them would show. */
const EARLY_LIMIT = 0.01;

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
  const acks: Answered[] = [];
  const kills: number[] = [];
  const restarts: number[] = [];
  const served: number[] = [];
  try {
    for (let point = 0; point < points; point++) {
      const began = performance.now();
      const relay = await network.startRelay();
      restarts.push(performance.now() - began);
      served.push(Date.now());
      await expectSound(network);
      const load = Array.from({ length: CLIENTS }, (_, index) =>
        askUntilKilled(network, acks, { point, index }),
      );
      await wait(LEAST_LOAD_MS + Math.random() * (MOST_LOAD_MS - LEAST_LOAD_MS));
      process.kill(relay.pid, "SIGKILL");
      kills.push(Date.now());
      await Promise.all([relay.close(), ...load]);
      progress(`killed ${point + 1} of ${points} times, ${acks.length} answers`);
    }
    const relay = await network.startRelay();
    served.push(Date.now());
    try {
      return await conclude(network, { points, acks, kills, restarts, served });
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

/** An answer, and which kill came after it. */
type Answered = Ack & { readonly point: number };

async function askUntilKilled(
  { client }: CrashNetwork,
  acks: Answered[],
  { point, index }: { readonly point: number; readonly index: number },
): Promise<void> {
  for (let turn = index; ; turn++) {
    try {
      const { status, generationId, aimo } = await client.ask({ stream: turn % 2 === 1 });
      if (status === 200 && generationId && aimo)
        acks.push({ id: generationId, charge: aimo.cost_pusd, at: Date.now(), point });
    } catch {
      // The connection broke: the relay is dead.
      return;
    }
  }
}

type Run = {
  readonly points: number;
  readonly acks: readonly Answered[];
  readonly kills: readonly number[];
  readonly restarts: readonly number[];
  /** When a relay served again, before each kill and after the last. */
  readonly served: readonly number[];
};

async function conclude(network: CrashNetwork, { points, acks, kills, restarts, served }: Run) {
  const { client, world, providerId } = network;
  const {
    freed: unbilled,
    lines: _lines,
    ...sums
  } = await audit({ client, world, providerIds: [providerId] }, acks);
  assert.equal(
    `${await network.voucher()}`,
    sums.paidPusd,
    "the provider was paid all that was signed to it",
  );
  const unbilledIds = new Set(unbilled.map(({ id }) => id));
  const freed = await sortByReason(
    client,
    acks.filter(({ id }) => unbilledIds.has(id)),
  );
  const agesOf = (some: readonly Answered[]) => some.map(({ at, point }) => (kills[point] ?? at) - at);
  const lost = [...freed.unknown, ...freed.endNotKept];
  const late = agesOf(lost).filter((ms) => ms > DURABLE_MS);
  assert.deepEqual(late, [], "an answer that its client had for longer than that is on the disk");
  // The relay that came next lived long enough before it was too late to hear of the signature.
  const early = freed.unsigned.filter(({ at, point }) => {
    const end = Math.min(kills[point + 1] ?? Number.POSITIVE_INFINITY, at + GROUP_DEADLINE_MS);
    return (served[point + 1] ?? end) + RESENT_MS < end;
  });
  const lostShare = lost.length / (points * CLIENTS);
  const earlyShare = acks.length === 0 ? 0 : early.length / acks.length;
  return {
    ...{
      kills: points,
      passed: lostShare <= LOST_LIMIT && earlyShare <= EARLY_LIMIT && sums.billedUnanswered === 0,
    },
    ...{ answers: acks.length, ...sums },
    /** Their clients had them for nothing, and their provider was not paid. */
    freedAnswers: unbilled.length,
    freedBecause: {
      /** Neither the request nor its end was on the disk. */
      unknown: freed.unknown.length,
      /** The request was, and its end was not: its hold was freed at the start. */
      endNotKept: freed.endNotKept.length,
      /** All was, and the relay was not back before the ten seconds for its signature were over. */
      unsigned: freed.unsigned.length,
    },
    /** Of all answers, those that were not signed though the next relay served for five seconds before it was too late. */
    unsignedInTimeShare: rounded(earlyShare),
    /** The least time from an unsigned answer until a relay served again; none without one. */
    unsignedAfterMs:
      freed.unsigned.length === 0
        ? "none"
        : Math.min(...freed.unsigned.map(({ at, point }) => (served[point + 1] ?? at) - at)),
    /** The first two, of as many answers as clients were waiting for or had just got when a relay was killed. */
    lostShare: rounded(lostShare),
    /** How long before the kill the oldest of them came. */
    oldestLostMs: Math.max(0, ...agesOf(lost)),
    durableAfterMs: DURABLE_MS,
    meanRestartMs: Math.round(restarts.reduce((sum, ms) => sum + ms, 0) / restarts.length),
  };
}

const rounded = (share: number): number => Math.round(share * 1_000) / 1_000;

/** By what the relay knows of the answers that it billed nobody for. */
async function sortByReason(client: CrashNetwork["client"], answers: readonly Answered[]) {
  const freed = { unknown: [] as Answered[], endNotKept: [] as Answered[], unsigned: [] as Answered[] };
  for (const answer of answers) {
    const state = await client.stateOf(answer.id);
    if (state === undefined) freed.unknown.push(answer);
    else if (state === "unbilled") freed.unsigned.push(answer);
    else {
      assert.equal(state, "free", `${answer.id} is neither billed nor free`);
      freed.endNotKept.push(answer);
    }
  }
  return freed;
}
