import { toBytes, toHex } from "@aimo/protocol/bytes";
import { decodeRows, encodeRows, type PostHeader, type Rows, type SignedRow } from "@aimo/protocol/rows";
import { toCompact } from "@aimo/protocol/signatures";
import {
  HASHES_PER_STEP,
  leafNode,
  type Steps,
  type SumNode,
  type SumTree,
  sumTreeSteps,
  type UserLeaf,
  userLeafNode,
} from "@aimo/protocol/tree";
import type { SignedVoucher } from "@aimo/protocol/vouchers";
import type { Hex } from "viem";

/** A billed receipt in the order of its channel. pUSD. */
export type BilledLeaf = {
  readonly id: string;
  readonly userId: number;
  readonly epoch: number;
  readonly providerId: number;
  readonly usageDigest: Hex;
  readonly evidence: Uint8Array;
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
function* userSteps(leaves: readonly BilledLeaf[]): Steps<UserPart> {
  const first = leaves[0];
  if (!first) throw new RangeError("A user's part of a batch has at least one receipt.");
  const nodes: SumNode[] = [];
  for (const leaf of leaves) {
    nodes.push(leafNode(leaf));
    if (nodes.length % HASHES_PER_STEP === 0) yield;
  }
  const tree = yield* sumTreeSteps(nodes);
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

/** The highest voucher of a SIGNED channel's epoch; undefined for a METERED one. */
export type VoucherOf = (userId: number, epoch: number) => SignedVoucher | undefined;

/**
 * A batch of everything given, in steps: one row per user, the metered ones first, and one per provider with its cumulative credit.
 * `leaves` are in the order of their channels; users may be mixed. Throws a RangeError where a voucher is below what its
 * channel was charged.
 */
export function* batchSteps(
  batchNo: bigint,
  leaves: readonly BilledLeaf[],
  credits: ReadonlyMap<number, bigint>,
  voucherOf: VoucherOf = () => undefined,
): Steps<Batch> {
  const byUser = Map.groupBy(leaves, ({ userId }) => userId);
  const parts: UserPart[] = [];
  for (const [, own] of [...byUser].sort(([a], [b]) => a - b)) {
    parts.push(yield* userSteps(own));
    yield;
  }
  const ofMetered = parts.filter(({ leaf }) => !voucherOf(leaf.userId, leaf.epoch));
  const ofSigned = parts.flatMap((part) => {
    const voucher = voucherOf(part.leaf.userId, part.leaf.epoch);
    return voucher ? [{ part, row: signedRow(part.leaf, voucher) }] : [];
  });
  // A row's index is its user's place in the tree.
  const users = [...ofMetered, ...ofSigned.map(({ part }) => part)];
  const tree = yield* sumTreeSteps(users.map(({ leaf }) => userLeafNode(leaf)));
  const metered = ofMetered.map(({ leaf }) => debitRow(leaf));
  const signed = ofSigned.map(({ row }) => row);
  const providers = providerRows(credits);
  const header = {
    batchNo,
    nA: metered.length,
    nB: signed.length,
    nC: providers.length,
    depth: tree.depth,
    receiptsSum: tree.sum,
    receiptsRoot: tree.root,
  };
  return { header, rows: toHex(encodeRows({ metered, signed, providers })), users, tree };
}

const debitRow = ({ userId, cumStart, sum }: UserLeaf) => ({ userId, cumEnd: cumStart + sum, delta: sum });

/** A row with the voucher that pays for it: the highest one, since any that covers the row does. */
function signedRow(leaf: UserLeaf, { cumulative, signature }: SignedVoucher): SignedRow {
  const row = debitRow(leaf);
  const excess = cumulative - row.cumEnd;
  if (excess < 0n)
    throw new RangeError(
      `User ${leaf.userId} is charged ${row.cumEnd} pUSD and has signed for ${cumulative}.`,
    );
  return { ...row, excess, ...toCompact(signature) };
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
