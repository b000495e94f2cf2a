import type { Hex } from "viem";
import { toBytes, toHex } from "./bytes.ts";
import type { BilledUser, Shown } from "./proofs.ts";
import { usageDigest } from "./receipts.ts";
import { receiptFromJson, type UsageReceiptJson } from "./session.ts";
import type { ReceiptLeaf } from "./tree.ts";

/**
 * Shapes in which a relay serves a bill: `GET /v1/settlements` lists the batches with a row of the account,
 * `GET /v1/settlements/{batchNo}` gives everything under that row, `GET /v1/generation/{id}/proof` one receipt of it.
 * Amounts are pUSD as decimal strings. A verifier needs nothing else but an RPC endpoint.
 */
export type BilledLine = {
  /** Generation id, e.g. `gen-…`. */
  readonly id: string;
  readonly receipt: UsageReceiptJson;
  /** `encodeEvidence` of the provider's group signature. */
  readonly evidence: Hex;
  readonly charge: string;
  readonly userCumulative: string;
  /** 16 bytes drawn by the relay for this attempt. */
  readonly nonce: Hex;
  /** keccak of the client's body, byte for byte. */
  readonly bodyHash: Hex;
};

/** One batch with a row of the account. pUSD; seconds. */
export type BillSummary = {
  readonly batchNo: string;
  readonly transaction: Hex;
  readonly sum: string;
  readonly count: number;
  readonly postedAt: number;
};

/** Some batches of the account, oldest first. `has_more`: ask again with `after` the last one's number. */
export type BillPage = { readonly data: readonly BillSummary[]; readonly has_more: boolean };
/** Batches on a page at most, and unless asked for fewer. */
export const MAX_BILLS = 1_000;

export type SumStepJson = { readonly hash: Hex; readonly sum: string };

export type UserLeafJson = {
  readonly userId: number;
  readonly epoch: number;
  readonly cumStart: string;
  readonly sum: string;
  readonly count: number;
  readonly subRoot: Hex;
};

export type BatchRef = {
  readonly relayId: number;
  readonly batchNo: string;
  readonly transaction: Hex;
  readonly rowIndex: number;
};

/** One batch's part of an account's bill: all receipts of its row, in order. */
export type SettlementBill = {
  readonly batch: BatchRef;
  readonly userLeaf: UserLeafJson;
  readonly userPath: readonly SumStepJson[];
  readonly lines: readonly BilledLine[];
};

/** One receipt with its way to the on-chain root. */
export type GenerationProof = {
  readonly batch: BatchRef;
  readonly line: BilledLine;
  readonly leafIndex: number;
  readonly leafPath: readonly SumStepJson[];
  readonly userLeaf: UserLeafJson;
  readonly userPath: readonly SumStepJson[];
};

/** Where a generation stands: `provisional` until the provider's group verifies, then `billed`, `posted`, `final`. */
export type GenerationState = "running" | "provisional" | "billed" | "posted" | "final" | "free" | "unbilled";

/** The leaves of a bill's lines, in order. `separator`: of Settlement. */
export function billedLeaves(
  lines: readonly BilledLine[],
  userId: number,
  separator: Uint8Array,
): ReceiptLeaf[] {
  return lines.map(({ receipt, evidence, charge, userCumulative }) => ({
    usageDigest: toHex(usageDigest(separator, receiptFromJson(receipt))),
    evidence: toBytes(evidence),
    userId,
    charge: BigInt(charge),
    userCumulative: BigInt(userCumulative),
  }));
}

/** What is opened below a bill's row. */
export function billedUserOf(
  { userLeaf, userPath, lines }: SettlementBill,
  separator: Uint8Array,
): BilledUser {
  const leaf = { ...userLeaf, cumStart: BigInt(userLeaf.cumStart), sum: BigInt(userLeaf.sum) };
  const path = userPath.map(({ hash, sum }) => ({ hash, sum: BigInt(sum) }));
  return { user: { leaf, path }, leaves: billedLeaves(lines, userLeaf.userId, separator) };
}

/** A receipt of a bill with all that its relay must be able to show; undefined when there is none at that index. */
export function shownOf({ userLeaf, lines }: SettlementBill, index: number): Shown | undefined {
  const line = lines[index];
  if (!line) return undefined;
  const { receipt, evidence, nonce, bodyHash } = line;
  const request = { userId: userLeaf.userId, channelEpoch: userLeaf.epoch, nonce, bodyHash };
  return { receipt: receiptFromJson(receipt), evidence: toBytes(evidence), request };
}
