import type { UsageReceiptJson } from "@aimo/protocol/session";
import type { Hex } from "viem";
import type { Generation, Outcome } from "../core/types.ts";

/** A verified receipt as it is kept: what its leaf is made of. */
export type BilledRecord = { readonly receipt: UsageReceiptJson; readonly evidence: Hex };

/** A generation with what billing adds to it. */
export type StoredGeneration = Generation & { readonly billed?: BilledRecord; readonly finalAt?: number };

/** Where a billed generation was posted. `finalAt`: protocol seconds. */
export type PostedRecord = { readonly batchNo: string; readonly finalAt: number };

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

const BIG = "$n";

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
