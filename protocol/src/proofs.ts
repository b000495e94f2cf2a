import { encodeAbiParameters, type Hex, keccak256 } from "viem";
import { type Batch, encodeSkipped } from "./batches.ts";
import { hash, toHex, ZERO_32 } from "./bytes.ts";
import type { BilledReceipt, BoundBodyHash, UsageReceipt } from "./receipts.ts";
import { type DebitRow, type RowOpening, rowOpening } from "./rows.ts";
import {
  buildSumTree,
  leafNode,
  type OpenedLeaf,
  type ReceiptLeaf,
  type SumStep,
  sumPath,
  type UserLeaf,
  userLeafNode,
} from "./tree.ts";

/**
 * Arguments of the fraud proofs, out of what everybody has: the rows that were posted, the receipts below one of them as
 * the relay shows them, and the batch's commit. Every type here is one of contracts/interfaces/IFraudProofs.sol.
 */

/** What was proven. Numbers are in events. */
export const FRAUD_KINDS = {
  badReceipt: 1,
  rowMismatch: 2,
  duplicate: 3,
  runningTotal: 4,
  equivocation: 5,
  noAnswer: 6,
  providerPrice: 7,
  foreignRequest: 8,
} as const;
export type FraudKind = (typeof FRAUD_KINDS)[keyof typeof FRAUD_KINDS];

export type RowProof = RowOpening & {
  readonly relayId: number;
  readonly batch: Batch;
  /** Index among the user rows, metered ones first. */
  readonly row: number;
  readonly skipped: Hex;
};
export type UserProof = { readonly leaf: UserLeaf; readonly path: readonly SumStep[] };
export type LeafProof = {
  readonly index: number;
  readonly leaf: OpenedLeaf;
  readonly path: readonly SumStep[];
};

/** A usage receipt with its units one by one. */
export type UsageReceiptArgument = Omit<UsageReceipt, "units"> & {
  readonly units0: number;
  readonly units1: number;
  readonly units2: number;
};

/** A demand as its event has it. Times in protocol seconds, amounts pUSD. */
export type Demand = DebitRow & {
  readonly relayId: number;
  readonly batchNo: bigint;
  readonly row: number;
  readonly leafIndex: number;
  readonly receiptsRoot: Hex;
  readonly depth: number;
  readonly postedAt: number;
  /** User id. */
  readonly challenger: number;
  readonly bond: bigint;
  readonly deadline: number;
};

/** A batch as it was posted: `data` is what `post` was called with, `skipped` the ids of its RowSkipped events in order. */
export type PostedRows = {
  readonly relayId: number;
  readonly batch: Batch;
  readonly data: Uint8Array;
  readonly skipped: readonly number[];
};

/** Everything that a relay has under one user row: what is opened below it. */
export type BilledUser = { readonly user: UserProof; readonly leaves: readonly ReceiptLeaf[] };

/** A billed receipt with all that its relay must be able to show. */
export type Shown = {
  readonly receipt: UsageReceipt;
  readonly evidence: Uint8Array;
  readonly request: BoundBodyHash;
};

/** Opening of a user row. Throws a RangeError when there is none at that index. */
export function proveRow({ relayId, batch, data, skipped }: PostedRows, row: number): RowProof {
  return {
    relayId,
    batch,
    row,
    ...rowOpening(data, batch.header, row),
    skipped: toHex(encodeSkipped(skipped)),
  };
}

/** Opening of the user leaf of a row, by all user leaves in row order. Throws a RangeError when there is none. */
export function proveUser(leaves: readonly UserLeaf[], row: number): UserProof {
  const leaf = leaves[row];
  if (!leaf) throw new RangeError(`There is no user leaf ${row} of ${leaves.length}.`);
  return { leaf, path: sumPath(buildSumTree(leaves.map(userLeafNode)), row) };
}

/** Opening of a receipt, by all receipts of its user in order. Throws a RangeError when there is none at that index. */
export function proveLeaf(leaves: readonly ReceiptLeaf[], index: number): LeafProof {
  const leaf = leaves[index];
  if (!leaf) throw new RangeError(`There is no receipt ${index} of ${leaves.length}.`);
  return { index, leaf: openedLeaf(leaf), path: sumPath(buildSumTree(leaves.map(leafNode)), index) };
}

function openedLeaf({ evidence, ...rest }: ReceiptLeaf): OpenedLeaf {
  return { ...rest, evidenceHash: toHex(hash(evidence)) };
}

export function receiptArgument({ units, ...rest }: UsageReceipt): UsageReceiptArgument {
  return { ...rest, units0: units[0], units1: units[1], units2: units[2] };
}

/** A receipt below a user row: where it stands, and what stands there. */
export type Place = {
  readonly posted: PostedRows;
  readonly row: number;
  readonly billed: BilledUser;
  readonly index: number;
};

function placeArguments({ posted, row, billed, index }: Place): readonly [RowProof, UserProof, LeafProof] {
  return [proveRow(posted, row), billed.user, proveLeaf(billed.leaves, index)];
}

/** Arguments of `proveBadReceipt`. */
export function badReceiptArguments(
  place: Place,
  { receipt, evidence }: Pick<Shown, "receipt" | "evidence">,
) {
  return [...placeArguments(place), receiptArgument(receipt), toHex(evidence)] as const;
}

/** Arguments of `proveForeignRequest`: `request` is what the receipt was really for. */
export function foreignRequestArguments(
  place: Place,
  { receipt, request }: Pick<Shown, "receipt" | "request">,
) {
  return [...placeArguments(place), receiptArgument(receipt), request] as const;
}

/** Arguments of `proveRowMismatch`. */
export function rowMismatchArguments({ posted, row, billed }: Omit<Place, "index">) {
  return [proveRow(posted, row), billed.user] as const;
}

/** Arguments of `proveDuplicate`: `later` is the one that must not be there. */
export function duplicateArguments(first: Place, later: Place) {
  return [...placeArguments(first), ...placeArguments(later)] as const;
}

/** Arguments of `proveRunningTotal`. */
export function runningTotalArguments(place: Place) {
  return placeArguments(place);
}

/** Arguments of `proveEquivocation`: what the relay signed to the user, 65 bytes. */
export function equivocationArguments(place: Place, billed: BilledReceipt, signature: Hex) {
  return [...placeArguments(place), billed, signature] as const;
}

/** Arguments of `proveProviderFraud`. */
export function providerFraudArguments({ receipt, evidence }: Pick<Shown, "receipt" | "evidence">) {
  return [receiptArgument(receipt), toHex(evidence)] as const;
}

/** Arguments of `demand`. */
export function demandArguments(posted: PostedRows, row: number, leafIndex: number) {
  return [proveRow(posted, row), leafIndex] as const;
}

/**
 * Arguments of `answer`: the receipt that is demanded, or that the row has none at that index. Throws a RangeError when
 * there is one and `shown` is missing.
 */
export function answerArguments(open: Demand, { user, leaves }: BilledUser, shown?: Shown) {
  if (open.leafIndex >= user.leaf.count) return [open, user, NO_LEAF, NO_RECEIPT, "0x", NO_REQUEST] as const;
  if (!shown) throw new RangeError(`Receipt ${open.leafIndex} of row ${open.row} must be shown.`);
  const { receipt, evidence, request } = shown;
  const leaf = proveLeaf(leaves, open.leafIndex);
  return [open, user, leaf, receiptArgument(receipt), toHex(evidence), request] as const;
}

// What stands in an answer where there is nothing to show; the chain does not look at it.
const NO_LEAF: LeafProof = {
  index: 0,
  leaf: { usageDigest: ZERO_32, evidenceHash: ZERO_32, userId: 0, charge: 0n, userCumulative: 0n },
  path: [],
};
const NO_RECEIPT: UsageReceiptArgument = receiptArgument({
  relayId: 0,
  providerId: 0,
  modelId: 0,
  priceVersion: 0,
  issuedAt: 0,
  units: [0, 0, 0],
  cost: 0n,
  requestHash: ZERO_32,
  responseHash: ZERO_32,
});
const NO_REQUEST: BoundBodyHash = {
  userId: 0,
  channelEpoch: 0,
  nonce: `0x${"00".repeat(16)}`,
  bodyHash: ZERO_32,
};

const DEMAND_ABI = [
  { type: "uint32" },
  { type: "uint64" },
  { type: "uint32" },
  { type: "uint32" },
  { type: "bytes32" },
  { type: "uint8" },
  { type: "uint40" },
  { type: "uint32" },
  { type: "uint80" },
  { type: "uint64" },
  { type: "uint32" },
  { type: "uint96" },
  { type: "uint40" },
] as const;

/** keccak(abi.encode(demand)): the id under which it is open. */
export function demandId(d: Demand): Hex {
  return keccak256(
    encodeAbiParameters(DEMAND_ABI, [
      d.relayId,
      d.batchNo,
      d.row,
      d.leafIndex,
      d.receiptsRoot,
      d.depth,
      d.postedAt,
      d.userId,
      d.cumEnd,
      d.delta,
      d.challenger,
      d.bond,
      d.deadline,
    ]),
  );
}

/** A place and kind of fraud: each is proven once. */
export type ProvenKeyParameters = {
  readonly relayId: number;
  readonly batchNo: bigint;
  readonly row: number;
  readonly leafIndex: number;
  readonly kind: FraudKind;
};

/** Key of `FraudProofs.isProven`. */
export function provenKey({ relayId, batchNo, row, leafIndex, kind }: ProvenKeyParameters): Hex {
  const types = [
    { type: "uint32" },
    { type: "uint64" },
    { type: "uint32" },
    { type: "uint32" },
    { type: "uint8" },
  ] as const;
  return keccak256(encodeAbiParameters(types, [relayId, batchNo, row, leafIndex, kind]));
}
