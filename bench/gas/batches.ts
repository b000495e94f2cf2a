import { TRANSACTION_GAS } from "./chain.ts";
import { addProviders, addUsers, type User } from "./people.ts";
import { createPoster, type Poster } from "./posts.ts";
import type { World } from "./world.ts";

export type Size = {
  /** Users of the settlement that is shared out over the requests. */
  readonly users: number;
  readonly providers: number;
  /** Rows of the batches whose marginal cost is measured; those that really fit are tried from there. */
  readonly metered: number;
  readonly signed: number;
  /** Requests that one settlement of all users covers. */
  readonly requests: number;
  /** Whether to use up the ring of commits first, as after the first 256 batches of a relay. */
  readonly isRingUsed: boolean;
};

export type Figures = Readonly<Record<string, number>>;

const RING = 256;
/** Batches that leave room in the ring while all that were posted are kept. */
const RING_PART = 200;
/** Longer than commits are kept, seconds. */
const TILL_FORGOTTEN = 300;

type Crowd = { readonly users: readonly User[]; readonly providers: readonly number[] };

export type Settled = Crowd & { readonly posters: { readonly metered: Poster; readonly signed: Poster } };

/** What posts cost, by row and in all. */
export async function measureBatches(
  world: World,
  size: Size,
): Promise<{ readonly figures: Figures; readonly settled: Settled }> {
  const providers = await addProviders(world, size.providers);
  const users = await addUsers(world, size.users);
  const posters = {
    metered: createPoster(world, world.metered, "metered"),
    signed: createPoster(world, world.signed, "signed"),
  };
  const crowd = { users, providers };
  const figures = {
    ...(await measureSection(world, posters.metered, { ...crowd, size, section: "metered" })),
    ...(await measureSection(world, posters.signed, { ...crowd, size, section: "signed" })),
  };
  return { figures, settled: { ...crowd, posters } };
}

type Section = Crowd & { readonly size: Size; readonly section: "metered" | "signed" };

async function measureSection(
  world: World,
  post: Poster,
  { users, providers, size, section }: Section,
): Promise<Figures> {
  const { progress } = world;
  const rows = size[section];
  const full = users.slice(0, rows);
  const name = (text: string) => `${section}${text}`;
  progress(`${section}: first batches`);
  const fresh = await post({ users: [], providers: [] });
  if (size.isRingUsed) await useRing(world, post);
  for (let first = 0; first < users.length; first += rows / 2)
    await post({ users: users.slice(first, first + rows / 2), providers: [] });
  // what comes first for a provider costs more, and is paid out of what the users left
  await post({ users: [], providers });
  progress(`${section}: marginal costs of ${rows} rows and ${providers.length} providers`);
  const empty = await post({ users: [], providers: [] });
  const most = await post({ users: full, providers });
  const half = await post({ users: full.slice(0, rows / 2), providers });
  const halfProviders = await post({ users: full, providers: providers.slice(0, providers.length / 2) });
  const stale = await post({ users: full.slice(0, rows / 2), providers, isStale: true });
  const lessStale = await post({ users: full.slice(0, rows / 4), providers, isStale: true });
  const row = Number(most.gas - half.gas) / (rows / 2);
  const skippedRow = Number(stale.gas - lessStale.gas) / (rows / 4);
  // a batch must fit whatever its users do until it is posted
  const [base, dearest] = skippedRow > row ? [stale, skippedRow] : [half, row];
  const fitting = Math.floor(rows / 2 + Number(TRANSACTION_GAS - base.gas) / dearest - 1);
  const largest = Math.min(fitting, users.length);
  progress(`${section}: the largest batch, ${largest} rows`);
  const last = await post({ users: users.slice(0, largest), providers });
  const lastStale = await post({ users: users.slice(0, largest), providers, isStale: true });
  const all = await settleAll(world, post, { users, providers, rows: largest, section });
  return {
    [name("Row")]: round(row),
    [section === "metered" ? "providerRow" : "providerRowBesideSigned"]: round(
      Number(most.gas - halfProviders.gas) / (providers.length / 2),
    ),
    [name("RowSkipped")]: round(skippedRow),
    [name("PostEmpty")]: Number(empty.gas),
    [name("PostFirstEver")]: Number(fresh.gas),
    [name("LargestRows")]: largest,
    [name("LargestGas")]: Number(last.gas),
    [name("LargestGasSkipped")]: Number(lastStale.gas),
    [name("LargestBytes")]: last.bytes,
    [name("SettlementBatches")]: all.batches,
    [name("SettlementGas")]: Number(all.gas),
    [`perRequest${section[0]?.toUpperCase()}${section.slice(1)}`]: round(Number(all.gas) / size.requests),
  };
}

type Settlement = Crowd & { readonly rows: number; readonly section: string };

/** Settles every user and every provider once, in as few transactions as can be. */
async function settleAll(world: World, post: Poster, { users, providers, rows, section }: Settlement) {
  let gas = 0n;
  let batches = 0;
  // providers go with the last users, where there is most room
  for (let first = 0; first < users.length; first += rows) {
    const isLast = first + rows >= users.length;
    const posted = await post({
      users: users.slice(first, first + rows),
      providers: isLast ? providers : [],
    });
    gas += posted.gas;
    batches += 1;
    world.progress(`${section}: settled ${Math.min(first + rows, users.length)} of ${users.length} users`);
  }
  return { gas, batches };
}

async function useRing({ chain, progress }: World, post: Poster): Promise<void> {
  for (let n = 0; n < RING; n++) {
    if (n % RING_PART === 0) chain.skip(TILL_FORGOTTEN);
    await post({ users: [], providers: [] });
  }
  chain.skip(TILL_FORGOTTEN);
  progress("the ring of commits is in use");
}

const round = (gas: number): number => Math.round(gas * 10) / 10;
