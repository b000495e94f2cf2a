import { encodeAbiParameters, type Hex, keccak256 } from "viem";
import { concat, hash, readUint, toHex, uint, ZERO_32 } from "./bytes.ts";

/** A row that debits a METERED channel of the interval (cumEnd - delta, cumEnd]. pUSD. */
export type MeteredRow = { readonly userId: number; readonly cumEnd: bigint; readonly delta: bigint };
/** A row that credits a provider up to the cumulative `cumEnd`. pUSD. */
export type ProviderRow = { readonly providerId: number; readonly cumEnd: bigint };
export type Rows = { readonly metered: readonly MeteredRow[]; readonly providers: readonly ProviderRow[] };

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

export const METERED_ROW_BYTES = 22;
export const SIGNED_ROW_BYTES = 89;
export const PROVIDER_ROW_BYTES = 14;
const CHUNK_ROWS = 64;

/** A rows, then C rows, packed. Throws a RangeError when ids do not ascend strictly within a section. */
export function encodeRows({ metered, providers }: Rows): Uint8Array {
  refuseUnsorted({ metered, providers });
  return concat([
    ...metered.flatMap((row) => [uint(row.userId, 4), uint(row.cumEnd, 10), uint(row.delta, 8)]),
    ...providers.flatMap((row) => [uint(row.providerId, 4), uint(row.cumEnd, 10)]),
  ]);
}

function refuseUnsorted({ metered, providers }: Rows): void {
  ascending(
    metered.map((row) => row.userId),
    "user",
  );
  ascending(
    providers.map((row) => row.providerId),
    "provider",
  );
}

function ascending(ids: readonly number[], what: string): void {
  ids.forEach((id, index) => {
    if (id <= (ids[index - 1] ?? 0)) throw new RangeError(`Row ${index}: ${what} id ${id} does not ascend.`);
  });
}

type Counts = Pick<PostHeader, "nA" | "nB" | "nC">;

/** Inverse of `encodeRows`. Throws a RangeError when the length does not fit the counts, or ids do not ascend. */
export function decodeRows(data: Uint8Array, { nA, nB, nC }: Counts): Rows {
  const signedAt = METERED_ROW_BYTES * nA;
  const providersAt = signedAt + SIGNED_ROW_BYTES * nB;
  const want = providersAt + PROVIDER_ROW_BYTES * nC;
  if (data.length !== want) throw new RangeError(`Rows have ${data.length} bytes, not ${want}.`);
  const metered = Array.from({ length: nA }, (_, i) => {
    const offset = METERED_ROW_BYTES * i;
    return {
      userId: Number(readUint(data, offset, 4)),
      cumEnd: readUint(data, offset + 4, 10),
      delta: readUint(data, offset + 14, 8),
    };
  });
  const providers = Array.from({ length: nC }, (_, i) => {
    const offset = providersAt + PROVIDER_ROW_BYTES * i;
    return { providerId: Number(readUint(data, offset, 4)), cumEnd: readUint(data, offset + 4, 10) };
  });
  refuseUnsorted({ metered, providers });
  return { metered, providers };
}

/** keccak of the chunk hashes; a chunk is at most 64 rows of one section, sections in order A, B, C. */
export function rowsHash(data: Uint8Array, { nA, nB, nC }: Counts): Hex {
  const chunks: Uint8Array[] = [];
  let offset = 0;
  for (const [count, size] of [
    [nA, METERED_ROW_BYTES],
    [nB, SIGNED_ROW_BYTES],
    [nC, PROVIDER_ROW_BYTES],
  ] as const) {
    for (let left = count; left > 0; left -= CHUNK_ROWS) {
      const end = offset + Math.min(left, CHUNK_ROWS) * size;
      chunks.push(hash(data.subarray(offset, end)));
      offset = end;
    }
  }
  return toHex(hash(concat(chunks)));
}

/** 0 when nothing was skipped, else keccak of the ascending user ids (u32 each). */
export function skippedHash(userIds: readonly number[]): Hex {
  return userIds.length === 0 ? ZERO_32 : toHex(hash(concat(userIds.map((id) => uint(id, 4)))));
}

export type CommitParameters = {
  readonly header: PostHeader;
  readonly rowsHash: Hex;
  readonly skippedHash: Hex;
  /** Protocol seconds. */
  readonly postedAt: number;
  /** Sum of the metered debits applied, pUSD. */
  readonly debitA: bigint;
};

const HEADER_ABI = {
  type: "tuple",
  components: [
    { name: "batchNo", type: "uint64" },
    { name: "nA", type: "uint32" },
    { name: "nB", type: "uint32" },
    { name: "nC", type: "uint32" },
    { name: "depth", type: "uint8" },
    { name: "receiptsSum", type: "uint96" },
    { name: "receiptsRoot", type: "bytes32" },
  ],
} as const;

/** What the settlement contract keeps of a batch in its ring. */
export function commitOf({ header, rowsHash, skippedHash, postedAt, debitA }: CommitParameters): Hex {
  return keccak256(
    encodeAbiParameters(
      [HEADER_ABI, { type: "bytes32" }, { type: "bytes32" }, { type: "uint40" }, { type: "uint96" }],
      [header, rowsHash, skippedHash, postedAt, debitA],
    ),
  );
}
