import { type Batch, commitOf, encodeSkipped, finalAt, skippedHash } from "@aimo/protocol/batches";
import { depthOf, toHex, ZERO_32 } from "@aimo/protocol/bytes";
import { MAX_U64, MAX_U96 } from "@aimo/protocol/units";
import { bytes32, type Case, decimals } from "./case.ts";

const U32 = 2 ** 32 - 1;
const U40 = 2 ** 40 - 1;

type Input = {
  readonly name: string;
  readonly batchNo?: bigint;
  readonly counts?: readonly [number, number, number];
  readonly skipped?: readonly number[];
  readonly postedAt?: number;
  readonly debitA?: bigint;
  readonly receiptsSum?: bigint;
};

const INPUTS: readonly Input[] = [
  { name: "an empty batch", counts: [0, 0, 0] },
  { name: "metered rows", counts: [10, 0, 2] },
  { name: "signed rows", counts: [0, 3, 1], debitA: 0n },
  { name: "rows of all sections", counts: [65, 64, 3], batchNo: 257n },
  { name: "a metered row skipped", counts: [10, 0, 2], skipped: [4] },
  { name: "metered and signed rows skipped, in row order", counts: [4, 4, 1], skipped: [4, 28, 2, 17] },
  { name: "the highest id skipped", counts: [1, 0, 0], skipped: [U32], debitA: 0n },
  { name: "lowest values", counts: [1, 0, 0], postedAt: 0, debitA: 0n, receiptsSum: 0n },
  {
    name: "highest values",
    batchNo: MAX_U64,
    counts: [2 ** 31, 2 ** 31 - 1, U32],
    postedAt: U40,
    debitA: MAX_U96,
    receiptsSum: MAX_U96,
  },
];

/** Epoch lengths and seconds, at and around their edges. */
const TIMES: readonly (readonly [epoch: number, postedAt: number])[] = [
  [5, 0],
  [5, 4],
  [5, 5],
  [5, 1_700_000_000],
  [43_200, 1_700_000_000],
  [43_200, 43_199],
  [43_200, 43_200],
  [1, 7],
  [1, U40],
  [7, U40],
  [U32, U40],
];

/** Commits of batches, lists of skipped ids, and when batches are final. */
export function batchCases(): Case[] {
  return [
    ...INPUTS.map(commitCase),
    ...TIMES.map(([epoch, postedAt]) => ({
      kind: "final",
      name: `posted at ${postedAt}, epochs of ${epoch} s`,
      ...decimals({ epoch, postedAt, finalAt: finalAt(postedAt, epoch) }),
    })),
  ];
}

function commitCase({ name, counts = [1, 1, 1], skipped = [], ...rest }: Input): Case {
  const [nA, nB, nC] = counts;
  const batch: Batch = {
    header: {
      batchNo: rest.batchNo ?? 0n,
      nA,
      nB,
      nC,
      depth: depthOf(nA + nB),
      receiptsSum: rest.receiptsSum ?? 5_000_000_000_007n,
      receiptsRoot: nA + nB === 0 ? ZERO_32 : bytes32(`root of ${name}`),
    },
    rowsHash: bytes32(`rows of ${name}`),
    skippedHash: skippedHash(skipped),
    postedAt: rest.postedAt ?? 1_700_000_000,
    debitA: rest.debitA ?? 4_000_000_000_001n,
  };
  const { header, ...others } = batch;
  return {
    kind: "commit",
    name,
    ...decimals({ ...header, ...others }),
    skippedUserIds: skipped.map(String),
    skipped: toHex(encodeSkipped(skipped)),
    commit: commitOf(batch),
  };
}
