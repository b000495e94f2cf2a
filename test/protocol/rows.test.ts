import { toBytes, toHex } from "@aimo/protocol/bytes";
import {
  commitOf,
  decodeRows,
  encodeRows,
  METERED_ROW_BYTES,
  type MeteredRow,
  PROVIDER_ROW_BYTES,
  type ProviderRow,
  rowsHash,
  skippedHash,
} from "@aimo/protocol/rows";
import { MAX_U64, MAX_U80 } from "@aimo/protocol/units";
import { expect } from "chai";
import fc from "fast-check";
import { concat, keccak256 } from "viem";
import { readVectors, type Vector } from "./cases.ts";

const id = fc.integer({ min: 1, max: 2 ** 32 - 1 });
const u80 = fc.bigInt({ min: 0n, max: MAX_U80 });
const u64 = fc.bigInt({ min: 0n, max: MAX_U64 });
const metered = fc
  .uniqueArray(fc.record({ userId: id, cumEnd: u80, delta: u64 }), {
    selector: (row) => row.userId,
    maxLength: 200,
  })
  .map((rows) => rows.sort((a, b) => a.userId - b.userId));
const providers = fc
  .uniqueArray(fc.record({ providerId: id, cumEnd: u80 }), {
    selector: (row) => row.providerId,
    maxLength: 80,
  })
  .map((rows) => rows.sort((a, b) => a.providerId - b.providerId));

function rowsOf(v: Vector): { metered: MeteredRow[]; providers: ProviderRow[] } {
  const at = (field: string, index: number) => BigInt(v.list(field)[index] ?? "");
  return {
    metered: v.list("userIds").map((userId, i) => ({
      userId: Number(userId),
      cumEnd: at("userCumEnds", i),
      delta: at("deltas", i),
    })),
    providers: v
      .list("providerIds")
      .map((providerId, i) => ({ providerId: Number(providerId), cumEnd: at("providerCumEnds", i) })),
  };
}

const countsOf = (v: Vector) => ({ nA: v.number("nA"), nB: v.number("nB"), nC: v.number("nC") });

describe("protocol/rows", function () {
  // Generous: other programs may use the machine at the same time.

  this.timeout(20_000);
  const vectors = readVectors("rows");

  for (const v of vectors.filter((entry) => entry.flag("valid")))
    it(`packs and commits to "${v.name}" as the vectors do`, () => {
      const rows = rowsOf(v);
      const data = toBytes(v.hex("rows"));
      const skipped = v.list("skippedUserIds").map(Number);
      expect(toHex(encodeRows(rows))).to.equal(v.text("rows"));
      expect(decodeRows(data, countsOf(v))).to.deep.equal(rows);
      expect(rowsHash(data, countsOf(v))).to.equal(v.text("rowsHash"));
      expect(skippedHash(skipped)).to.equal(v.text("skippedHash"));
      const header = {
        batchNo: v.big("batchNo"),
        ...countsOf(v),
        depth: v.number("depth"),
        receiptsSum: v.big("receiptsSum"),
        receiptsRoot: v.hex("receiptsRoot"),
      };
      const rest = { rowsHash: v.hex("rowsHash"), skippedHash: v.hex("skippedHash") };
      const commit = commitOf({ header, ...rest, postedAt: v.number("postedAt"), debitA: v.big("debitA") });
      expect(commit).to.equal(v.text("commit"));
    });

  for (const v of vectors.filter((entry) => !entry.flag("valid")))
    it(`refuses rows with ${v.name}`, () => {
      expect(() => decodeRows(toBytes(v.hex("rows")), countsOf(v))).to.throw(RangeError);
    });

  it("reads back all rows it packs", () => {
    fc.assert(
      fc.property(metered, providers, (a, c) => {
        const data = encodeRows({ metered: a, providers: c });
        expect(data.length).to.equal(a.length * METERED_ROW_BYTES + c.length * PROVIDER_ROW_BYTES);
        const counts = { nA: a.length, nB: 0, nC: c.length };
        expect(decodeRows(data, counts)).to.deep.equal({ metered: a, providers: c });
      }),
      { numRuns: 30 },
    );
  });

  it("hashes chunks of 64 rows of one section each", () => {
    fc.assert(
      fc.property(metered, providers, (a, c) => {
        const data = encodeRows({ metered: a, providers: c });
        const cut = (rows: Uint8Array, size: number) =>
          Array.from({ length: Math.ceil(rows.length / (64 * size)) }, (_, i) =>
            keccak256(rows.slice(64 * size * i, 64 * size * (i + 1))),
          );
        const split = a.length * METERED_ROW_BYTES;
        const chunks = [
          ...cut(data.slice(0, split), METERED_ROW_BYTES),
          ...cut(data.slice(split), PROVIDER_ROW_BYTES),
        ];
        const counts = { nA: a.length, nB: 0, nC: c.length };
        expect(rowsHash(data, counts)).to.equal(keccak256(concat(chunks)));
      }),
      { numRuns: 30 },
    );
  });

  it("refuses to pack ids that do not ascend, or values too wide", () => {
    const row = { cumEnd: 1n, delta: 1n };
    for (const ids of [[2, 1], [1, 1], [0]]) {
      const rows = ids.map((userId) => ({ userId, ...row }));
      expect(() => encodeRows({ metered: rows, providers: [] })).to.throw(RangeError, "user id");
      const credits = ids.map((providerId) => ({ providerId, cumEnd: 1n }));
      expect(() => encodeRows({ metered: [], providers: credits })).to.throw(RangeError, "provider id");
    }
    const wide = [{ userId: 1, cumEnd: MAX_U80 + 1n, delta: 1n }];
    expect(() => encodeRows({ metered: wide, providers: [] })).to.throw(RangeError, "80 bits");
  });

  it("commits to every part of a batch", () => {
    const v = vectors.find((entry) => entry.name === "10 users, three of them skipped");
    if (!v) throw new Error("The vector is missing.");
    const header = {
      batchNo: 1n,
      nA: 1,
      nB: 0,
      nC: 1,
      depth: 0,
      receiptsSum: 5n,
      receiptsRoot: v.hex("receiptsRoot"),
    };
    const base = {
      header,
      rowsHash: v.hex("rowsHash"),
      skippedHash: v.hex("skippedHash"),
      postedAt: 9,
      debitA: 4n,
    };
    const changes = [
      ...Object.entries(header).map(([name, value]) => ({
        header: { ...header, [name]: typeof value === "string" ? v.hex("rowsHash") : Number(value) + 1 },
      })),
      { rowsHash: v.hex("skippedHash") },
      { skippedHash: v.hex("rowsHash") },
      { postedAt: 10 },
      { debitA: 5n },
    ];
    for (const change of changes)
      expect(commitOf({ ...base, ...change } as typeof base)).to.not.equal(commitOf(base));
  });
});
