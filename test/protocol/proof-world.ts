import { type Batch, skippedHash } from "@aimo/protocol/batches";
import { toBytes, toHex, uint } from "@aimo/protocol/bytes";
import type { BilledUser, PostedRows } from "@aimo/protocol/proofs";
import { proveUser } from "@aimo/protocol/proofs";
import { type DebitRow, encodeRows, rowsHash } from "@aimo/protocol/rows";
import { buildSumTree, leafNode, type ReceiptLeaf, type UserLeaf, userLeafNode } from "@aimo/protocol/tree";
import { type Hex, keccak256 } from "viem";

/** How many receipts each user of a batch has; the first `metered` of them by metered rows. */
export type Shape = {
  readonly receipts: readonly number[];
  readonly metered: number;
  readonly skipped: readonly number[];
};

export type ProofWorld = {
  readonly posted: PostedRows;
  readonly rows: readonly DebitRow[];
  readonly users: readonly BilledUser[];
};

const word = (name: string): Hex => keccak256(toHex(new TextEncoder().encode(name)));

function leavesOf(row: number, count: number): { readonly leaves: ReceiptLeaf[]; readonly user: UserLeaf } {
  const userId = 10 + 3 * row;
  const cumStart = 1_000n * BigInt(row);
  let userCumulative = cumStart;
  const leaves = Array.from({ length: count }, (_, index) => {
    const charge = BigInt(100 * (row + 1) + index);
    userCumulative += charge;
    const name = `receipt ${row}/${index}`;
    return { usageDigest: word(name), evidence: toBytes(word(`of ${name}`)), userId, charge, userCumulative };
  });
  const { root, sum } = buildSumTree(leaves.map(leafNode));
  return { leaves, user: { userId, epoch: 1 + (row % 3), cumStart, sum, count, subRoot: root } };
}

/** An honest batch of relay 3, as it was posted. */
export function makeProofWorld({ receipts, metered, skipped }: Shape): ProofWorld {
  const made = receipts.map((count, row) => leavesOf(row, count));
  const userLeaves = made.map(({ user }) => user);
  const rows = userLeaves.map(({ userId, cumStart, sum }) => ({
    userId,
    cumEnd: cumStart + sum,
    delta: sum,
  }));
  const signature = { r: toHex(uint(5, 32)), vs: toHex(uint(7, 32)) };
  const sections = {
    metered: rows.slice(0, metered),
    signed: rows.slice(metered).map((row) => ({ ...row, excess: 9n, ...signature })),
    providers: [{ providerId: 2, cumEnd: 77n }],
  };
  const data = encodeRows(sections);
  const tree = buildSumTree(userLeaves.map(userLeafNode));
  const header = {
    batchNo: 5n,
    nA: sections.metered.length,
    nB: sections.signed.length,
    nC: 1,
    depth: tree.depth,
    receiptsSum: tree.sum,
    receiptsRoot: tree.root,
  };
  const skippedIds = skipped.flatMap((row) => rows[row]?.userId ?? []);
  const batch: Batch = {
    header,
    rowsHash: rowsHash(data, header),
    skippedHash: skippedHash(skippedIds),
    postedAt: 1_700_000_000,
    debitA: 1n,
  };
  return {
    posted: { relayId: 3, batch, data, skipped: skippedIds },
    rows,
    users: made.map(({ leaves }, row) => ({ user: proveUser(userLeaves, row), leaves })),
  };
}
