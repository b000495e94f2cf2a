import {
  type Batch,
  commitOf,
  decodeSkipped,
  encodeSkipped,
  finalAt,
  headerFault,
  skippedHash,
} from "@aimo/protocol/batches";
import { toBytes, toHex, ZERO_32 } from "@aimo/protocol/bytes";
import { expect } from "chai";
import fc from "fast-check";
import { keccak256 } from "viem";
import { readVectors, type Vector } from "./cases.ts";

function batchOf(v: Vector): Batch {
  return {
    header: {
      batchNo: v.big("batchNo"),
      nA: v.number("nA"),
      nB: v.number("nB"),
      nC: v.number("nC"),
      depth: v.number("depth"),
      receiptsSum: v.big("receiptsSum"),
      receiptsRoot: v.hex("receiptsRoot"),
    },
    rowsHash: v.hex("rowsHash"),
    skippedHash: v.hex("skippedHash"),
    postedAt: v.number("postedAt"),
    debitA: v.big("debitA"),
  };
}

describe("protocol/batches", function () {
  // Generous: other programs may use the machine at the same time.

  this.timeout(20_000);
  const vectors = readVectors("batches");

  for (const v of vectors.filter((entry) => entry.text("kind") === "commit"))
    it(`commits to "${v.name}" as the vectors do`, () => {
      const skipped = v.list("skippedUserIds").map(Number);
      expect(commitOf(batchOf(v))).to.equal(v.text("commit"));
      expect(headerFault(batchOf(v).header)).to.equal(undefined);
      expect(toHex(encodeSkipped(skipped))).to.equal(v.text("skipped"));
      expect(decodeSkipped(toBytes(v.hex("skipped")))).to.deep.equal(skipped);
      expect(skippedHash(skipped)).to.equal(v.text("skippedHash"));
    });

  for (const v of vectors.filter((entry) => entry.text("kind") === "final"))
    it(`knows when a batch is final: ${v.name}`, () => {
      expect(finalAt(v.number("postedAt"), v.number("epoch"))).to.equal(v.number("finalAt"));
    });

  it("is final between one and two epochs after the post", () => {
    const seconds = fc.integer({ min: 0, max: 2 ** 40 - 1 });
    fc.assert(
      fc.property(seconds, fc.integer({ min: 1, max: 2 ** 32 - 1 }), (postedAt, epoch) => {
        const after = finalAt(postedAt, epoch) - postedAt;
        expect(after > epoch && after <= 2 * epoch).to.equal(true);
      }),
    );
  });

  it("commits to every part of a batch", () => {
    const [v] = vectors.filter((entry) => entry.name === "a metered row skipped");
    if (!v) throw new Error("The vector is missing.");
    const base = batchOf(v);
    const { header } = base;
    const word = keccak256("0x77");
    const other = (value: bigint | number | string) =>
      typeof value === "string" ? word : typeof value === "bigint" ? value + 1n : value + 1;
    const changes = [
      ...Object.entries(header).map(([name, value]) => ({ header: { ...header, [name]: other(value) } })),
      ...Object.entries(base)
        .filter(([name]) => name !== "header")
        .map(([name, value]) => ({ [name]: other(value as bigint | number | string) })),
    ];
    expect(changes).to.have.length(11);
    for (const change of changes)
      expect(commitOf({ ...base, ...change } as Batch), JSON.stringify(Object.keys(change))).to.not.equal(
        commitOf(base),
      );
  });

  it("names a header whose tree cannot be", () => {
    const [v] = vectors;
    if (!v) throw new Error("The vector is missing.");
    const { header } = batchOf(v);
    expect(headerFault({ ...header, nA: 3, depth: 1, receiptsRoot: keccak256("0x") })).to.contain(
      "depth is 1",
    );
    expect(headerFault({ ...header, receiptsRoot: keccak256("0x") })).to.contain("no user row");
    expect(headerFault({ ...header, nA: 1, receiptsRoot: ZERO_32 })).to.contain("no root");
  });

  it("reads back every list of skipped ids, and refuses parts of ids", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 2 ** 32 - 1 })), (ids) => {
        expect(decodeSkipped(encodeSkipped(ids))).to.deep.equal(ids);
      }),
    );
    for (const length of [1, 2, 3, 5])
      expect(() => decodeSkipped(new Uint8Array(length))).to.throw(RangeError);
  });
});
