import type { Hex } from "viem";
import { depthOf, hash, isWord, toBytes, toHex, uint, writeUint, ZERO_32 } from "./bytes.ts";
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

/** 0x01 | left hash b32 | left sum u96 | right hash b32 | right sum u96. */
const NODE_BYTES = new Uint8Array(89).fill(0x01, 0, 1);
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

/** 0x00 | usageDigest b32 | evidenceHash b32 | userId u32 | charge u64 | userCumulative u80: made in place, one by one. */
const LEAF_BYTES = new Uint8Array(87);

function nodeOf(leaf: Omit<ReceiptLeaf, "evidence">, evidenceHash: Uint8Array): SumNode {
  LEAF_BYTES.set(toBytes(leaf.usageDigest), 1);
  LEAF_BYTES.set(evidenceHash, 33);
  LEAF_BYTES.fill(0, 65);
  writeUint(LEAF_BYTES, 65, leaf.userId, 4);
  writeUint(LEAF_BYTES, 69, leaf.charge, 8);
  writeUint(LEAF_BYTES, 77, leaf.userCumulative, 10);
  return { hash: hash(LEAF_BYTES), sum: leaf.charge };
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
  NODE_BYTES.fill(0, 1);
  NODE_BYTES.set(left.hash, 1);
  writeUint(NODE_BYTES, 33, left.sum, 12);
  NODE_BYTES.set(right.hash, 45);
  writeUint(NODE_BYTES, 77, right.sum, 12);
  return { hash: hash(NODE_BYTES), sum };
}

export type SumTree = {
  readonly root: Hex;
  readonly sum: bigint;
  readonly depth: number;
  readonly levels: readonly (readonly SumNode[])[];
};

/** Tree over the leaves in order, padded to a power of two; an empty one has root 0 and sum 0. */
export function buildSumTree(leaves: readonly SumNode[]): SumTree {
  return finish(sumTreeSteps(leaves));
}

/** Work in steps, for who has other things to do between them. */
export type Steps<T> = Generator<void, T, void>;

/** Does all steps at once. */
export function finish<T>(steps: Steps<T>): T {
  for (;;) {
    const { done, value } = steps.next();
    if (done) return value;
  }
}

/** Hashes of one step: a tenth of a millisecond with what is hashed. More would show in the rhythm of streams. */
export const HASHES_PER_STEP = 32;

/** The same as `buildSumTree`, in steps. */
export function* sumTreeSteps(leaves: readonly SumNode[]): Steps<SumTree> {
  if (leaves.length === 0) return { root: ZERO_32, sum: 0n, depth: 0, levels: [[]] };
  const depth = depthOf(leaves.length);
  let level = [...leaves];
  while (level.length < 2 ** depth) level.push(PADDING);
  const levels = [level];
  for (let height = 0; height < depth; height++) {
    const above: SumNode[] = [];
    for (let i = 0; i < level.length; i += 2) {
      above.push(parent(nodeAt(level, i), nodeAt(level, i + 1)));
      if (above.length % HASHES_PER_STEP === 0) yield;
    }
    level = above;
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
