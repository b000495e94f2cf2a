import { toHex } from "@aimo/protocol/bytes";
import {
  chunksOf,
  decodeRows,
  encodeRows,
  METERED_ROW_BYTES,
  type MeteredRow,
  openUserRow,
  type ProviderRow,
  type RowCounts,
  rowOpening,
  rowsHash,
  SIGNED_ROW_BYTES,
  type SignedRow,
} from "@aimo/protocol/rows";
import { MAX_U64, MAX_U80 } from "@aimo/protocol/units";
import { type Hex, keccak256 } from "viem";
import { bytes32, type Case } from "./case.ts";
import { signVoucher } from "./vouchers.ts";

const ROW_RELAY = 3;
const ROW_EPOCH = 5;

type Input = {
  readonly name: string;
  readonly metered?: readonly MeteredRow[];
  readonly signed?: readonly SignedRow[];
  readonly providers?: readonly ProviderRow[];
};

const users = (count: number): MeteredRow[] =>
  Array.from({ length: count }, (_, i) => ({
    userId: 3 * i + 1,
    cumEnd: 1_000_000_007n * BigInt(i + 1),
    delta: 1_000_003n * BigInt(i + 1),
  }));
const providers = (count: number): ProviderRow[] =>
  Array.from({ length: count }, (_, i) => ({ providerId: 2 * i + 1, cumEnd: 999_999_937n * BigInt(i + 1) }));
const signers = (count: number): Promise<SignedRow[]> =>
  Promise.all(
    Array.from({ length: count }, (_, i) => {
      const delta = 2_000_003n * BigInt(i + 1);
      // every third voucher is used up to the last pUSD
      return signedRow({ userId: 5 * i + 2, cumEnd: 3n * delta, delta, excess: BigInt(i % 3) * 77_777n });
    }),
  );

async function signedRow(row: Omit<SignedRow, "r" | "vs">): Promise<SignedRow> {
  const { userId, cumEnd, excess } = row;
  const voucher = { relayId: ROW_RELAY, userId, channelEpoch: ROW_EPOCH, cumulative: cumEnd + excess };
  return { ...row, ...(await signVoucher(voucher)).compact };
}

async function inputs(): Promise<Input[]> {
  const highest = { userId: 2 ** 32 - 1, cumEnd: MAX_U80, delta: MAX_U64 };
  return [
    { name: "nothing" },
    ...[1, 2, 63, 64, 65, 128, 130].map((count) => ({ name: `${count} metered`, metered: users(count) })),
    ...[1, 64, 65].map((count) => ({ name: `${count} providers`, providers: providers(count) })),
    { name: "1 signed", signed: await signers(1) },
    { name: "65 signed", signed: await signers(65) },
    { name: "65 metered and 3 providers", metered: users(65), providers: providers(3) },
    { name: "2 signed and 1 provider", signed: await signers(2), providers: providers(1) },
    { name: "1 of each", metered: users(1), signed: await signers(1), providers: providers(1) },
    { name: "65, 3 and 2 of each", metered: users(65), signed: await signers(3), providers: providers(2) },
    {
      name: "highest values",
      metered: [highest],
      signed: [await signedRow({ ...highest, cumEnd: MAX_U80 - MAX_U64, excess: MAX_U64 })],
      providers: [{ providerId: 2 ** 32 - 1, cumEnd: MAX_U80 }],
    },
    {
      name: "a voucher for the highest value",
      signed: [await signedRow({ userId: 9, cumEnd: MAX_U80, delta: 1n, excess: 0n })],
    },
    {
      name: "lowest values",
      metered: [{ userId: 1, cumEnd: 1n, delta: 1n }],
      signed: [await signedRow({ userId: 1, cumEnd: 0n, delta: 0n, excess: 0n })],
      providers: [{ providerId: 1, cumEnd: 0n }],
    },
  ];
}

/** Packed rows with their hashes, rows that `post` must refuse, and openings of single rows. */
export async function rowCases(): Promise<Case[]> {
  const three = await signers(3);
  return [
    ...(await inputs()).map(goodCase),
    ...falseCases(three),
    lengthsCase(three.slice(0, 1)),
    ...(await openingCases()),
  ];
}

const decimalsOf = (counts: RowCounts) => ({
  nA: String(counts.nA),
  nB: String(counts.nB),
  nC: String(counts.nC),
});
const column = <T>(rows: readonly T[], field: keyof T): string[] => rows.map((row) => String(row[field]));

function goodCase({ name, metered = [], signed = [], providers = [] }: Input): Case {
  const data = encodeRows({ metered, signed, providers });
  const counts = { nA: metered.length, nB: signed.length, nC: providers.length };
  return {
    kind: "rows",
    name,
    valid: true,
    ...decimalsOf(counts),
    rows: toHex(data),
    meteredIds: column(metered, "userId"),
    meteredEnds: column(metered, "cumEnd"),
    meteredDeltas: column(metered, "delta"),
    signedIds: column(signed, "userId"),
    signedEnds: column(signed, "cumEnd"),
    signedDeltas: column(signed, "delta"),
    signedExcesses: column(signed, "excess"),
    signedRs: column(signed, "r"),
    signedVss: column(signed, "vs"),
    providerIds: column(providers, "providerId"),
    providerEnds: column(providers, "cumEnd"),
    chunkHashes: chunksOf(data, counts).map((chunk) => keccak256(chunk)),
    rowsHash: rowsHash(data, counts),
  };
}

function falseCases(signed: readonly SignedRow[]): Case[] {
  const counts = { nA: 3, nB: 3, nC: 2 };
  const data = encodeRows({ metered: users(3), signed, providers: providers(2) });
  const signedAt = 3 * METERED_ROW_BYTES;
  const providersAt = signedAt + 3 * SIGNED_ROW_BYTES;
  const put = (at: number, bytes: Uint8Array) => {
    const changed = Uint8Array.from(data);
    changed.set(bytes, at);
    return changed;
  };
  const idAt = (at: number) => data.slice(at, at + 4);
  const zero = new Uint8Array(4);
  const swapped = (at: number, size: number) =>
    put(at, Uint8Array.from([...data.slice(at + size, at + 2 * size), ...data.slice(at, at + size)]));
  const faults: [string, Uint8Array][] = [
    ["metered users out of order", swapped(0, METERED_ROW_BYTES)],
    ["a metered user twice", put(METERED_ROW_BYTES, idAt(0))],
    ["a metered user 0", put(0, zero)],
    ["signed users out of order", swapped(signedAt, SIGNED_ROW_BYTES)],
    ["a signed user twice", put(signedAt + SIGNED_ROW_BYTES, idAt(signedAt))],
    ["a signed user 0", put(signedAt, zero)],
    ["the last signed user twice", put(signedAt + 2 * SIGNED_ROW_BYTES, idAt(signedAt + SIGNED_ROW_BYTES))],
    ["providers out of order", swapped(providersAt, 14)],
    ["a provider twice", put(providersAt + 14, idAt(providersAt))],
    ["a provider 0", put(providersAt, zero)],
    ["a byte too few", data.slice(0, -1)],
    ["a byte too many", Uint8Array.from([...data, 0])],
    [
      "a signed row of the old 89 bytes",
      Uint8Array.from([...data.slice(0, signedAt + 89), ...data.slice(signedAt + 94)]),
    ],
    ["no rows", new Uint8Array()],
  ];
  return faults.map(([name, rows]) => {
    if (!throws(() => decodeRows(rows, counts))) throw new Error(`"${name}" is taken for good.`);
    return { kind: "rows", name, valid: false, ...decimalsOf(counts), rows: toHex(rows) };
  });
}

/** Of all beginnings of these bytes, and no bytes at all, only the one of `length` bytes is taken. */
function lengthsCase(signed: readonly SignedRow[]): Case {
  const data = encodeRows({ metered: users(1), signed, providers: providers(1) });
  return {
    kind: "lengths",
    name: "one row of each, cut and extended to every length",
    ...decimalsOf({ nA: 1, nB: 1, nC: 1 }),
    rows: toHex(Uint8Array.from([...data, ...data])),
    length: String(data.length),
  };
}

type Opening = {
  readonly rowsHash: Hex;
  readonly chunk: Hex;
  readonly chunkHashes: readonly Hex[];
  readonly index: number;
};

async function openingCases(): Promise<Case[]> {
  const small = { metered: users(65), signed: await signers(2), providers: providers(1) };
  const large = { metered: users(1), signed: await signers(65), providers: [] };
  return [
    ...[0, 63, 64, 65, 66].map((index) => openingOf(small, index)),
    ...[0, 1, 65].map((index) => openingOf(large, index)),
    ...falseOpenings(small),
  ];
}

type AllRows = Required<Omit<Input, "name">>;
const countsOf = ({ metered, signed, providers }: AllRows): RowCounts => ({
  nA: metered.length,
  nB: signed.length,
  nC: providers.length,
});

function openingOf(rows: AllRows, index: number): Case {
  const counts = countsOf(rows);
  const data = encodeRows(rows);
  const opening = { rowsHash: rowsHash(data, counts), ...rowOpening(data, counts, index), index };
  const row = [...rows.metered, ...rows.signed][index];
  if (!row) throw new RangeError(`No row ${index}.`);
  const shown = openUserRow(opening.rowsHash, counts, index, opening);
  if (shown?.userId !== row.userId || shown.cumEnd !== row.cumEnd || shown.delta !== row.delta)
    throw new Error(`Row ${index} does not open.`);
  return {
    ...openingCase(`row ${index} of ${counts.nA} metered and ${counts.nB} signed`, counts, opening),
    valid: true,
    userId: String(row.userId),
    cumEnd: String(row.cumEnd),
    delta: String(row.delta),
  };
}

function openingCase(name: string, counts: RowCounts, opening: Opening): Case {
  return { kind: "opening", name, ...decimalsOf(counts), ...opening, index: String(opening.index) };
}

function falseOpenings(rows: AllRows): Case[] {
  const counts = countsOf(rows);
  const data = encodeRows(rows);
  const at = (index: number): Opening => ({
    rowsHash: rowsHash(data, counts),
    ...rowOpening(data, counts, index),
    index,
  });
  const good = at(64);
  const faults: [string, Opening][] = [
    ["a row of another chunk", { ...good, index: 63 }],
    ["a signed row in a metered chunk", { ...good, index: 65 }],
    ["a metered row in a signed chunk", { ...at(65), index: 64 }],
    ["an index of a provider row", { ...at(66), index: 67 }],
    ["an index far outside", { ...good, index: 2 ** 32 - 1 }],
    ["another chunk", { ...good, chunk: at(0).chunk }],
    [
      "a chunk with a byte changed",
      { ...good, chunk: `${good.chunk.slice(0, -1)}${good.chunk.endsWith("0") ? 1 : 0}` as Hex },
    ],
    ["a chunk without its last byte", { ...good, chunk: good.chunk.slice(0, -2) as Hex }],
    ["no chunk", { ...good, chunk: "0x" }],
    ["a chunk hash too few", { ...good, chunkHashes: good.chunkHashes.slice(0, -1) }],
    ["a chunk hash too many", { ...good, chunkHashes: [...good.chunkHashes, bytes32("more")] }],
    ["chunk hashes in another order", { ...good, chunkHashes: [...good.chunkHashes].reverse() }],
    ["other rows", { ...good, rowsHash: bytes32("other rows") }],
  ];
  return faults.map(([name, opening]) => {
    if (openUserRow(opening.rowsHash, counts, opening.index, opening)) throw new Error(`"${name}" opens.`);
    return { ...openingCase(name, counts, opening), valid: false };
  });
}

function throws(run: () => unknown): boolean {
  try {
    run();
    return false;
  } catch {
    return true;
  }
}
