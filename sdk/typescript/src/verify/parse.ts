import type {
  BatchRef,
  BilledLine,
  GenerationProof,
  SettlementBill,
  SumStepJson,
  UserLeafJson,
} from "@aimo/protocol/bill";
import type { UsageReceipt } from "@aimo/protocol/receipts";
import { receiptFromJson } from "@aimo/protocol/session";
import type { SumStep, UserLeaf } from "@aimo/protocol/tree";
import { MAX_U32, MAX_U64, MAX_U80, MAX_U96 } from "@aimo/protocol/units";
import type { Hex } from "viem";

/** A receipt as a relay shows it, read strictly: every field has the width that it has on the chain. */
export type Line = {
  readonly id: string;
  readonly receipt: UsageReceipt;
  readonly evidence: Hex;
  readonly charge: bigint;
  readonly userCumulative: bigint;
  readonly nonce: Hex;
  readonly bodyHash: Hex;
};
/** `lines[i]` is a text where the relay's line cannot be read: what is wrong with it. */
export type Bill = {
  readonly rowIndex: number;
  readonly userLeaf: UserLeaf;
  readonly userPath: readonly SumStep[];
  readonly lines: readonly (Line | string)[];
};

/** Thrown when an answer has not the shape it must have. Never leaves this folder. */
export class ShapeError extends Error {
  override readonly name = "ShapeError";
}

const MAX_U16 = 2 ** 16 - 1;
const MAX_U40 = 2 ** 40 - 1;
/** Paths are as deep as their tree; a batch has far fewer than 2^32 users. */
const MAX_PATH = 32;

function integer(value: unknown, field: string, max: number): number {
  if (typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= max) return value;
  throw new ShapeError(`${field} is not an integer from 0 to ${max}`);
}

function amount(value: unknown, field: string, max: bigint): bigint {
  if (typeof value === "string" && /^\d{1,30}$/.test(value) && BigInt(value) <= max) return BigInt(value);
  throw new ShapeError(`${field} is not a decimal string from 0 to ${max}`);
}

function hex(value: unknown, field: string, bytes?: number): Hex {
  const isHex = typeof value === "string" && /^0x([0-9a-fA-F]{2})*$/.test(value);
  if (isHex && (bytes === undefined || value.length === 2 + 2 * bytes)) return value.toLowerCase() as Hex;
  throw new ShapeError(`${field} is not ${bytes === undefined ? "" : `${bytes} bytes of `}0x hex`);
}

function list(value: unknown, field: string): readonly unknown[] {
  if (Array.isArray(value)) return value;
  throw new ShapeError(`${field} is not a list`);
}

/** Fields of an object; what is no object has none. */
function fields<T>(value: unknown): Partial<Record<keyof T, unknown>> {
  return typeof value === "object" && value !== null ? value : {};
}

function parseSteps(value: unknown, field: string): SumStep[] {
  const steps = list(value, field);
  if (steps.length > MAX_PATH) throw new ShapeError(`${field} has ${steps.length} steps`);
  return steps.map((step) => {
    const { hash, sum } = fields<SumStepJson>(step);
    return { hash: hex(hash, `${field} hash`, 32), sum: amount(sum, `${field} sum`, MAX_U96) };
  });
}

function parseUserLeaf(value: unknown): UserLeaf {
  const leaf = fields<UserLeafJson>(value);
  return {
    userId: integer(leaf.userId, "userLeaf.userId", MAX_U32),
    epoch: integer(leaf.epoch, "userLeaf.epoch", MAX_U16),
    cumStart: amount(leaf.cumStart, "userLeaf.cumStart", MAX_U80),
    sum: amount(leaf.sum, "userLeaf.sum", MAX_U64),
    count: integer(leaf.count, "userLeaf.count", MAX_U32),
    subRoot: hex(leaf.subRoot, "userLeaf.subRoot", 32),
  };
}

/** Throws a ShapeError. */
function parseLine(value: unknown): Line {
  const line = fields<BilledLine>(value);
  const receipt = fields<BilledLine["receipt"]>(line.receipt);
  const units = list(receipt.units, "units").map((count, i) => integer(count, `units${i}`, MAX_U32));
  if (units.length !== 3) throw new ShapeError("units has not three counts");
  return {
    id: typeof line.id === "string" ? line.id.slice(0, 200) : "",
    receipt: receiptFromJson({
      relayId: integer(receipt.relayId, "relayId", MAX_U32),
      providerId: integer(receipt.providerId, "providerId", MAX_U32),
      modelId: integer(receipt.modelId, "modelId", MAX_U32),
      priceVersion: integer(receipt.priceVersion, "priceVersion", MAX_U32),
      issuedAt: integer(receipt.issuedAt, "issuedAt", MAX_U40),
      units: [units[0] ?? 0, units[1] ?? 0, units[2] ?? 0],
      cost: String(amount(receipt.cost, "cost", MAX_U64)),
      requestHash: hex(receipt.requestHash, "requestHash", 32),
      responseHash: hex(receipt.responseHash, "responseHash", 32),
    }),
    evidence: hex(line.evidence, "evidence"),
    charge: amount(line.charge, "charge", MAX_U64),
    userCumulative: amount(line.userCumulative, "userCumulative", MAX_U80),
    nonce: hex(line.nonce, "nonce", 16),
    bodyHash: hex(line.bodyHash, "bodyHash", 32),
  };
}

function parseHead(value: unknown) {
  const bill = fields<SettlementBill>(value);
  const batch = fields<BatchRef>(bill.batch);
  return {
    rowIndex: integer(batch.rowIndex, "batch.rowIndex", MAX_U32),
    userLeaf: parseUserLeaf(bill.userLeaf),
    userPath: parseSteps(bill.userPath, "userPath"),
  };
}

/** Throws a ShapeError on a head that cannot be read; lines that cannot are given as texts. */
export function parseBill(value: unknown): Bill {
  const lines = list(fields<SettlementBill>(value).lines, "lines").map((line) => {
    try {
      return parseLine(line);
    } catch (error) {
      if (error instanceof ShapeError) return error.message;
      throw error;
    }
  });
  return { ...parseHead(value), lines };
}

export type Proof = Omit<Bill, "lines"> & {
  readonly batchNo: bigint;
  readonly line: Line;
  readonly leafIndex: number;
  readonly leafPath: readonly SumStep[];
};

/** Throws a ShapeError. */
export function parseProof(value: unknown): Proof {
  const proof = fields<GenerationProof>(value);
  return {
    ...parseHead(value),
    batchNo: amount(fields<BatchRef>(proof.batch).batchNo, "batch.batchNo", MAX_U64),
    line: parseLine(proof.line),
    leafIndex: integer(proof.leafIndex, "leafIndex", MAX_U32),
    leafPath: parseSteps(proof.leafPath, "leafPath"),
  };
}
