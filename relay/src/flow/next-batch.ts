import { setImmediate as turn } from "node:timers/promises";
import type { Steps } from "@aimo/protocol/tree";
import {
  type BilledLeaf,
  batchSteps,
  creditsIn,
  type OpenBatch,
  type VoucherOf,
  withCredits,
} from "../core/batch.ts";
import { costOfCredits, cutCredits } from "../core/credits.ts";
import type { SettlementChain, SettlingStore } from "./ports.ts";

export type NextBatchParameters = {
  readonly chain: SettlementChain;
  readonly store: SettlingStore;
  /** T_POST in seconds. */
  readonly postWindow: number;
  /** Protocol seconds. */
  readonly protocolNow: () => number;
  readonly log: {
    warn(fields: object, message: string): void;
    error(fields: object, message: string): void;
  };
};

/** Rows in a batch: at most this many users and as many providers keep a post under 2^24 gas. */
const MAX_ROWS = 1_000;
/** A signed row costs a little more than two metered ones (bench/gas-snapshot.json), and counts as three. */
const ROWS_OF_SIGNED = 3;
/** Receipts of one batch; bounds memory and the size of a bill. */
const MAX_LEAVES = 100_000;
/** A receipt must be posted within T_POST; this part of it, and at least so many seconds, is left for the transaction. */
const POST_MARGIN_PART = 24;
const MIN_POST_MARGIN_SECONDS = 5;
const BPS = 10_000n;

/** Seconds that are left, of the time in which a receipt can be posted, for the transaction itself. */
export function postMargin(postWindow: number): number {
  return Math.max(MIN_POST_MARGIN_SECONDS, Math.floor(postWindow / POST_MARGIN_PART));
}

/** Receipts that can never be posted, and why. */
export function lostOf({
  store,
  protocolNow,
  postWindow,
}: NextBatchParameters): { ids: string[]; note: string }[] {
  const tooOld = protocolNow() - postWindow + postMargin(postWindow);
  const over: string[] = [];
  const late: string[] = [];
  for (const { leaf, issuedAt } of store.unposted())
    if (store.isOver(leaf)) over.push(leaf.id);
    else if (issuedAt < tooOld) late.push(leaf.id);
  return [
    { ids: over, note: "The channel was opened anew before it was posted." },
    { ids: late, note: "It was not posted in time." },
  ].filter(({ ids }) => ids.length > 0);
}

/** Writes the next batch down. False when there is nothing to post, or the bond has no room. */
export async function buildNext(parameters: NextBatchParameters): Promise<boolean> {
  const { chain, store, log } = parameters;
  const since = await chain.blockNumber();
  // Asked before the receipts are looked at: more may be billed while the chain answers.
  const room = await chain.room();
  const funds = await chain.funds();
  // A provider may have redeemed a voucher meanwhile: what it was paid is not owed.
  const paid = await chain.paidTo(store.creditors());
  for (const { ids, note } of lostOf(parameters)) {
    log.error(
      { receipts: ids.length, note },
      "Receipts cannot be posted any more; they are this relay's loss.",
    );
    await store.giveUp(ids, note);
  }
  for (const [providerId, sum] of paid) store.notePaid(providerId, sum);
  const unposted = store.unposted().map(({ leaf }) => leaf);
  // One that was opened anew just now may have another mode, whose rows go elsewhere: it is given up next time.
  const postable = unposted.filter((leaf) => !store.isOver(leaf));
  const vouchers = new Map(postable.map((leaf) => [leaf.userId, store.voucherOf(leaf.userId, leaf.epoch)]));
  const voucherOf: VoucherOf = (userId) => vouchers.get(userId);
  const leaves = takeLeaves(postable, room, voucherOf);
  const credits = creditsOf(parameters, leaves, funds);
  if (leaves.length === 0 && postable.length > 0)
    log.warn({}, "The bond has no room for another batch; it waits until older ones are final.");
  // Without debits: what providers earned by receipts that are this relay's loss.
  if (leaves.length === 0 && credits.size === 0) return false;
  await chain.enlist([...credits.keys()]);
  const batch = await inTurns(batchSteps(await chain.nextBatchNo(), leaves, credits, voucherOf));
  await store.saveBuilt(batch, credits, since);
  return true;
}

/** A batch may have a hundred thousand receipts: requests are served between its steps. */
async function inTurns<T>(steps: Steps<T>): Promise<T> {
  for (;;) {
    const { done, value } = steps.next();
    if (done) return value;
    await turn();
  }
}

type Funds = Awaited<ReturnType<SettlementChain["funds"]>>;

/**
 * All that providers are owed, as far as the debits and the relay's own money pay for it: the chain refuses a batch
 * whole otherwise. The rest waits for earnings, or is redeemed from the reserve.
 */
function creditsOf(
  { store, log }: NextBatchParameters,
  leaves: readonly BilledLeaf[],
  { own, feeBps }: Funds,
): Map<number, bigint> {
  const debits = leaves.reduce((sum, { charge }) => sum + charge, 0n);
  const fee = (debits * BigInt(feeBps)) / BPS;
  const claims = store.claims(new Set(leaves.map(({ id }) => id))).slice(0, MAX_ROWS);
  const missing = costOfCredits(claims, cutCredits(claims, 0n)) + fee - debits - own;
  if (missing <= 0n) return cutCredits(claims, 0n);
  warnOfDebts(log, missing);
  return cutCredits(claims, missing);
}

function warnOfDebts(log: NextBatchParameters["log"], missing: bigint): void {
  log.warn(
    { missing: `${missing}` },
    "Debts to providers that no user pays for wait: the relay's earnings and float do not cover them. Its fee may be " +
      "below the protocol's, or rows were skipped; fundRelay pays them.",
  );
}

/**
 * The open batch with credits that cost `missing` pUSD less, written down: a row was skipped, or earnings were claimed,
 * since it was made. Debits and receipts stay, so whichever of the two the chain takes, the books are right.
 * Undefined: there is nothing to cut.
 */
export async function recredit(
  { chain, store, log }: NextBatchParameters,
  open: OpenBatch,
  missing: bigint,
): Promise<OpenBatch | undefined> {
  for (const [providerId, sum] of await chain.paidTo(store.creditors())) store.notePaid(providerId, sum);
  const inBatch = creditsIn(open);
  const claims = store.claims(open.ids).flatMap((claim) => {
    const cumulative = inBatch.get(claim.providerId) ?? 0n;
    const most = cumulative < claim.most ? cumulative : claim.most;
    const covered = claim.covered < most ? claim.covered : most;
    return most > claim.paid ? [{ ...claim, most, covered }] : [];
  });
  if (claims.length === 0 && inBatch.size === 0) return undefined;
  const credits = cutCredits(claims, missing);
  warnOfDebts(log, missing);
  const batch = withCredits(open, credits);
  await store.saveCredits(batch, credits);
  return { ...open, ...batch };
}

/**
 * Receipts for one batch, whole channels in order, within the bond's room and the limits of a post. What was signed for
 * needs no bond.
 */
export function takeLeaves(
  leaves: readonly BilledLeaf[],
  room: bigint,
  voucherOf: VoucherOf = () => undefined,
): BilledLeaf[] {
  const taken: BilledLeaf[] = [];
  const users = new Set<number>();
  const stopped = new Set<number>();
  let sum = 0n;
  let rows = 0;
  for (const leaf of leaves) {
    const isSigned = voucherOf(leaf.userId, leaf.epoch) !== undefined;
    const bonded = isSigned ? 0n : leaf.charge;
    const ownRows = users.has(leaf.userId) ? 0 : isSigned ? ROWS_OF_SIGNED : 1;
    const fits = sum + bonded <= room && taken.length < MAX_LEAVES && rows + ownRows <= MAX_ROWS;
    // A channel's receipts follow each other: after one is left, the rest of it is too.
    if (!fits || stopped.has(leaf.userId)) {
      stopped.add(leaf.userId);
      continue;
    }
    users.add(leaf.userId);
    rows += ownRows;
    sum += bonded;
    taken.push(leaf);
  }
  return taken;
}
