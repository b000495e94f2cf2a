import { decodeSkipped, skippedHash } from "./batches.ts";
import { depthOf, toBytes } from "./bytes.ts";
import type { LeafProof, RowProof, UserProof } from "./proofs.ts";
import { type DebitRow, openUserRow } from "./rows.ts";
import { openedLeafNode, openSum, type UserLeaf, userLeafNode } from "./tree.ts";

/**
 * What the chain concludes from the openings of a fraud proof: the twin of contracts/fraud/Openings.sol. Who checks here
 * first pays no gas for a proof that would revert. Nothing throws for what is shown.
 */

/** The row that is shown, if it leads to the batch and was applied. That the batch was posted is for the commit to say. */
export function openAppliedRow({ batch, row, skipped, ...opening }: RowProof): DebitRow | undefined {
  const ids = idsOf(skipped);
  if (!ids || skippedHash(ids) !== batch.skippedHash) return undefined;
  const debit = openUserRow(batch.rowsHash, batch.header, row, opening);
  return debit && !ids.includes(debit.userId) ? debit : undefined;
}

function idsOf(skipped: RowProof["skipped"]): readonly number[] | undefined {
  try {
    return decodeSkipped(toBytes(skipped));
  } catch {
    // no whole ids: no list of any batch
    return undefined;
  }
}

/** Whether the user leaf stands at the row's place. The sums above it are nobody's business: every row stands for itself. */
export function opensUser(
  { batch, row }: Pick<RowProof, "batch" | "row">,
  { leaf, path }: UserProof,
): boolean {
  const { depth, receiptsRoot } = batch.header;
  return openSum(userLeafNode(leaf), row, depth, path)?.root === receiptsRoot;
}

/** Same user, same sum, same interval, and a sum only where there are receipts. */
export function agrees(row: DebitRow, leaf: UserLeaf): boolean {
  const isSame =
    leaf.userId === row.userId && leaf.sum === row.delta && leaf.cumStart + leaf.sum === row.cumEnd;
  return isSame && (leaf.count !== 0 || leaf.sum === 0n);
}

/** What a leaf hides. pUSD. */
export type TotalCheck = {
  /** Its user and running total follow from the leaves before it. */
  readonly isTrue: boolean;
  /** All leaves add up to the row. */
  readonly isWhole: boolean;
  /** What the row charges beyond all leaves, as far as this leaf shows. */
  readonly hidden: bigint;
};

/** Undefined: the leaf does not stand below the user leaf at its index. */
export function checkTotal(user: UserLeaf, { index, leaf, path }: LeafProof): TotalCheck | undefined {
  const opened = openSum(openedLeafNode(leaf), index, depthOf(user.count), path);
  if (index >= user.count || opened?.root !== user.subRoot) return undefined;
  const end = opened.prefix + leaf.charge;
  // behind the last leaf there is only padding, which charges nothing
  const shown = index + 1 === user.count ? end : opened.sum;
  return {
    isTrue: leaf.userId === user.userId && user.cumStart + end === leaf.userCumulative,
    isWhole: shown === user.sum,
    hidden: user.sum > shown ? user.sum - shown : 0n,
  };
}

/** How old the state may be that a batch is made from, seconds. */
const REOPENING_SECONDS = 600;

/**
 * Whether a channel had this epoch when a row was applied, as far as can be known later. A batch may have been made just
 * before its user opened the channel again, and a row that begins at 0 is applied all the same. `channel`: as it is now,
 * or as it was when the row was applied.
 */
export function isEpochOf(
  channel: { readonly openedAt: number; readonly epoch: number },
  postedAt: number,
  epoch: number,
): boolean {
  if (channel.openedAt + REOPENING_SECONDS < postedAt) return epoch === channel.epoch;
  const isLater = channel.openedAt > postedAt;
  return epoch !== 0 && (isLater ? epoch < channel.epoch : epoch <= channel.epoch);
}
