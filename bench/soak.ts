import assert from "node:assert/strict";
import { setTimeout as wait } from "node:timers/promises";
import { audit, awaitSettled } from "./crash/audit.ts";
import { Client } from "./faults/client.ts";
import { type Notes, soak } from "./soak/clients.ts";
import { addDeliveries, type Deliveries } from "./soak/deliveries.ts";
import { judgeMemory, mebibytesOf, type Sample, sampleOf } from "./soak/memory.ts";
import { type SoakNetwork, startSoakNetwork } from "./soak/network.ts";

export type SoakOptions = {
  readonly minutes: number;
  /** Time between two restarts of a provider. */
  readonly restartMs?: number;
};
export const SOAK_BENCH: SoakOptions = { minutes: 15 };

const CLIENTS = 24;
const RESTART_MS = 20_000;
const SAMPLE_MS = 2_000;
const MINUTE_MS = 60_000;
/**
 * Part of the answers that may be unsigned. A provider that is told to stop signs all it served first; what is left is what
 * a relay under load hears too late.
 */
const UNSIGNED_LIMIT = 0.001;

/**
 * Mixed load for minutes, with clients that leave, clients that read slowly and providers that stop and start. Then every
 * bill is held to what was delivered. Throws when sums differ or a hold is left.
 */
export async function benchSoak(
  progress: (text: string) => void,
  { minutes, restartMs = RESTART_MS }: SoakOptions = SOAK_BENCH,
): Promise<Readonly<Record<string, unknown>>> {
  progress("deploying the contracts, starting a relay and two providers");
  const network = await startSoakNetwork();
  try {
    const seen: Notes = { whole: [], cut: [], unnamed: [], kinds: {}, refusals: {}, wrong: [] };
    const stop = AbortSignal.timeout(minutes * MINUTE_MS);
    const restarts = restartProviders(network, restartMs, stop);
    const memory = sampleMemory(network, { stop, seen, progress });
    await Promise.all(Array.from({ length: CLIENTS }, () => soak(network, seen, stop)));
    const providerRestarts = await restarts;
    const { isFlat, figures } = judgeMemory(await memory, minutes);
    const sums = await conclude(network, seen);
    const passed = isFlat && sums.unsignedShare <= UNSIGNED_LIMIT;
    return { minutes, passed, ...sums, providerRestarts, ...figures };
  } finally {
    await network.close();
  }
}

/** One after the other, so that somebody serves. */
async function restartProviders(
  { providers }: SoakNetwork,
  everyMs: number,
  stop: AbortSignal,
): Promise<number> {
  let restarts = 0;
  while (await pause(everyMs, stop)) {
    await providers[restarts % providers.length]?.restart();
    restarts++;
  }
  return restarts;
}

type Sampling = {
  readonly stop: AbortSignal;
  readonly seen: Notes;
  readonly progress: (text: string) => void;
};

async function sampleMemory({ relay }: SoakNetwork, { stop, seen, progress }: Sampling): Promise<Sample[]> {
  const samples: Sample[] = [];
  while (await pause(SAMPLE_MS, stop)) {
    const sample = await sampleOf(relay.pid);
    samples.push(sample);
    progress(`${seen.whole.length} answers, ${mebibytesOf(sample)} MiB`);
  }
  return samples;
}

async function pause(ms: number, stop: AbortSignal): Promise<boolean> {
  await wait(ms, undefined, { signal: stop }).catch(() => {});
  return !stop.aborted;
}

async function conclude(network: SoakNetwork, seen: Notes) {
  const { world, providers, url, key, upstream } = network;
  const client = new Client(url, key);
  assert.deepEqual(seen.wrong, [], "what says that it is whole is whole");
  const books = await awaitSettled(client);
  const parties = { client, world, providerIds: providers.map(({ id }) => id) };
  const { freed: _freed, lines, ...sums } = await audit(parties, seen.whole);
  const { cost, charge, billed, unbilled } = addDeliveries(seen, lines, upstream.written);
  assert.equal(`${cost}`, sums.paidPusd, "what was delivered is what the providers were paid for");
  assert.equal(`${charge}`, sums.chargedPusd, "and, with the fee, what the channel was charged");
  const vouchers = await Promise.all(providers.map((provider) => provider.voucher()));
  const signed = vouchers.reduce((sum, cumulative) => sum + cumulative, 0n);
  assert.equal(`${signed}`, sums.paidPusd, "and what the relay signed to its providers");
  const answers = seen.whole.length + seen.cut.length;
  const { brokenOff, unsigned } = await reasonsOf(client, unbilled);
  return {
    ...{ answers, requests: seen.kinds, others: seen.refusals },
    leakedHoldsPusd: `${books.held}`,
    ...sums,
    billedOf: billed,
    /** Streams of which clients have a part, and which are free because their provider broke off. */
    brokenOff,
    /** Answers and streams that are free because a provider that was stopped had not signed for them. */
    unsigned,
    unsignedShare: Math.round((unsigned / Math.max(1, answers)) * 1e5) / 1e5,
    /** Equal to what was paid: units as the clients have them, times the prices. */
    deliveredPusd: `${cost}`,
    vouchersPusd: `${signed}`,
  };
}

const NOT_SIGNED = "The provider did not sign in time.";

/**
 * By what the client saw: a stream that its provider broke off is free by rule, anything else only when the provider did not
 * sign for it. Throws when one is free for any other reason.
 */
async function reasonsOf(client: Client, unbilled: Deliveries["unbilled"]) {
  const counts = { brokenOff: 0, unsigned: 0 };
  for (const answer of unbilled) {
    type Found = {
      readonly data: { readonly state: string; readonly aimo: { readonly note: string | null } };
    };
    const { state, aimo } = (await client.get<Found>(`/v1/generation?id=${answer.id}`)).data;
    const isUnsigned = state === "unbilled" && aimo.note === NOT_SIGNED;
    const isBrokenOff = "error" in answer && answer.error !== undefined && state === "free";
    assert.ok(isUnsigned || isBrokenOff, `${answer.id} is ${state}: ${aimo.note}`);
    counts[isUnsigned ? "unsigned" : "brokenOff"]++;
  }
  return counts;
}
