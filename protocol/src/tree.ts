import type { Hex } from "viem";
import { depthOf, hash, isWord, toBytes, toHex, uint, ZERO_32 } from "./bytes.ts";
import { MAX_U96 } from "./units.ts";

/**
 * The receipts tree of a batch: a Merkle-sum tree of users over Merkle-sum trees of their receipts. A node commits to
 * both child sums, so a path reveals the sum of everything before it: an omitted or doubled receipt cannot hide.
 */
export type SumNode = { readonly hash: Uint8Array; readonly sum: bigint };

/** One billed receipt as committed. Amounts in pUSD. */
export type ReceiptLeaf = {
  readonly usageDigest: Hex;
  readonly evidence: Uint8Array;
  readonly userId: number;
  readonly charge: bigint;
  readonly userCumulative: bigint;
};

/** One user of a batch: charges (cumStart, cumStart + sum] in `count` receipts under `subRoot`. */
export type UserLeaf = {
  readonly userId: number;
  readonly epoch: number;
  readonly cumStart: bigint;
  readonly sum: bigint;
  readonly count: number;
  readonly subRoot: Hex;
};

/** One step of a path: the sibling and its sum. */
export type SumStep = { readonly hash: Hex; readonly sum: bigint };

const LEAF = new Uint8Array([0x00]);
const NODE = new Uint8Array([0x01]);
const USER = new Uint8Array([0x02]);
const PADDING: SumNode = { hash: hash(new Uint8Array([0x03])), sum: 0n };

/** A leaf as the chain opens it: the evidence by its hash alone. */
export type OpenedLeaf = Omit<ReceiptLeaf, "evidence"> & { readonly evidenceHash: Hex };

export function leafNode(leaf: ReceiptLeaf): SumNode {
  return nodeOf(leaf, hash(leaf.evidence));
}

/** The same node by what the chain is shown. */
export function openedLeafNode(leaf: OpenedLeaf): SumNode {
  return nodeOf(leaf, toBytes(leaf.evidenceHash));
}

function nodeOf(leaf: Omit<ReceiptLeaf, "evidence">, evidenceHash: Uint8Array): SumNode {
  return {
    hash: hash(
      LEAF,
      toBytes(leaf.usageDigest),
      evidenceHash,
      uint(leaf.userId, 4),
      uint(leaf.charge, 8),
      uint(leaf.userCumulative, 10),
    ),
    sum: leaf.charge,
  };
}

export function userLeafNode(leaf: UserLeaf): SumNode {
  return {
    hash: hash(
      USER,
      uint(leaf.userId, 4),
      uint(leaf.epoch, 2),
      uint(leaf.cumStart, 10),
      uint(leaf.sum, 8),
      uint(leaf.count, 4),
      toBytes(leaf.subRoot),
    ),
    sum: leaf.sum,
  };
}

function parent(left: SumNode, right: SumNode): SumNode {
  const sum = left.sum + right.sum;
  if (sum > MAX_U96) throw new RangeError(`The sum ${sum} pUSD does not fit 96 bits.`);
  return { hash: hash(NODE, left.hash, uint(left.sum, 12), right.hash, uint(right.sum, 12)), sum };
}

export type SumTree = {
  readonly root: Hex;
  readonly sum: bigint;
  readonly depth: number;
  readonly levels: readonly (readonly SumNode[])[];
};

/** Tree over the leaves in order, padded to a power of two; an empty one has root 0 and sum 0. */
export function buildSumTree(leaves: readonly SumNode[]): SumTree {
  if (leaves.length === 0) return { root: ZERO_32, sum: 0n, depth: 0, levels: [[]] };
  const depth = depthOf(leaves.length);
  let level = [...leaves];
  while (level.length < 2 ** depth) level.push(PADDING);
  const levels = [level];
  for (let height = 0; height < depth; height++) {
    level = Array.from({ length: level.length / 2 }, (_, i) =>
      parent(nodeAt(level, 2 * i), nodeAt(level, 2 * i + 1)),
    );
    levels.push(level);
  }
  const top = nodeAt(level, 0);
  return { root: toHex(top.hash), sum: top.sum, depth, levels };
}

function nodeAt(level: readonly SumNode[], index: number): SumNode {
  const node = level[index];
  if (!node) throw new RangeError(`No node ${index} of ${level.length}.`);
  return node;
}

/** Path of leaf `index`, bottom first. */
export function sumPath(tree: SumTree, index: number): SumStep[] {
  return tree.levels.slice(0, -1).map((level, height) => {
    const node = nodeAt(level, (index >> height) ^ 1);
    return { hash: toHex(node.hash), sum: node.sum };
  });
}

export type SumOpening = { readonly root: Hex; readonly sum: bigint; readonly prefix: bigint };

/**
 * Root, total and the sum of all leaves before `index`, as a leaf and its path give them; undefined when the path does
 * not fit `depth` or `index`.
 */
export function openSum(
  leaf: SumNode,
  index: number,
  depth: number,
  path: readonly SumStep[],
): SumOpening | undefined {
  if (path.length !== depth || !Number.isInteger(index) || index < 0 || index >= 2 ** depth) return undefined;
  let node = leaf;
  let prefix = 0n;
  for (const [height, step] of path.entries()) {
    if (step.sum < 0n || step.sum > MAX_U96 || !isWord(step.hash)) return undefined;
    const sibling: SumNode = { hash: toBytes(step.hash), sum: step.sum };
    const isRight = (index >> height) & 1;
    if (isRight) prefix += sibling.sum;
    if (node.sum + sibling.sum > MAX_U96) return undefined;
    node = isRight ? parent(sibling, node) : parent(node, sibling);
  }
  return { root: toHex(node.hash), sum: node.sum, prefix };
}
