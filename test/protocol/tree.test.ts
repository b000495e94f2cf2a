import { toBytes, toHex, uint, ZERO_32 } from "@aimo/protocol/bytes";
import {
  buildSumTree,
  leafNode,
  openSum,
  type SumNode,
  type SumStep,
  sumPath,
  userLeafNode,
} from "@aimo/protocol/tree";
import { expect } from "chai";
import fc from "fast-check";
import { type Hex, keccak256 } from "viem";
import { readVectors, type Vector } from "./cases.ts";

const stepsOf = (v: Vector, name: string): SumStep[] =>
  v
    .list(`${name}Hashes`)
    .map((hash, i) => ({ hash: hash as Hex, sum: BigInt(v.list(`${name}Sums`)[i] ?? "") }));

/** All that a verifier concludes from one opening; undefined where something does not fit. */
function concludes(v: Vector) {
  const leaf = leafNode({
    usageDigest: v.hex("usageDigest"),
    evidence: toBytes(v.hex("evidence")),
    userId: v.number("userId"),
    charge: v.big("charge"),
    userCumulative: v.big("userCumulative"),
  });
  const sub = openSum(leaf, v.number("index"), v.number("subDepth"), stepsOf(v, "subPath"));
  if (!sub || sub.root !== v.text("subRoot") || sub.sum !== v.big("userSum")) return undefined;
  const user = userLeafNode({
    userId: v.number("userId"),
    epoch: v.number("epoch"),
    cumStart: v.big("cumStart"),
    sum: v.big("userSum"),
    count: v.number("count"),
    subRoot: v.hex("subRoot"),
  });
  const top = openSum(user, v.number("row"), v.number("depth"), stepsOf(v, "path"));
  if (!top || top.root !== v.text("root") || top.sum !== v.big("sum")) return undefined;
  return { leaf: toHex(leaf.hash), userLeaf: toHex(user.hash), subPrefix: sub.prefix, prefix: top.prefix };
}

const nodes = fc.array(
  fc.record({
    hash: fc.uint8Array({ minLength: 32, maxLength: 32 }),
    sum: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
  }),
  { minLength: 1, maxLength: 40 },
);
const picked = (list: readonly SumNode[], index: number): SumNode => {
  const found = list[index];
  if (!found) throw new RangeError(`No node ${index}.`);
  return found;
};

describe("protocol/tree", function () {
  // Generous: other programs may use the machine at the same time.

  this.timeout(20_000);
  const vectors = readVectors("trees");

  for (const v of vectors.filter((entry) => entry.text("kind") === "batch"))
    it(`builds the tree of ${v.name} as the vectors do`, () => {
      const leaves = v.list("userIds").map((userId, i) =>
        userLeafNode({
          userId: Number(userId),
          epoch: Number(v.list("epochs")[i]),
          cumStart: BigInt(v.list("cumStarts")[i] ?? ""),
          sum: BigInt(v.list("sums")[i] ?? ""),
          count: Number(v.list("counts")[i]),
          subRoot: v.list("subRoots")[i] as Hex,
        }),
      );
      const tree = buildSumTree(leaves);
      expect(leaves.map((leaf) => toHex(leaf.hash))).to.deep.equal(v.list("userLeaves"));
      expect([tree.root, tree.sum, tree.depth]).to.deep.equal([
        v.text("root"),
        v.big("sum"),
        v.number("depth"),
      ]);
    });

  it("opens receipts as the vectors do", () => {
    for (const v of vectors.filter((entry) => entry.text("kind") === "opening" && entry.flag("valid")))
      expect(concludes(v), v.name).to.deep.equal({
        leaf: v.text("leaf"),
        userLeaf: v.text("userLeaf"),
        subPrefix: v.big("subPrefix"),
        prefix: v.big("prefix"),
      });
  });

  for (const v of vectors.filter((entry) => entry.text("kind") === "opening" && !entry.flag("valid")))
    it(`refuses an opening with ${v.name}`, () => {
      expect(concludes(v)).to.equal(undefined);
    });

  it("opens every leaf to the root, the total and the sum before it", () => {
    fc.assert(
      fc.property(nodes, (list) => {
        const tree = buildSumTree(list);
        let prefix = 0n;
        list.forEach((leaf, index) => {
          const opened = openSum(leaf, index, tree.depth, sumPath(tree, index));
          expect(opened).to.deep.equal({ root: tree.root, sum: tree.sum, prefix });
          prefix += leaf.sum;
        });
        expect(tree.sum).to.equal(prefix);
      }),
      { numRuns: 30 },
    );
  });

  it("reaches another root or total after any change", () => {
    fc.assert(
      fc.property(
        nodes,
        fc.nat(),
        fc.nat(),
        fc.nat(31),
        fc.bigInt({ min: 1n, max: 2n ** 60n }),
        (list, pick, at, byte, more) => {
          const tree = buildSumTree(list);
          const index = pick % list.length;
          const leaf = picked(list, index);
          const path = sumPath(tree, index);
          const same = (changed: SumNode, place: number, steps: readonly SumStep[]) =>
            openSum(changed, place, tree.depth, steps)?.root === tree.root;
          const flip = (bytes: Uint8Array) => bytes.map((value, i) => (i === byte ? value ^ 1 : value));
          expect(openSum({ ...leaf, sum: leaf.sum + more }, index, tree.depth, path)?.sum).to.equal(
            tree.sum + more,
          );
          if (tree.depth === 0) return;
          expect(same({ ...leaf, hash: flip(leaf.hash) }, index, path)).to.equal(false);
          expect(same({ ...leaf, sum: leaf.sum + more }, index, path)).to.equal(false);
          const level = at % path.length;
          const change = (step: SumStep, i: number, to: SumStep) => (i === level ? to : step);
          const wrongSum = path.map((s, i) => change(s, i, { ...s, sum: s.sum + more }));
          const wrongHash = path.map((s, i) => change(s, i, { ...s, hash: toHex(flip(toBytes(s.hash))) }));
          expect(same(leaf, index, wrongSum)).to.equal(false);
          expect(same(leaf, index, wrongHash)).to.equal(false);
          expect(openSum(leaf, index, tree.depth, path.slice(1))).to.equal(undefined);
          expect(openSum(leaf, index, tree.depth + 1, path)).to.equal(undefined);
        },
      ),
      { numRuns: 60 },
    );
  });

  it("never opens an inner node, a user leaf or the padding as a receipt", () => {
    const receipt = {
      usageDigest: ZERO_32,
      evidence: uint(5, 32),
      userId: 1,
      charge: 5n,
      userCumulative: 5n,
    };
    const user = { userId: 1, epoch: 1, cumStart: 0n, sum: 5n, count: 1, subRoot: ZERO_32 };
    const leaf = leafNode(receipt);
    const tree = buildSumTree([leaf, leaf, leaf]);
    const inner = picked(tree.levels[1] ?? [], 0);
    const hashes = [leaf, userLeafNode(user), inner, { hash: toBytes(keccak256("0x03")), sum: 0n }].map((n) =>
      toHex(n.hash),
    );
    expect(new Set(hashes).size).to.equal(4);
    // An inner node shown with the path above it reaches the root only at its own, smaller depth.
    const above = sumPath(tree, 0).slice(1);
    expect(openSum(inner, 0, tree.depth - 1, above)?.root).to.equal(tree.root);
    expect(openSum(inner, 0, tree.depth, above)).to.equal(undefined);
    const preimage = { left: toHex(leaf.hash), right: toHex(leaf.hash) };
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 120 }), fc.nat(), (evidence, userId) => {
        const forged = leafNode({ ...receipt, usageDigest: preimage.left, evidence, userId });
        expect(toHex(forged.hash)).to.not.equal(toHex(inner.hash));
      }),
    );
  });

  it("refuses sums beyond 96 bits and hashes of another length, without throwing", () => {
    const leaf: SumNode = { hash: uint(1, 32), sum: 1n };
    const step = (hash: string, sum: bigint): SumStep[] => [{ hash: hash as Hex, sum }];
    expect(openSum(leaf, 0, 1, step(ZERO_32, 2n ** 96n - 1n))).to.equal(undefined);
    expect(openSum(leaf, 0, 1, step(ZERO_32, -1n))).to.equal(undefined);
    for (const hash of ["0x", "0x00", `${ZERO_32}00`, "nonsense"])
      expect(openSum(leaf, 0, 1, step(hash, 1n)), hash).to.equal(undefined);
    expect(() => buildSumTree([{ ...leaf, sum: 2n ** 96n - 1n }, leaf])).to.throw(RangeError, "96 bits");
  });
});
