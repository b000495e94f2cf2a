import type { UsageReceiptJson } from "@aimo/protocol/session";
import type { Hex } from "viem";
import type { Generation, Outcome } from "../core/types.ts";

/** Where a receipt stands: the root of its provider's signed group, and its index in it. */
export type ReceiptPlace = { readonly root: Hex; readonly index: number };

/** A generation with what billing adds to it. */
export type StoredGeneration = Generation & { readonly billed?: ReceiptPlace; readonly finalAt?: number };

/**
 * What billing adds to a generation, apart from it, so that nothing of it is written anew. `userCumulative` in pUSD;
 * `billedAt` in wall-clock milliseconds.
 */
export type BilledRecord = ReceiptPlace & { readonly userCumulative: string; readonly billedAt: number };
/** The same when it was posted. `finalAt`: protocol seconds. */
export type PostedRecord = BilledRecord & { readonly batchNo: string; readonly finalAt: number };

/** That a generation waits for its provider's signature, and until when (wall-clock milliseconds). */
export type ServedRecord = { readonly userId: number; readonly deadline: number };

/** One row of a user in a posted batch: its receipts in order. */
export type BillRecord = {
  readonly batchNo: string;
  readonly transaction: Hex;
  readonly rowIndex: number;
  readonly ids: readonly string[];
  readonly sum: string;
  readonly postedAt: number;
};

export type BatchRecord = {
  readonly batchNo: string;
  readonly state: "built" | "posted";
  readonly header: { readonly [name: string]: string | number };
  readonly rows: Hex;
  /** Block at which it was built: what it does on the chain comes after. */
  readonly since: string;
  readonly users: readonly {
    readonly userId: number;
    readonly epoch: number;
    readonly cumStart: string;
    readonly sum: string;
    readonly subRoot: Hex;
    readonly ids: readonly string[];
  }[];
  readonly credits: readonly (readonly [number, string])[];
  readonly transaction?: Hex;
  readonly postedAt?: number;
  readonly skipped?: readonly number[];
};

/** The receipt that a billed generation's provider signed. */
export function receiptOf(generation: StoredGeneration, relayId: number): UsageReceiptJson | undefined {
  const usage = usageOf(generation);
  if (!usage) return undefined;
  const { providerId, modelId, priceVersion, requestHash } = usage;
  const { issuedAt, units, cost, responseHash } = usage.statement;
  return { relayId, providerId, modelId, priceVersion, issuedAt, units, cost, requestHash, responseHash };
}

const BIG = "$n";

/** JSON of a generation, as `jsonOf` makes it, but without asking about each value: this is on the way of every request. */
export function jsonOfGeneration(generation: StoredGeneration & { readonly deadline?: number }): string {
  const { held, outcome, userCumulative, batchNo } = generation;
  const record: Record<string, unknown> = { ...generation, held: big(held) };
  if (outcome?.kind === "usage") record["outcome"] = { ...outcome, charge: big(outcome.charge) };
  if (userCumulative !== undefined) record["userCumulative"] = big(userCumulative);
  if (batchNo !== undefined) record["batchNo"] = big(batchNo);
  return JSON.stringify(record);
}

const big = (value: bigint) => ({ [BIG]: value.toString() });

/** JSON with big integers marked, so that a record comes back as it went by `fromStored`. */
export function jsonOf(value: unknown): string {
  return JSON.stringify(value, markBig);
}

/** A replacer makes no copy of the whole record, as a conversion before would. */
function markBig(_key: string, value: unknown): unknown {
  return typeof value === "bigint" ? { [BIG]: value.toString() } : value;
}

export function fromStored<T>(value: unknown): T {
  if (Array.isArray(value)) return value.map((one) => fromStored(one)) as T;
  if (value && typeof value === "object") {
    const marked = (value as Record<string, unknown>)[BIG];
    if (typeof marked === "string") return BigInt(marked) as T;
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, fromStored(inner)])) as T;
  }
  return value as T;
}

/** The usage outcome of a generation that has one. */
export function usageOf(
  generation: Pick<Generation, "outcome">,
): Extract<Outcome, { kind: "usage" }> | undefined {
  return generation.outcome?.kind === "usage" ? generation.outcome : undefined;
}
