import { toBytes, toHex, uint } from "@aimo/protocol/bytes";
import {
  buildSumTree,
  leafNode,
  openSum,
  type ReceiptLeaf,
  type SumNode,
  type SumStep,
  sumPath,
  type UserLeaf,
  userLeafNode,
} from "@aimo/protocol/tree";
import { MAX_U64, MAX_U80 } from "@aimo/protocol/units";
import { type Hex, keccak256 } from "viem";
import { bytes32, type Case } from "./case.ts";

/** Receipts of each user, by the number of users in the batch. */
const RECEIPTS = [1, 2, 3, 5, 8, 1, 9, 4, 256];

type User = { readonly leaf: UserLeaf; readonly receipts: readonly ReceiptLeaf[]; readonly nodes: SumNode[] };

/** Trees of 0 to 9 users, with an opening of the first, a middle and the last receipt of every user of the small ones. */
export function treeCases(): Case[] {
  const cases: Case[] = [];
  for (let users = 0; users <= RECEIPTS.length; users++) {
    const batch = Array.from({ length: users }, (_, index) => userOf(users, index));
    const tree = buildSumTree(batch.map(({ leaf }) => userLeafNode(leaf)));
    cases.push(batchCase(batch));
    for (const [row, user] of batch.entries()) {
      const count = user.receipts.length;
      const indices = users === 9 ? [count - 1] : [...new Set([0, count >> 1, count - 1])];
      for (const index of indices)
        cases.push(openingCase({ users, row, user, index, tree: sumPath(tree, row) }));
    }
  }
  return [...cases, extremeCase(), ...falseCases(cases)];
}

function userOf(users: number, index: number): User {
  const userId = 10 * index + 1;
  const cumStart = 1_000_000n * BigInt(index);
  let userCumulative = cumStart;
  const receipts = Array.from({ length: RECEIPTS[index] ?? 0 }, (_, n) => {
    const charge = BigInt(n === 1 ? 0 : 1_000 * (index + 1) + n);
    userCumulative += charge;
    const evidence = uint(BigInt(bytes32(`evidence-${users}-${index}-${n}`)), 32);
    return { usageDigest: bytes32(`usage-${users}-${index}-${n}`), evidence, userId, charge, userCumulative };
  });
  return withTree({ userId, epoch: index + 1, cumStart }, receipts);
}

function withTree(
  head: Pick<UserLeaf, "userId" | "epoch" | "cumStart">,
  receipts: readonly ReceiptLeaf[],
): User {
  const nodes = receipts.map(leafNode);
  const { root, sum } = buildSumTree(nodes);
  return { leaf: { ...head, sum, count: receipts.length, subRoot: root }, receipts, nodes };
}

function batchCase(batch: readonly User[]): Case {
  const tree = buildSumTree(batch.map(({ leaf }) => userLeafNode(leaf)));
  const list = (field: keyof UserLeaf) => batch.map(({ leaf }) => String(leaf[field]));
  return {
    kind: "batch",
    name: `${batch.length} users`,
    userIds: list("userId"),
    epochs: list("epoch"),
    cumStarts: list("cumStart"),
    sums: list("sum"),
    counts: list("count"),
    subRoots: list("subRoot"),
    userLeaves: batch.map(({ leaf }) => toHex(userLeafNode(leaf).hash)),
    depth: String(tree.depth),
    root: tree.root,
    sum: String(tree.sum),
  };
}

type OpeningParameters = {
  readonly users: number;
  readonly row: number;
  readonly user: User;
  readonly index: number;
  readonly tree: readonly SumStep[];
};

function openingCase({ users, row, user, index, tree }: OpeningParameters): Case {
  const receipt = user.receipts[index];
  if (!receipt) throw new RangeError(`No receipt ${index}.`);
  const sub = buildSumTree(user.nodes);
  const path = sumPath(sub, index);
  const leaf = leafNode(receipt);
  const opened = openSum(leaf, index, sub.depth, path);
  const top = openSum(userLeafNode(user.leaf), row, tree.length, tree);
  if (!opened || !top || opened.root !== user.leaf.subRoot) throw new Error("The opening does not open.");
  return {
    kind: "opening",
    name: `receipt ${index} of user ${user.leaf.userId}, of ${users} users`,
    valid: true,
    usageDigest: receipt.usageDigest,
    evidence: toHex(receipt.evidence),
    evidenceHash: keccak256(receipt.evidence),
    userId: String(receipt.userId),
    charge: String(receipt.charge),
    userCumulative: String(receipt.userCumulative),
    leaf: toHex(leaf.hash),
    index: String(index),
    subDepth: String(sub.depth),
    subPathHashes: path.map((step) => step.hash),
    subPathSums: path.map((step) => String(step.sum)),
    subPrefix: String(opened.prefix),
    subRoot: opened.root,
    epoch: String(user.leaf.epoch),
    cumStart: String(user.leaf.cumStart),
    userSum: String(user.leaf.sum),
    count: String(user.leaf.count),
    userLeaf: toHex(userLeafNode(user.leaf).hash),
    row: String(row),
    depth: String(tree.length),
    pathHashes: tree.map((step) => step.hash),
    pathSums: tree.map((step) => String(step.sum)),
    prefix: String(top.prefix),
    root: top.root,
    sum: String(top.sum),
  };
}

function extremeCase(): Case {
  const receipt: ReceiptLeaf = {
    usageDigest: `0x${"ff".repeat(32)}`,
    evidence: new Uint8Array(),
    userId: 2 ** 32 - 1,
    charge: MAX_U64,
    userCumulative: MAX_U80,
  };
  const head = { userId: receipt.userId, epoch: 2 ** 16 - 1, cumStart: MAX_U80 - MAX_U64 };
  return {
    ...openingCase({ users: 1, row: 0, user: withTree(head, [receipt]), index: 0, tree: [] }),
    name: "highest values",
  };
}

/** An opening with one thing wrong at a time: the recomputed root, leaf or sum differs, or it cannot be recomputed. */
function falseCases(cases: readonly Case[]): Case[] {
  const good = cases.find((entry) => entry["name"] === "receipt 2 of user 31, of 8 users");
  if (!good) throw new Error("The case to falsify is missing.");
  const list = (field: string) => [...((good[field] ?? []) as readonly string[])];
  const more = (field: string) => String(BigInt(String(good[field])) + 1n);
  const first = (field: string, value: string) => ({ [field]: [value, ...list(field).slice(1)] });
  const flipped = (hex: string) => {
    const bytes = toBytes(hex as Hex);
    bytes[5] = (bytes[5] ?? 0) ^ 1;
    return toHex(bytes);
  };
  const changes: [string, Case][] = [
    ["another usage digest", { usageDigest: flipped(String(good["usageDigest"])) }],
    ["other evidence", { evidence: flipped(String(good["evidence"])) }],
    ["another user", { userId: more("userId") }],
    ["another charge", { charge: more("charge") }],
    ["another cumulative", { userCumulative: more("userCumulative") }],
    ["another index", { index: more("index") }],
    ["an index outside the tree", { index: "8" }],
    ["another depth", { subDepth: more("subDepth") }],
    ["another sibling", first("subPathHashes", flipped(list("subPathHashes")[0] ?? "0x"))],
    ["another sibling's sum", first("subPathSums", String(BigInt(list("subPathSums")[0] ?? 0) + 1n))],
    ["a sum above 96 bits", first("subPathSums", String(2n ** 96n))],
    ["a sum that overflows when added", first("subPathSums", String(2n ** 96n - 1n))],
    [
      "a shorter path",
      { subPathHashes: list("subPathHashes").slice(1), subPathSums: list("subPathSums").slice(1) },
    ],
    ["another epoch", { epoch: more("epoch") }],
    ["another start", { cumStart: more("cumStart") }],
    ["another user sum", { userSum: more("userSum") }],
    ["another count", { count: more("count") }],
    ["another row", { row: "2" }],
    ["another user sibling", first("pathHashes", flipped(list("pathHashes")[0] ?? "0x"))],
    ["another user sibling's sum", first("pathSums", String(BigInt(list("pathSums")[0] ?? 0) + 1n))],
    ["another root", { root: flipped(String(good["root"])) }],
    ["another total", { sum: more("sum") }],
  ];
  return changes.map(([name, change]) => ({ ...good, ...change, name, valid: false }));
}
