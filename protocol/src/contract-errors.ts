import { type Abi, BaseError, decodeErrorResult, type Hex, isHex } from "viem";
import { accessManagerAbi } from "./abi/access-manager.ts";
import { creditVaultAbi } from "./abi/credit-vault.ts";
import { depositRouterAbi } from "./abi/deposit-router.ts";
import { fraudProofsAbi } from "./abi/fraud-proofs.ts";
import { lensAbi } from "./abi/lens.ts";
import { protocolClockAbi } from "./abi/protocol-clock.ts";
import { registryAbi } from "./abi/registry.ts";
import { reservesAbi } from "./abi/reserves.ts";
import { settlementAbi } from "./abi/settlement.ts";
import { stakeManagerAbi } from "./abi/stake-manager.ts";
import { testDollarAbi } from "./abi/test-dollar.ts";
import { refusalOf } from "./contract-refusals.ts";
import { AimoError, type ErrorDetails } from "./errors.ts";

/** The protocol's contracts. A call into one may fail with the error of another. */
export const contractAbis: readonly Abi[] = [
  settlementAbi,
  creditVaultAbi,
  registryAbi,
  stakeManagerAbi,
  reservesAbi,
  fraudProofsAbi,
  depositRouterAbi,
  lensAbi,
  protocolClockAbi,
  testDollarAbi,
  accessManagerAbi,
];

/** Why a contract refused a call: its error and its values, as `Name(field value, …)`. */
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

/**
 * `transaction_failed` for what `label` tried and why the contract refused it: in words where the table of refusals has
 * some, and always with the contract's own error and values.
 */
export function refusedTransaction(label: string, reason: RevertReason, extra: ErrorDetails = {}): AimoError {
  const { words, hint } = refusalOf(reason) ?? {};
  const why = words === undefined ? reason.text : `${words}: ${reason.text}`;
  return new AimoError("transaction_failed", {
    message: `${label} was refused by the contract: ${why}.`,
    details: { ...reason.details, ...extra, label, error: reason.name },
    ...(hint === undefined ? {} : { hint }),
  });
}

/** What a failed call of a contract means: `transaction_failed` or `chain_unavailable`; other errors are left as they are. */
export function callFailure(label: string, error: unknown): unknown {
  const reason = revertReason(error, contractAbis);
  if (reason) return refusedTransaction(label, reason);
  if (!(error instanceof BaseError)) return error;
  // No `cause`: viem's errors carry the URL, and with it the operator's API key, into every log.
  return new AimoError("chain_unavailable", {
    message: `The chain's RPC endpoint cannot be used for ${label}: ${describeRpcError(error)}`,
  });
}

/** An RPC server's words are cut here: a web page in its place must not fill the log. */
const MAX_REASON_CHARACTERS = 200;

/** What went wrong with a call, without the URL that viem puts into its messages. */
export function describeRpcError(error: unknown): string {
  if (!(error instanceof BaseError)) return String(error);
  return `${error.shortMessage} ${error.details ?? ""}`.trim().slice(0, MAX_REASON_CHARACTERS);
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
