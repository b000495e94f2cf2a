import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { setTimeout as wait } from "node:timers/promises";
import { costOf } from "@aimo/protocol/units";
import { type Audit, audit, awaitSettled } from "./crash/audit.ts";
import { Client } from "./faults/client.ts";
import { slopePerMinute } from "./relay/statistics.ts";
import { PRICES } from "./relay/world.ts";
import { type Seen, soak } from "./soak/clients.ts";
import { type SoakNetwork, startSoakNetwork } from "./soak/network.ts";

export type SoakOptions = { readonly minutes: number };
export const SOAK_BENCH: SoakOptions = { minutes: 15 };

const CLIENTS = 24;
const RESTART_MS = 20_000;
const SAMPLE_MS = 2_000;
const MINUTE_MS = 60_000;
/** Memory is judged after this part of the time: heaps grow until the first full collections. */
const WARM_UP = 0.33;
const MIB = 1024 * 1024;

/**
 * Mixed load for minutes, with clients that leave, clients that read slowly and providers that stop and start. Then every
 * bill is held to what was delivered. Throws when sums differ or a hold is left.
 */
export async function benchSoak(
  progress: (text: string) => void,
  { minutes }: SoakOptions = SOAK_BENCH,
): Promise<Readonly<Record<string, unknown>>> {
  progress("deploying the contracts, starting a relay and two providers");
  const network = await startSoakNetwork();
  try {
    const seen: Seen = { acks: [], streams: [], kinds: {}, refusals: {} };
    const stop = AbortSignal.timeout(minutes * MINUTE_MS);
    const restarts = restartProviders(network, stop);
    const memory = sampleMemory(network, { stop, seen, progress });
    await Promise.all(Array.from({ length: CLIENTS }, () => soak(network, seen, stop)));
    const samples = await memory;
    const memorySlope = slopesOf(samples.slice(Math.floor(samples.length * WARM_UP)));
    return { minutes, ...(await conclude(network, seen)), providerRestarts: await restarts, ...memorySlope };
  } finally {
    await network.close();
  }
}

/** One after the other, so that somebody serves. */
async function restartProviders({ providers }: SoakNetwork, stop: AbortSignal): Promise<number> {
  let restarts = 0;
  while (await pause(RESTART_MS, stop)) {
    await providers[restarts % providers.length]?.restart();
    restarts++;
  }
  return restarts;
}

type Sample = { readonly ms: number; readonly rss: number; readonly anonymous: number };
type Sampling = {
  readonly stop: AbortSignal;
  readonly seen: Seen;
  readonly progress: (text: string) => void;
};

async function sampleMemory({ relay }: SoakNetwork, { stop, seen, progress }: Sampling): Promise<Sample[]> {
  const samples: Sample[] = [];
  while (await pause(SAMPLE_MS, stop)) {
    const status = await readFile(`/proc/${relay.pid}/status`, "utf8").catch(() => "");
    const kib = (name: string) =>
      Number(new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(status)?.[1] ?? Number.NaN);
    const sample = { ms: Date.now(), rss: kib("VmRSS") * 1024, anonymous: kib("RssAnon") * 1024 };
    samples.push(sample);
    progress(`${seen.acks.length} answers, ${Math.round(sample.rss / MIB)} MiB`);
  }
  return samples;
}

function slopesOf(samples: readonly Sample[]) {
  const of = (field: "rss" | "anonymous") => slopePerMinute(samples.map((one) => [one.ms, one[field] / MIB]));
  const last = samples.at(-1);
  return {
    rssMiB: Math.round((last?.rss ?? Number.NaN) / MIB),
    rssSlopeMiBPerMinute: of("rss"),
    /** What is on no file: the heap, buffers and stacks. */
    anonymousSlopeMiBPerMinute: of("anonymous"),
  };
}

async function pause(ms: number, stop: AbortSignal): Promise<boolean> {
  await wait(ms, undefined, { signal: stop }).catch(() => {});
  return !stop.aborted;
}

async function conclude(network: SoakNetwork, seen: Seen) {
  const { world, providers, url, key, upstream } = network;
  const client = new Client(url, key);
  const books = await awaitSettled(client);
  const parties = { client, world, providerIds: providers.map(({ id }) => id) };
  const { freed, lines, ...sums } = await audit(parties, seen.acks);
  const unsigned = await reasonsOf(client, freed);
  let delivered = 0n;
  for (const { receipt } of lines) delivered += costOf(receipt.units, PRICES);
  assert.equal(`${delivered}`, sums.paidPusd, "units times price are what was paid");
  const vouchers = await Promise.all(providers.map((provider) => provider.voucher()));
  const signed = vouchers.reduce((sum, cumulative) => sum + cumulative, 0n);
  assert.equal(`${signed}`, sums.paidPusd, "and what the relay signed to its providers");
  expectDelivered(seen, lines, upstream.written);
  return {
    ...{ answers: seen.acks.length, requests: seen.kinds, others: seen.refusals },
    leakedHoldsPusd: `${books.held}`,
    ...sums,
    /** Answers that no bill has, by the relay's reason: a provider that stops may not sign in time. */
    unsigned,
    /** Equal: of the relay's bills, of the chain's payments, and of units as the providers counted them. */
    deliveredPusd: `${delivered}`,
    vouchersPusd: `${signed}`,
  };
}

/** Throws when one is free for any other reason than that its provider did not sign. */
async function reasonsOf(client: Client, freed: Audit["freed"]): Promise<Record<string, number>> {
  const reasons: Record<string, number> = {};
  for (const { id } of freed) {
    type Found = {
      readonly data: { readonly state: string; readonly aimo: { readonly note: string | null } };
    };
    const { state, aimo } = (await client.get<Found>(`/v1/generation?id=${id}`)).data;
    assert.equal(state, "unbilled", `${id} is ${state}: ${aimo.note}`);
    const reason = aimo.note ?? "no reason";
    reasons[reason] = (reasons[reason] ?? 0) + 1;
  }
  return reasons;
}

/** A stream costs at least what its client got of it, at most what the inference server wrote; all of it when whole. */
function expectDelivered(seen: Seen, lines: Audit["lines"], written: ReadonlyMap<number, number>): void {
  const byId = new Map(lines.map((line) => [line.id, line]));
  for (const { no, id, frames, isWhole } of seen.streams) {
    const units = byId.get(id)?.receipt.units[2];
    if (units === undefined) continue;
    const most = written.get(no) ?? 0;
    assert.ok(units >= frames && units <= most, `${frames} of ${most} frames came, ${units} are billed`);
    if (isWhole) assert.equal(units, most, "a whole stream is billed whole");
  }
}
