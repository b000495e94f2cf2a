import { toBytes, toHex, uint } from "@aimo/protocol/bytes";
import {
  chunksOf,
  decodeRows,
  encodeRows,
  METERED_ROW_BYTES,
  openUserRow,
  PROVIDER_ROW_BYTES,
  type RowCounts,
  type Rows,
  rowOpening,
  rowsHash,
  SIGNED_ROW_BYTES,
  type SignedRow,
} from "@aimo/protocol/rows";
import { MAX_U64, MAX_U80 } from "@aimo/protocol/units";
import { expect } from "chai";
import fc from "fast-check";
import { concat, type Hex, keccak256 } from "viem";
import { readVectors, type Vector } from "./cases.ts";

const id = fc.integer({ min: 1, max: 2 ** 32 - 1 });
const u80 = fc.bigInt({ min: 0n, max: MAX_U80 });
const u64 = fc.bigInt({ min: 0n, max: MAX_U64 });
const word = (max: bigint) => fc.bigInt({ min: 1n, max }).map((value) => toHex(uint(value, 32)));
const sorted = <T extends { readonly userId: number }>(rows: T[]) => rows.sort((a, b) => a.userId - b.userId);
const debit = { userId: id, cumEnd: u80, delta: u64 };
const metered = fc
  .uniqueArray(fc.record(debit), { selector: (row) => row.userId, maxLength: 150 })
  .map(sorted);
const signed = fc
  .uniqueArray(
    fc
      // any numbers of the curve: who signed is not the decoder's business
      .record({ ...debit, excess: u64, r: word(2n ** 255n), vs: word(2n ** 254n) })
      .map((row): SignedRow => ({ ...row, excess: row.cumEnd + row.excess > MAX_U80 ? 0n : row.excess })),
    { selector: (row) => row.userId, maxLength: 100 },
  )
  .map(sorted);
const providers = fc
  .uniqueArray(fc.record({ providerId: id, cumEnd: u80 }), {
    selector: (row) => row.providerId,
    maxLength: 80,
  })
  .map((rows) => rows.sort((a, b) => a.providerId - b.providerId));
const batch = fc.record({ metered, signed, providers });

const countsOfRows = (rows: Required<Rows>): RowCounts => ({
  nA: rows.metered.length,
  nB: rows.signed.length,
  nC: rows.providers.length,
});
const countsOf = (v: Vector): RowCounts => ({ nA: v.number("nA"), nB: v.number("nB"), nC: v.number("nC") });

function rowsOf(v: Vector): Required<Rows> {
  const at = (field: string, index: number) => BigInt(v.list(field)[index] ?? "");
  const debitAt = (section: string) => (userId: string, i: number) => ({
    userId: Number(userId),
    cumEnd: at(`${section}Ends`, i),
    delta: at(`${section}Deltas`, i),
  });
  return {
    metered: v.list("meteredIds").map(debitAt("metered")),
    signed: v.list("signedIds").map((userId, i) => ({
      ...debitAt("signed")(userId, i),
      excess: at("signedExcesses", i),
      r: v.list("signedRs")[i] as Hex,
      vs: v.list("signedVss")[i] as Hex,
    })),
    providers: v
      .list("providerIds")
      .map((providerId, i) => ({ providerId: Number(providerId), cumEnd: at("providerEnds", i) })),
  };
}

describe("protocol/rows", function () {
  // Generous: other programs may use the machine at the same time.

  this.timeout(20_000);
  const vectors = readVectors("rows");
  const ofKind = (kind: string) => vectors.filter((entry) => entry.text("kind") === kind);

  for (const v of ofKind("rows").filter((entry) => entry.flag("valid")))
    it(`packs "${v.name}" as the vectors do`, () => {
      const rows = rowsOf(v);
      const data = toBytes(v.hex("rows"));
      expect(toHex(encodeRows(rows))).to.equal(v.text("rows"));
      expect(decodeRows(data, countsOf(v))).to.deep.equal(rows);
      expect(chunksOf(data, countsOf(v)).map((chunk) => keccak256(chunk))).to.deep.equal(
        v.list("chunkHashes"),
      );
      expect(rowsHash(data, countsOf(v))).to.equal(v.text("rowsHash"));
    });

  for (const v of ofKind("rows").filter((entry) => !entry.flag("valid")))
    it(`refuses ${v.name}`, () => {
      expect(() => decodeRows(toBytes(v.hex("rows")), countsOf(v))).to.throw(RangeError);
    });

  for (const v of ofKind("lengths"))
    it(`refuses every length but one: ${v.name}`, () => {
      const data = toBytes(v.hex("rows"));
      for (let length = 0; length <= data.length; length++) {
        const read = () => decodeRows(data.slice(0, length), countsOf(v));
        if (length === v.number("length")) expect(encodeRows(read())).to.deep.equal(data.slice(0, length));
        else expect(read, String(length)).to.throw(RangeError, `Rows have ${length} bytes`);
      }
    });

  for (const v of ofKind("opening"))
    it(`${v.flag("valid") ? "opens" : "does not open"} ${v.name}, as the vectors do`, () => {
      const opening = { chunk: v.hex("chunk"), chunkHashes: v.list("chunkHashes") as Hex[] };
      const row = openUserRow(v.hex("rowsHash"), countsOf(v), v.number("index"), opening);
      if (!v.flag("valid")) expect(row).to.equal(undefined);
      else
        expect(row).to.deep.equal({
          userId: v.number("userId"),
          cumEnd: v.big("cumEnd"),
          delta: v.big("delta"),
        });
    });

  it("reads back all rows it packs, and nothing that is cut or longer", () => {
    fc.assert(
      fc.property(batch, fc.nat(), fc.uint8Array({ minLength: 1, maxLength: 95 }), (rows, cut, more) => {
        const data = encodeRows(rows);
        const counts = countsOfRows(rows);
        const { nA, nB, nC } = counts;
        expect(data.length).to.equal(
          nA * METERED_ROW_BYTES + nB * SIGNED_ROW_BYTES + nC * PROVIDER_ROW_BYTES,
        );
        expect(decodeRows(data, counts)).to.deep.equal(rows);
        expect(() => decodeRows(Uint8Array.from([...data, ...more]), counts)).to.throw(RangeError);
        if (data.length > 0)
          expect(() => decodeRows(data.slice(0, cut % data.length), counts)).to.throw(RangeError);
      }),
      { numRuns: 30 },
    );
  });

  it("hashes chunks of 64 rows of one section each", () => {
    fc.assert(
      fc.property(batch, (rows) => {
        const data = encodeRows(rows);
        const counts = countsOfRows(rows);
        const cut = (part: Uint8Array, size: number) =>
          Array.from({ length: Math.ceil(part.length / (64 * size)) }, (_, i) =>
            keccak256(part.slice(64 * size * i, 64 * size * (i + 1))),
          );
        const middle = counts.nA * METERED_ROW_BYTES;
        const end = middle + counts.nB * SIGNED_ROW_BYTES;
        const chunks = [
          ...cut(data.slice(0, middle), METERED_ROW_BYTES),
          ...cut(data.slice(middle, end), SIGNED_ROW_BYTES),
          ...cut(data.slice(end), PROVIDER_ROW_BYTES),
        ];
        expect(rowsHash(data, counts)).to.equal(keccak256(concat(chunks)));
      }),
      { numRuns: 30 },
    );
  });

  it("opens every user row at its own index, and no other row by it", () => {
    fc.assert(
      fc.property(batch, fc.nat(), fc.nat(), (rows, pick, other) => {
        const userRows = [...rows.metered, ...rows.signed];
        if (userRows.length === 0) return;
        const data = encodeRows(rows);
        const counts = countsOfRows(rows);
        const root = rowsHash(data, counts);
        const index = pick % userRows.length;
        const opening = rowOpening(data, counts, index);
        const { userId, cumEnd, delta } = userRows[index] ?? { userId: 0, cumEnd: 0n, delta: 0n };
        expect(openUserRow(root, counts, index, opening)).to.deep.equal({ userId, cumEnd, delta });
        const elsewhere = other % (2 * userRows.length);
        const shown = openUserRow(root, counts, elsewhere, opening);
        if (shown) expect(shown.userId).to.equal(userRows[elsewhere]?.userId);
        const changed = toBytes(opening.chunk).map((byte, at) => (at === 0 ? byte ^ 1 : byte));
        expect(openUserRow(root, counts, index, { ...opening, chunk: toHex(changed) })).to.equal(undefined);
      }),
      { numRuns: 30 },
    );
    expect(() => rowOpening(new Uint8Array(), { nA: 0, nB: 0, nC: 0 }, 0)).to.throw(RangeError, "no row 0");
  });

  const SIGNATURE = { r: toHex(uint(1, 32)), vs: toHex(uint(1, 32)) };
  const signedRow = (change: Partial<SignedRow>): SignedRow => ({
    userId: 1,
    cumEnd: 1n,
    delta: 1n,
    excess: 0n,
    ...SIGNATURE,
    ...change,
  });

  it("names section and row of ids that do not ascend", () => {
    for (const ids of [[2, 1], [1, 1], [0]]) {
      const row = `Row ${ids.length - 1} of the`;
      const debits = ids.map((userId) => signedRow({ userId }));
      const credits = ids.map((providerId) => ({ providerId, cumEnd: 1n }));
      expect(() => encodeRows({ metered: debits, providers: [] })).to.throw(
        RangeError,
        `${row} metered rows: user id`,
      );
      const rows = { metered: [], signed: debits, providers: [] };
      expect(() => encodeRows(rows)).to.throw(RangeError, `${row} signed rows: user id`);
      expect(() => encodeRows({ metered: [], providers: credits })).to.throw(
        RangeError,
        `${row} provider rows: provider id`,
      );
    }
  });

  it("takes the highest value of every field, and names the row and the field of one more", () => {
    const highest = { userId: 2 ** 32 - 1, cumEnd: MAX_U80, delta: MAX_U64 };
    const over: readonly [Partial<SignedRow>, string][] = [
      [{ userId: 2 ** 32 }, "userId 4294967296 does not fit 32 bits"],
      [{ cumEnd: MAX_U80 + 1n }, "cumEnd 1208925819614629174706176 does not fit 80 bits"],
      [{ delta: MAX_U64 + 1n }, "delta 18446744073709551616 does not fit 64 bits"],
      [{ delta: -1n }, "delta -1 does not fit 64 bits"],
    ];
    const encodeMetered = (row: Partial<SignedRow>) =>
      encodeRows({
        metered: [
          { ...highest, userId: 1 },
          { ...highest, ...row },
        ],
        providers: [],
      });
    const encodeSigned = (row: Partial<SignedRow>) =>
      encodeRows({ metered: [], signed: [signedRow({}), signedRow({ ...highest, ...row })], providers: [] });
    encodeMetered({});
    encodeSigned({});
    encodeSigned({ cumEnd: MAX_U80 - MAX_U64, excess: MAX_U64 });
    for (const [change, what] of over) {
      expect(() => encodeMetered(change)).to.throw(RangeError, `Row 1 of the metered rows: ${what}.`);
      expect(() => encodeSigned(change)).to.throw(RangeError, `Row 1 of the signed rows: ${what}.`);
    }
    expect(() => encodeSigned({ cumEnd: 0n, excess: MAX_U64 + 1n })).to.throw(RangeError, "excess");
    expect(() => encodeSigned({ excess: 1n })).to.throw(RangeError, "voucher's cumulative");
    const credit = (cumEnd: bigint) =>
      encodeRows({ metered: [], providers: [{ providerId: 2 ** 32 - 1, cumEnd }] });
    expect(credit(MAX_U80).length).to.equal(PROVIDER_ROW_BYTES);
    expect(() => credit(MAX_U80 + 1n)).to.throw(RangeError, "Row 0 of the provider rows: cumEnd");
  });

  it("refuses to pack a signature that the chain would refuse, and reads one from a skipped row", () => {
    const half = 0x7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0n;
    const rowsWith = (change: Partial<SignedRow>) => ({
      metered: [],
      signed: [signedRow(change)],
      providers: [],
    });
    encodeRows(rowsWith({ vs: toHex(uint(half, 32)) }));
    encodeRows(rowsWith({ vs: toHex(uint(half + 2n ** 255n, 32)) }));
    const wrong: Partial<SignedRow>[] = [
      { vs: toHex(uint(half + 1n, 32)) },
      { vs: toHex(uint(0, 32)) },
      { r: toHex(uint(0, 32)) },
      { r: "0x01" },
      { vs: "0x" },
    ];
    for (const change of wrong)
      expect(() => encodeRows(rowsWith(change))).to.throw(RangeError, "Row 0 of the signed rows: ");
    const data = encodeRows(rowsWith({}));
    data.fill(0xff, 22);
    const counts = { nA: 0, nB: 1, nC: 0 };
    expect(decodeRows(data, counts).signed[0]).to.deep.include({ userId: 1, excess: MAX_U64 });
  });
});
