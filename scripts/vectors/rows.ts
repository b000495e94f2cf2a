import { depthOf, toHex } from "@aimo/protocol/bytes";
import {
  commitOf,
  decodeRows,
  encodeRows,
  METERED_ROW_BYTES,
  type MeteredRow,
  type PostHeader,
  type ProviderRow,
  rowsHash,
  skippedHash,
} from "@aimo/protocol/rows";
import { MAX_U64, MAX_U80 } from "@aimo/protocol/units";
import { bytes32, type Case } from "./case.ts";

type Input = {
  readonly name: string;
  readonly metered: readonly MeteredRow[];
  readonly providers: readonly ProviderRow[];
  readonly skipped?: readonly number[];
};

const users = (count: number): MeteredRow[] =>
  Array.from({ length: count }, (_, i) => ({
    userId: 3 * i + 1,
    cumEnd: 1_000_000_007n * BigInt(i + 1),
    delta: 1_000_003n * BigInt(i + 1),
  }));
const providers = (count: number): ProviderRow[] =>
  Array.from({ length: count }, (_, i) => ({ providerId: 2 * i + 1, cumEnd: 999_999_937n * BigInt(i + 1) }));

const INPUTS: readonly Input[] = [
  { name: "nothing", metered: [], providers: [] },
  ...[1, 2, 63, 64, 65, 128, 130].map((count) => ({
    name: `${count} users`,
    metered: users(count),
    providers: [],
  })),
  ...[1, 64, 65].map((count) => ({ name: `${count} providers`, metered: [], providers: providers(count) })),
  { name: "65 users and 3 providers", metered: users(65), providers: providers(3) },
  {
    name: "10 users, three of them skipped",
    metered: users(10),
    providers: providers(2),
    skipped: [1, 4, 28],
  },
  { name: "one user, skipped", metered: users(1), providers: [], skipped: [1] },
  {
    name: "highest values",
    metered: [{ userId: 2 ** 32 - 1, cumEnd: MAX_U80, delta: MAX_U64 }],
    providers: [{ providerId: 2 ** 32 - 1, cumEnd: MAX_U80 }],
  },
  {
    name: "lowest values",
    metered: [{ userId: 1, cumEnd: 1n, delta: 1n }],
    providers: [{ providerId: 1, cumEnd: 0n }],
  },
];

/** Packed rows with their hashes and the batch's commit; `valid` is false where `post` must revert. */
export function rowCases(): Case[] {
  return [...INPUTS.map(goodCase), ...falseCases()];
}

function goodCase({ name, metered, providers, skipped = [] }: Input, index: number): Case {
  const data = encodeRows({ metered, providers });
  const header: PostHeader = {
    batchNo: index === 0 ? 0n : 2n ** BigInt(4 * index) - 1n,
    nA: metered.length,
    nB: 0,
    nC: providers.length,
    depth: depthOf(metered.length),
    receiptsSum: metered.reduce((sum, row) => sum + row.delta, 0n),
    receiptsRoot: bytes32(`root-${index}`),
  };
  const debitA = metered.reduce((sum, row) => (skipped.includes(row.userId) ? sum : sum + row.delta), 0n);
  const commit = { header, rowsHash: rowsHash(data, header), skippedHash: skippedHash(skipped), debitA };
  const postedAt = 1_700_000_000 + index;
  return {
    name,
    valid: true,
    nA: String(header.nA),
    nB: "0",
    nC: String(header.nC),
    rows: toHex(data),
    userIds: metered.map((row) => String(row.userId)),
    userCumEnds: metered.map((row) => String(row.cumEnd)),
    deltas: metered.map((row) => String(row.delta)),
    providerIds: providers.map((row) => String(row.providerId)),
    providerCumEnds: providers.map((row) => String(row.cumEnd)),
    skippedUserIds: skipped.map(String),
    rowsHash: commit.rowsHash,
    skippedHash: commit.skippedHash,
    batchNo: String(header.batchNo),
    depth: String(header.depth),
    receiptsSum: String(header.receiptsSum),
    receiptsRoot: header.receiptsRoot,
    postedAt: String(postedAt),
    debitA: String(debitA),
    commit: commitOf({ ...commit, postedAt }),
  };
}

function falseCases(): Case[] {
  const data = encodeRows({ metered: users(3), providers: providers(2) });
  const swapped = Uint8Array.from([
    ...data.slice(METERED_ROW_BYTES, 2 * METERED_ROW_BYTES),
    ...data.slice(0, METERED_ROW_BYTES),
    ...data.slice(2 * METERED_ROW_BYTES),
  ]);
  const doubled = Uint8Array.from(data);
  doubled.set(data.slice(0, 4), METERED_ROW_BYTES);
  const zero = Uint8Array.from(data);
  zero.fill(0, 0, 4);
  const zeroProvider = Uint8Array.from(data);
  zeroProvider.fill(0, 3 * METERED_ROW_BYTES, 3 * METERED_ROW_BYTES + 4);
  const doubledProvider = Uint8Array.from(data);
  const secondProviderAt = 3 * METERED_ROW_BYTES + 14;
  doubledProvider.set(data.slice(3 * METERED_ROW_BYTES, 3 * METERED_ROW_BYTES + 4), secondProviderAt);
  const faults: [string, Uint8Array][] = [
    ["users out of order", swapped],
    ["a user twice", doubled],
    ["user id 0", zero],
    ["a provider twice", doubledProvider],
    ["provider id 0", zeroProvider],
    ["a byte too few", data.slice(0, -1)],
    ["a byte too many", Uint8Array.from([...data, 0])],
    ["no rows", new Uint8Array()],
  ];
  return faults.map(([name, rows]) => {
    const counts = { nA: 3, nB: 0, nC: 2 };
    if (!throws(() => decodeRows(rows, counts))) throw new Error(`"${name}" is taken for good.`);
    return { name, valid: false, nA: "3", nB: "0", nC: "2", rows: toHex(rows) };
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
