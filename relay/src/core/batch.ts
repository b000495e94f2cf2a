import { toBytes, toHex } from "@aimo/protocol/bytes";
import { decodeRows, encodeRows, type PostHeader, type Rows } from "@aimo/protocol/rows";
import { buildSumTree, leafNode, type SumTree, type UserLeaf, userLeafNode } from "@aimo/protocol/tree";
import type { Hex } from "viem";

/** A billed receipt in the order of its channel. pUSD. */
export type BilledLeaf = {
  readonly id: string;
  readonly userId: number;
  readonly epoch: number;
  readonly providerId: number;
  readonly usageDigest: Hex;
  readonly evidence: Hex;
  readonly charge: bigint;
  readonly userCumulative: bigint;
};

export type UserPart = { readonly leaf: UserLeaf; readonly tree: SumTree; readonly ids: readonly string[] };
export type Batch = {
  readonly header: PostHeader;
  readonly rows: Hex;
  readonly users: readonly UserPart[];
  readonly tree: SumTree;
};

export type PreparedBatch = { readonly header: PostHeader; readonly rows: Hex };
export type PostedBatch = {
  readonly transaction: Hex;
  readonly postedAt: number;
  readonly skipped: readonly number[];
  readonly receiptsRoot: Hex;
};
/** A batch that was written down and is not known to be posted. `since`: the block at which it was built. */
export type OpenBatch = PreparedBatch & {
  readonly batchNo: bigint;
  readonly since: bigint;
  readonly users: ReadonlySet<number>;
  readonly ids: ReadonlySet<string>;
};

/** The part of a batch under one user: its receipts in order. Throws a RangeError when there are none. */
export function buildUser(leaves: readonly BilledLeaf[]): UserPart {
  const first = leaves[0];
  if (!first) throw new RangeError("A user's part of a batch has at least one receipt.");
  const tree = buildSumTree(leaves.map((leaf) => leafNode({ ...leaf, evidence: toBytes(leaf.evidence) })));
  const leaf = {
    userId: first.userId,
    epoch: first.epoch,
    cumStart: first.userCumulative - first.charge,
    sum: tree.sum,
    count: leaves.length,
    subRoot: tree.root,
  };
  return { leaf, tree, ids: leaves.map(({ id }) => id) };
}

/**
 * A batch of everything given: one metered row per user, one row per provider with its cumulative credit.
 * `leaves` are in the order of their channels; users may be mixed.
 */
export function buildBatch(
  batchNo: bigint,
  leaves: readonly BilledLeaf[],
  credits: ReadonlyMap<number, bigint>,
): Batch {
  const byUser = Map.groupBy(leaves, ({ userId }) => userId);
  const users = [...byUser.entries()].sort(([a], [b]) => a - b).map(([, own]) => buildUser(own));
  const tree = buildSumTree(users.map(({ leaf }) => userLeafNode(leaf)));
  const metered = users.map(({ leaf }) => ({
    userId: leaf.userId,
    cumEnd: leaf.cumStart + leaf.sum,
    delta: leaf.sum,
  }));
  const providers = providerRows(credits);
  const header = {
    batchNo,
    nA: metered.length,
    nB: 0,
    nC: providers.length,
    depth: tree.depth,
    receiptsSum: tree.sum,
    receiptsRoot: tree.root,
  };
  return { header, rows: toHex(encodeRows({ metered, providers })), users, tree };
}

/** Cumulative credits in a batch's rows, by provider id. */
export function creditsIn({ header, rows }: PreparedBatch): Map<number, bigint> {
  const { providers } = decodeRows(toBytes(rows), header);
  return new Map(providers.map(({ providerId, cumEnd }) => [providerId, cumEnd]));
}

/** The same batch with other credits. */
export function withCredits(
  { header, rows }: PreparedBatch,
  credits: ReadonlyMap<number, bigint>,
): PreparedBatch {
  const { metered, signed } = decodeRows(toBytes(rows), header);
  const providers = providerRows(credits);
  return {
    header: { ...header, nC: providers.length },
    rows: toHex(encodeRows({ metered, signed, providers })),
  };
}

function providerRows(credits: ReadonlyMap<number, bigint>): Rows["providers"] {
  return [...credits].sort(([a], [b]) => a - b).map(([providerId, cumEnd]) => ({ providerId, cumEnd }));
}
