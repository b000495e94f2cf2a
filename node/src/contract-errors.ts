import { creditVaultAbi } from "@aimo/protocol/abi/credit-vault";
import { registryAbi } from "@aimo/protocol/abi/registry";
import { settlementAbi } from "@aimo/protocol/abi/settlement";
import { stakeManagerAbi } from "@aimo/protocol/abi/stake-manager";
import { testDollarAbi } from "@aimo/protocol/abi/test-dollar";
import { AimoError, type ErrorDetails } from "@aimo/protocol/errors";
import { type Abi, BaseError, decodeErrorResult, type Hex, isHex } from "viem";

/** The protocol's contracts. A call into one may fail with the error of another. */
export const contractAbis: readonly Abi[] = [
  settlementAbi,
  creditVaultAbi,
  registryAbi,
  stakeManagerAbi,
  testDollarAbi,
];

/** Why a contract refused a call: its error and its values, in words. */
export type RevertReason = { readonly name: string; readonly text: string; readonly details: ErrorDetails };

/** Reads a contract's reason out of a failed call or estimate; undefined when the failure was none of a contract's. */
export function revertReason(error: unknown, abis: readonly Abi[]): RevertReason | undefined {
  const data = revertData(error);
  if (data !== undefined && data !== "0x") return decodeReason(data, abis);
  if (!isRevert(error)) return undefined;
  const message = error instanceof BaseError ? error.details || error.shortMessage : "";
  return { name: "revert", text: message || "no reason given", details: {} };
}

/** Reason in a revert's bytes. Bytes of no known error are shown as they are. */
export function decodeReason(data: Hex, abis: readonly Abi[]): RevertReason {
  for (const abi of [...abis, []]) {
    try {
      // An empty ABI still knows Error(string) and Panic(uint256).
      const { errorName, args, abiItem } = decodeErrorResult({ abi, data });
      const inputs = "inputs" in abiItem ? abiItem.inputs : [];
      return describe(
        errorName,
        inputs.map((input) => input.name ?? ""),
        (args ?? []) as readonly unknown[],
      );
    } catch {
      // Not an error of this ABI: the next one may know it.
    }
  }
  return { name: data.slice(0, 10), text: `an error that is not known: ${data.slice(0, 138)}`, details: {} };
}

function describe(name: string, names: readonly string[], values: readonly unknown[]): RevertReason {
  if (name === "Error") return { name, text: String(values[0]), details: {} };
  const pairs = values.map((value, index) => [names[index] || `value${index}`, plain(value)] as const);
  const text = pairs.map(([key, value]) => `${key} ${String(value)}`).join(", ");
  return { name, text: `${name}(${text})`, details: Object.fromEntries(pairs) };
}

function plain(value: unknown): string | number | bigint | boolean {
  if (["string", "number", "bigint", "boolean"].includes(typeof value)) return value as string;
  return JSON.stringify(value, (_key, each) => (typeof each === "bigint" ? each.toString() : each));
}

/** `transaction_failed` for what `label` tried and why the contract refused it. */
export function refusedTransaction(label: string, reason: RevertReason, extra: ErrorDetails = {}): AimoError {
  return new AimoError("transaction_failed", {
    message: `${label} was refused by the contract: ${reason.text}.`,
    details: { ...reason.details, ...extra, label, error: reason.name },
  });
}

/** Bytes with which a call reverted; nodes and libraries hide them at different depths of the error. */
function revertData(error: unknown): Hex | undefined {
  for (
    let each: unknown = error, depth = 0;
    each instanceof Error && depth < 16;
    each = each.cause, depth++
  ) {
    const data = "data" in each ? each.data : undefined;
    if (isHex(data)) return data;
    if (typeof data === "object" && data !== null && "data" in data && isHex(data.data)) return data.data;
  }
  return undefined;
}

function isRevert(error: unknown): error is Error {
  return (
    error instanceof BaseError &&
    error.walk((each) => /revert/i.test(each instanceof Error ? `${each.name} ${each.message}` : "")) !== null
  );
}
