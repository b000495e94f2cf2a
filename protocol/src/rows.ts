import type { Hex } from "viem";
import { concat, hash, readUint, toBytes, toHex, uint } from "./bytes.ts";
import { type CompactSignature, compactFault } from "./signatures.ts";

/** What every user row begins with: debits a channel of the interval (cumEnd - delta, cumEnd]. pUSD. */
export type DebitRow = { readonly userId: number; readonly cumEnd: bigint; readonly delta: bigint };
/** A row that debits a METERED channel. */
export type MeteredRow = DebitRow;
/** A row that debits a SIGNED channel: its session key signed a SpendVoucher over `cumEnd + excess`. pUSD. */
export type SignedRow = DebitRow & CompactSignature & { readonly excess: bigint };
/** A row that credits a provider up to the cumulative `cumEnd`. pUSD. */
export type ProviderRow = { readonly providerId: number; readonly cumEnd: bigint };
export type Rows = {
  readonly metered: readonly MeteredRow[];
  readonly signed?: readonly SignedRow[];
  readonly providers: readonly ProviderRow[];
};

/** Header of `Settlement.post`, field for field. */
export type PostHeader = {
  readonly batchNo: bigint;
  readonly nA: number;
  readonly nB: number;
  readonly nC: number;
  readonly depth: number;
  readonly receiptsSum: bigint;
  readonly receiptsRoot: Hex;
};

/** How many rows each section has. */
export type RowCounts = Pick<PostHeader, "nA" | "nB" | "nC">;

export const METERED_ROW_BYTES = 22;
export const SIGNED_ROW_BYTES = 94;
export const PROVIDER_ROW_BYTES = 14;
/** Rows of a chunk at most; a chunk holds rows of one section. */
export const CHUNK_ROWS = 64;

type Section = "metered" | "signed" | "provider";
const SIZES: Readonly<Record<Section, number>> = {
  metered: METERED_ROW_BYTES,
  signed: SIGNED_ROW_BYTES,
  provider: PROVIDER_ROW_BYTES,
};

/**
 * Metered rows, then signed rows, then provider rows, packed. Throws a RangeError that names row and field: ids that do
 * not ascend strictly within a section, values too wide, vouchers above 80 bits, signatures that the chain refuses.
 */
export function encodeRows({ metered, signed = [], providers }: Rows): Uint8Array {
  ascending("metered", metered.map(userIdOf));
  ascending("signed", signed.map(userIdOf));
  ascending("provider", providers.map(providerIdOf));
  return concat([
    ...metered.flatMap((row, index) => debitFields(fieldsOf("metered", index), row)),
    ...signed.flatMap((row, index) => signedFields(index, row)),
    ...providers.flatMap((row, index) => {
      const field = fieldsOf("provider", index);
      return [field("providerId", row.providerId, 4), field("cumEnd", row.cumEnd, 10)];
    }),
  ]);
}

const userIdOf = ({ userId }: DebitRow): number => userId;
const providerIdOf = ({ providerId }: ProviderRow): number => providerId;

type FieldWriter = (name: string, value: bigint | number, bytes: number) => Uint8Array;

/** Writes fields of one row; what does not fit is named. */
function fieldsOf(section: Section, index: number): FieldWriter {
  return (name, value, bytes) => {
    try {
      return uint(value, bytes);
    } catch (cause) {
      throw faultOf(section, index, `${name} ${value} does not fit ${8 * bytes} bits`, cause);
    }
  };
}

function faultOf(section: Section, index: number, what: string, cause?: unknown): RangeError {
  return new RangeError(
    `Row ${index} of the ${section} rows: ${what}.`,
    cause === undefined ? {} : { cause },
  );
}

function debitFields(field: FieldWriter, { userId, cumEnd, delta }: DebitRow): Uint8Array[] {
  return [field("userId", userId, 4), field("cumEnd", cumEnd, 10), field("delta", delta, 8)];
}

function signedFields(index: number, row: SignedRow): Uint8Array[] {
  const field = fieldsOf("signed", index);
  const head = [...debitFields(field, row), field("excess", row.excess, 8)];
  field("voucher's cumulative", voucherOf(row), 10);
  const fault = compactFault(row);
  if (fault) throw faultOf("signed", index, fault);
  return [...head, toBytes(row.r), toBytes(row.vs)];
}

/** What the voucher of a signed row is for, pUSD. */
export function voucherOf({ cumEnd, excess }: Pick<SignedRow, "cumEnd" | "excess">): bigint {
  return cumEnd + excess;
}

function ascending(section: Section, ids: readonly number[]): void {
  const name = section === "provider" ? "provider id" : "user id";
  ids.forEach((id, index) => {
    if (id <= (ids[index - 1] ?? 0)) throw faultOf(section, index, `${name} ${id} does not ascend`);
  });
}

/**
 * Inverse of `encodeRows`. Throws a RangeError when the length does not fit the counts, or ids do not ascend. Vouchers
 * are given as they are: the chain looks at those of rows that it applies, so a skipped row may carry anything.
 */
export function decodeRows(data: Uint8Array, counts: RowCounts): Required<Rows> {
  const want = offsetOf(counts, "provider") + PROVIDER_ROW_BYTES * counts.nC;
  if (data.length !== want)
    throw new RangeError(
      `Rows have ${data.length} bytes; ${counts.nA} metered, ${counts.nB} signed and ${counts.nC} provider rows have ${want}.`,
    );
  const read = <T>(section: Section, count: number, one: (data: Uint8Array, offset: number) => T): T[] =>
    Array.from({ length: count }, (_, i) => one(data, offsetOf(counts, section) + SIZES[section] * i));
  const metered = read("metered", counts.nA, readDebitRow);
  const signed = read("signed", counts.nB, readSignedRow);
  const providers = read("provider", counts.nC, readProviderRow);
  ascending("metered", metered.map(userIdOf));
  ascending("signed", signed.map(userIdOf));
  ascending("provider", providers.map(providerIdOf));
  return { metered, signed, providers };
}

/** Where a section begins. */
function offsetOf({ nA, nB }: RowCounts, section: Section): number {
  if (section === "metered") return 0;
  return METERED_ROW_BYTES * nA + (section === "signed" ? 0 : SIGNED_ROW_BYTES * nB);
}

function readDebitRow(data: Uint8Array, offset: number): DebitRow {
  return {
    userId: Number(readUint(data, offset, 4)),
    cumEnd: readUint(data, offset + 4, 10),
    delta: readUint(data, offset + 14, 8),
  };
}

function readSignedRow(data: Uint8Array, offset: number): SignedRow {
  const word = (from: number): Hex => toHex(data.slice(from, from + 32));
  const excess = readUint(data, offset + METERED_ROW_BYTES, 8);
  const signature = { r: word(offset + 30), vs: word(offset + 62) };
  return { ...readDebitRow(data, offset), excess, ...signature };
}

function readProviderRow(data: Uint8Array, offset: number): ProviderRow {
  return { providerId: Number(readUint(data, offset, 4)), cumEnd: readUint(data, offset + 4, 10) };
}

/** Chunks in order A, B, C: at most 64 rows of one section each. The data must have the length of the counts. */
export function chunksOf(data: Uint8Array, { nA, nB, nC }: RowCounts): Uint8Array[] {
  const chunks: Uint8Array[] = [];
  let offset = 0;
  for (const [count, size] of [
    [nA, METERED_ROW_BYTES],
    [nB, SIGNED_ROW_BYTES],
    [nC, PROVIDER_ROW_BYTES],
  ] as const) {
    for (let left = count; left > 0; left -= CHUNK_ROWS) {
      const end = offset + Math.min(left, CHUNK_ROWS) * size;
      chunks.push(data.subarray(offset, end));
      offset = end;
    }
  }
  return chunks;
}

/** keccak of the chunk hashes, so that one row can be shown later without all the others. */
export function rowsHash(data: Uint8Array, counts: RowCounts): Hex {
  return toHex(hash(concat(chunksOf(data, counts).map((chunk) => hash(chunk)))));
}

/** One user row shown without the others: the rows of its chunk, and the hashes of all chunks. */
export type RowOpening = { readonly chunk: Hex; readonly chunkHashes: readonly Hex[] };

/** Opening of the user row at `index`, metered rows first. Throws a RangeError when there is none. */
export function rowOpening(data: Uint8Array, counts: RowCounts, index: number): RowOpening {
  const chunks = chunksOf(data, counts);
  const chunk = chunks[placeOf(counts, index)?.chunk ?? -1];
  if (!chunk) throw new RangeError(`There is no row ${index} among ${counts.nA + counts.nB} user rows.`);
  return { chunk: toHex(chunk), chunkHashes: chunks.map((one) => toHex(hash(one))) };
}

/** The row that an opening shows; undefined when there is no such row, or the chunks are not those of the rows. */
export function openUserRow(
  rowsHash: Hex,
  counts: RowCounts,
  index: number,
  { chunk, chunkHashes }: RowOpening,
): DebitRow | undefined {
  const place = placeOf(counts, index);
  if (!place || chunkHashes.length !== chunkCount(counts)) return undefined;
  const data = toBytes(chunk);
  if (toHex(hash(data)) !== chunkHashes[place.chunk]) return undefined;
  if (toHex(hash(concat(chunkHashes.map(toBytes)))) !== rowsHash) return undefined;
  // the hash fixes the chunk's length, and a chunk that was posted has its row
  return readDebitRow(data, place.offset);
}

/** Chunk of a user row, and where it begins in it. */
function placeOf(
  { nA, nB }: RowCounts,
  index: number,
): { readonly chunk: number; readonly offset: number } | undefined {
  if (!Number.isInteger(index) || index < 0 || index >= nA + nB) return undefined;
  const isMetered = index < nA;
  const row = isMetered ? index : index - nA;
  const size = isMetered ? METERED_ROW_BYTES : SIGNED_ROW_BYTES;
  const before = isMetered ? 0 : chunksFor(nA);
  return { chunk: before + Math.floor(row / CHUNK_ROWS), offset: (row % CHUNK_ROWS) * size };
}

const chunksFor = (rows: number): number => Math.ceil(rows / CHUNK_ROWS);
const chunkCount = ({ nA, nB, nC }: RowCounts): number => chunksFor(nA) + chunksFor(nB) + chunksFor(nC);
