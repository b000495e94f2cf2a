import { encodeAbiParameters, type Hex, keccak256 } from "viem";
import { concat, depthOf, hash, readUint, toHex, uint, ZERO_32 } from "./bytes.ts";
import type { PostHeader } from "./rows.ts";

/** A posted batch as its commit knows it. */
export type Batch = {
  readonly header: PostHeader;
  readonly rowsHash: Hex;
  /** See `skippedHash`. */
  readonly skippedHash: Hex;
  /** Protocol seconds of the block. */
  readonly postedAt: number;
  /** Sum of the applied metered rows, pUSD. */
  readonly debitA: bigint;
};

const BATCH_ABI = {
  type: "tuple",
  components: [
    {
      name: "header",
      type: "tuple",
      components: [
        { name: "batchNo", type: "uint64" },
        { name: "nA", type: "uint32" },
        { name: "nB", type: "uint32" },
        { name: "nC", type: "uint32" },
        { name: "depth", type: "uint8" },
        { name: "receiptsSum", type: "uint96" },
        { name: "receiptsRoot", type: "bytes32" },
      ],
    },
    { name: "rowsHash", type: "bytes32" },
    { name: "skippedHash", type: "bytes32" },
    { name: "postedAt", type: "uint40" },
    { name: "debitA", type: "uint96" },
  ],
} as const;

/** What the settlement contract keeps of a batch in its ring: keccak(abi.encode(batch)). */
export function commitOf(batch: Batch): Hex {
  return keccak256(encodeAbiParameters([BATCH_ABI], [batch]));
}

/** Protocol second from which a batch can no longer be attacked: the end of the epoch after its own. */
export function finalAt(postedAt: number, epoch: number): number {
  return (Math.floor(postedAt / epoch) + 2) * epoch;
}

/** User ids (u32 each) of the skipped rows in row order, which is what proofs carry. */
export function encodeSkipped(userIds: readonly number[]): Uint8Array {
  return concat(userIds.map((id) => uint(id, 4)));
}

/** Inverse of `encodeSkipped`. Throws a RangeError when the bytes are no whole ids. */
export function decodeSkipped(data: Uint8Array): number[] {
  if (data.length % 4 !== 0)
    throw new RangeError(`A list of ids has ${data.length} bytes, not a multiple of 4.`);
  return Array.from({ length: data.length / 4 }, (_, i) => Number(readUint(data, 4 * i, 4)));
}

/**
 * 0 when nothing was skipped, else keccak of the ids in row order: metered users ascending, then signed ones. A user's
 * mode puts it into one section, so an id names one row.
 */
export function skippedHash(userIds: readonly number[]): Hex {
  return userIds.length === 0 ? ZERO_32 : toHex(hash(encodeSkipped(userIds)));
}

/** What is wrong with a header as such: the depth of its tree, or a root without user rows. Undefined: nothing. */
export function headerFault({ nA, nB, depth, receiptsRoot }: PostHeader): string | undefined {
  const right = depthOf(nA + nB);
  if (depth !== right) return `The depth is ${depth}; a tree over ${nA + nB} user rows has ${right}.`;
  if ((receiptsRoot === ZERO_32) === (nA + nB === 0)) return undefined;
  return nA + nB === 0 ? "There is a root and no user row." : "There are user rows and no root.";
}
