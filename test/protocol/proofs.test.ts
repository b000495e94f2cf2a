import { fraudProofsAbi } from "@aimo/protocol/abi/fraud-proofs";
import { toHex } from "@aimo/protocol/bytes";
import { agrees, checkTotal, isEpochOf, openAppliedRow, opensUser } from "@aimo/protocol/openings";
import {
  answerArguments,
  badReceiptArguments,
  type Demand,
  demandArguments,
  demandId,
  duplicateArguments,
  equivocationArguments,
  type FraudKind,
  foreignRequestArguments,
  type LeafProof,
  type Place,
  proveLeaf,
  provenKey,
  proveRow,
  proveUser,
  providerFraudArguments,
  rowMismatchArguments,
  runningTotalArguments,
} from "@aimo/protocol/proofs";
import { expect } from "chai";
import fc from "fast-check";
import { decodeFunctionData, encodeFunctionData, type Hex } from "viem";
import { readVectors, type Vector } from "./cases.ts";
import { makeProofWorld, type ProofWorld } from "./proof-world.ts";

const SHAPE = { receipts: [...Array.from({ length: 70 }, () => 1), 5, 3, 2], metered: 70, skipped: [2, 72] };

const shapes = fc
  .record({
    receipts: fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 12 }),
    split: fc.nat(12),
    skipped: fc.uniqueArray(fc.nat(11), { maxLength: 4 }),
  })
  .map(({ receipts, split, skipped }) => ({
    receipts,
    metered: Math.min(split, receipts.length),
    skipped: skipped.filter((row) => row < receipts.length).sort((a, b) => a - b),
  }));

function picked<T>(list: readonly T[], index: number): T {
  const found = list[index];
  if (found === undefined) throw new RangeError(`No element ${index}.`);
  return found;
}

const placeIn = ({ posted, users }: ProofWorld, row: number, index: number): Place => ({
  posted,
  row,
  billed: picked(users, row),
  index,
});

const RECEIPT = {
  relayId: 3,
  providerId: 2,
  modelId: 5,
  priceVersion: 1,
  issuedAt: 1_700_000_000,
  units: [1, 2, 3],
  cost: 4n,
  requestHash: `0x${"11".repeat(32)}`,
  responseHash: `0x${"22".repeat(32)}`,
} as const;
const REQUEST = {
  userId: 7,
  channelEpoch: 2,
  nonce: `0x${"33".repeat(16)}`,
  bodyHash: `0x${"44".repeat(32)}`,
} as const;
const SHOWN = { receipt: RECEIPT, evidence: new Uint8Array([1, 2, 3]), request: REQUEST };

const demandOf = (v: Vector): Demand => ({
  relayId: v.number("relayId"),
  batchNo: v.big("batchNo"),
  row: v.number("row"),
  leafIndex: v.number("leafIndex"),
  receiptsRoot: v.hex("receiptsRoot"),
  depth: v.number("depth"),
  postedAt: v.number("postedAt"),
  userId: v.number("userId"),
  cumEnd: v.big("cumEnd"),
  delta: v.big("delta"),
  challenger: v.number("challenger"),
  bond: v.big("bond"),
  deadline: v.number("deadline"),
});

describe("protocol/proofs", function () {
  // Generous: other programs may use the machine at the same time.

  this.timeout(20_000);
  const vectors = readVectors("proofs");

  for (const v of vectors)
    it(`names ${v.text("kind")} "${v.name}" as the vectors do`, () => {
      if (v.text("kind") === "demand") expect(demandId(demandOf(v))).to.equal(v.text("demandId"));
      else
        expect(
          provenKey({
            relayId: v.number("relayId"),
            batchNo: v.big("batchNo"),
            row: v.number("row"),
            leafIndex: v.number("leafIndex"),
            kind: v.number("fraudKind") as FraudKind,
          }),
        ).to.equal(v.text("key"));
    });

  it("gives every function of the contract arguments that its ABI takes and gives back", () => {
    const world = makeProofWorld(SHAPE);
    const place = placeIn(world, 70, 4);
    const later = placeIn(world, 71, 2);
    const billed = {
      usageReceiptHash: REQUEST.bodyHash,
      relayId: 3,
      userId: 7,
      channelEpoch: 2,
      charge: 5n,
      userCumulative: 9n,
    };
    const [v] = vectors;
    if (!v) throw new Error("The vector is missing.");
    const open = demandOf(v);
    const abi = fraudProofsAbi;
    const calls: Hex[] = [
      encodeFunctionData({ abi, functionName: "proveBadReceipt", args: badReceiptArguments(place, SHOWN) }),
      encodeFunctionData({
        abi,
        functionName: "proveForeignRequest",
        args: foreignRequestArguments(place, SHOWN),
      }),
      encodeFunctionData({ abi, functionName: "proveRowMismatch", args: rowMismatchArguments(place) }),
      encodeFunctionData({ abi, functionName: "proveDuplicate", args: duplicateArguments(place, later) }),
      encodeFunctionData({ abi, functionName: "proveRunningTotal", args: runningTotalArguments(place) }),
      encodeFunctionData({
        abi,
        functionName: "proveEquivocation",
        args: equivocationArguments(place, billed, `0x${"55".repeat(65)}`),
      }),
      encodeFunctionData({ abi, functionName: "proveProviderFraud", args: providerFraudArguments(SHOWN) }),
      encodeFunctionData({ abi, functionName: "demand", args: demandArguments(world.posted, 71, 2) }),
      encodeFunctionData({ abi, functionName: "answer", args: answerArguments(open, place.billed, SHOWN) }),
      encodeFunctionData({ abi, functionName: "resolve", args: [open] }),
    ];
    for (const data of calls) {
      const call = decodeFunctionData({ abi, data });
      expect(encodeFunctionData({ abi, ...call } as never), call.functionName).to.equal(data);
    }
    const [row, user, leaf] = badReceiptArguments(place, SHOWN);
    const { args } = decodeFunctionData({ abi, data: picked(calls, 0) });
    expect(args?.slice(0, 3)).to.deep.equal([row, user, leaf]);
    expect(args?.[3]).to.deep.include({ units0: 1, units1: 2, units2: 3 });
  });

  it("opens every applied row, its user leaf and all its receipts, and no skipped row", () => {
    fc.assert(
      fc.property(shapes, (shape) => {
        const { posted, rows, users } = makeProofWorld(shape);
        for (const [row, debit] of rows.entries()) {
          const proof = proveRow(posted, row);
          const { user, leaves } = picked(users, row);
          expect(openAppliedRow(proof)).to.deep.equal(shape.skipped.includes(row) ? undefined : debit);
          expect(opensUser(proof, user)).to.equal(true);
          expect(agrees(debit, user.leaf)).to.equal(true);
          for (const index of leaves.keys())
            expect(checkTotal(user.leaf, proveLeaf(leaves, index))).to.deep.equal({
              isTrue: true,
              isWhole: true,
              hidden: 0n,
            });
        }
      }),
      { numRuns: 20 },
    );
  });

  it("opens nothing with one thing changed", () => {
    const { posted, users } = makeProofWorld(SHAPE);
    const proof = proveRow(posted, 70);
    const other = proveRow(posted, 71);
    expect(openAppliedRow(proof)?.userId).to.equal(220);
    const wrong = [
      { ...proof, row: 71 + 2 },
      { ...proof, row: 3 },
      { ...proof, chunk: `${proof.chunk}00` as Hex },
      { ...proof, chunkHashes: proof.chunkHashes.slice(1) },
      { ...proof, skipped: "0x" as Hex },
      { ...proof, skipped: "0x000000" as Hex },
      { ...proof, skipped: toHex(new Uint8Array(8)) },
      { ...proof, batch: { ...proof.batch, rowsHash: REQUEST.bodyHash } },
    ];
    for (const [n, one] of wrong.entries()) expect(openAppliedRow(one), String(n)).to.equal(undefined);
    const { user, leaves } = picked(users, 70);
    expect(opensUser(other, user)).to.equal(false);
    expect(opensUser(proof, { ...user, path: user.path.slice(1) })).to.equal(false);
    expect(opensUser(proof, { ...user, leaf: { ...user.leaf, sum: user.leaf.sum + 1n } })).to.equal(false);
    const leaf = proveLeaf(leaves, 2);
    const leafWrong: LeafProof[] = [
      { ...leaf, index: 3 },
      { ...leaf, index: 5 },
      { ...leaf, path: leaf.path.slice(1) },
      { ...leaf, leaf: { ...leaf.leaf, charge: leaf.leaf.charge + 1n } },
      { ...leaf, leaf: { ...leaf.leaf, evidenceHash: REQUEST.bodyHash } },
    ];
    for (const [n, one] of leafWrong.entries())
      expect(checkTotal(user.leaf, one), String(n)).to.equal(undefined);
  });

  it("sees a row that disagrees with its leaf, and a sum without receipts", () => {
    const { rows, users } = makeProofWorld(SHAPE);
    const { leaf } = picked(users, 70).user;
    const row = picked(rows, 70);
    for (const change of [
      { userId: 1 },
      { sum: leaf.sum - 1n },
      { cumStart: leaf.cumStart + 1n },
      { count: 0 },
    ])
      expect(agrees(row, { ...leaf, ...change }), JSON.stringify(Object.keys(change))).to.equal(false);
    const empty = { ...leaf, sum: 0n, count: 0 };
    expect(agrees({ ...row, delta: 0n, cumEnd: leaf.cumStart }, empty)).to.equal(true);
  });

  it("sees a false running total, and what a row charges beyond its receipts", () => {
    const { users } = makeProofWorld(SHAPE);
    const { user, leaves } = picked(users, 70);
    const late = { ...user.leaf, cumStart: user.leaf.cumStart + 1n };
    expect(checkTotal(late, proveLeaf(leaves, 1))).to.deep.equal({
      isTrue: false,
      isWhole: true,
      hidden: 0n,
    });
    const foreign = { ...user.leaf, userId: 1 };
    expect(checkTotal(foreign, proveLeaf(leaves, 1))?.isTrue).to.equal(false);
    const more = { ...user.leaf, sum: user.leaf.sum + 7n };
    expect(checkTotal(more, proveLeaf(leaves, 1))).to.deep.equal({
      isTrue: true,
      isWhole: false,
      hidden: 7n,
    });
    const fewer = { ...user.leaf, count: 4, subRoot: user.leaf.subRoot };
    // the tree of five has depth three, that of four two: nothing below it opens
    expect(checkTotal(fewer, proveLeaf(leaves, 3))).to.equal(undefined);
  });

  it("shows what is behind the last leaf of a count that is too low", () => {
    const { users } = makeProofWorld({ receipts: [4], metered: 1, skipped: [] });
    const { user, leaves } = picked(users, 0);
    const last = picked(leaves, 3).charge;
    const total = checkTotal({ ...user.leaf, count: 3 }, proveLeaf(leaves, 2));
    expect(total).to.deep.equal({ isTrue: true, isWhole: false, hidden: last });
  });

  it("refuses to open what is not there, and to answer without the receipt", () => {
    const { posted, users } = makeProofWorld(SHAPE);
    const { user, leaves } = picked(users, 70);
    expect(() => proveRow(posted, 73)).to.throw(RangeError, "no row 73");
    expect(() => proveUser([user.leaf], 1)).to.throw(RangeError, "no user leaf 1");
    expect(() => proveLeaf(leaves, 5)).to.throw(RangeError, "no receipt 5");
    const [v] = vectors;
    if (!v) throw new Error("The vector is missing.");
    const open = { ...demandOf(v), leafIndex: 4 };
    expect(() => answerArguments(open, { user, leaves })).to.throw(RangeError, "must be shown");
    const none = answerArguments({ ...open, leafIndex: 5 }, { user, leaves });
    expect(none[2].path).to.deep.equal([]);
  });

  it("knows the epoch of a row with the tolerance of the chain", () => {
    const posted = 10_000;
    const of = (openedAt: number, given: number) => isEpochOf({ openedAt, epoch: 3 }, posted, given);
    expect([2, 3, 4].map((epoch) => of(posted - 601, epoch))).to.deep.equal([false, true, false]);
    expect([0, 1, 2, 3, 4].map((epoch) => of(posted - 600, epoch))).to.deep.equal([
      false,
      true,
      true,
      true,
      false,
    ]);
    expect([0, 2, 3].map((epoch) => of(posted + 1, epoch))).to.deep.equal([false, true, false]);
  });
});
