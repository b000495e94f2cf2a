import { setTimeout as sleep } from "node:timers/promises";
import { describeRpcError, refusedTransaction, revertReason } from "@aimo/protocol/contract-errors";
import { AimoError } from "@aimo/protocol/errors";
import {
  type Abi,
  BaseError,
  type Hex,
  keccak256,
  RpcRequestError,
  type TransactionReceipt,
  TransactionReceiptNotFoundError,
} from "viem";
import type { ChainWallet, PublicChain } from "./chain.ts";
import { type Fees, raiseFees } from "./fees.ts";
import type { Log } from "./log.ts";
import type { SentTransaction, TransactionRequest } from "./transaction-types.ts";

/** One nonce of an account: signing, sending, waiting and replacing until something is mined under it. */
export type NonceContext = {
  readonly public: PublicChain;
  readonly wallet: ChainWallet;
  readonly abis: readonly Abi[];
  readonly log: Log;
  readonly signal: AbortSignal;
  readonly onSent: ((sent: SentTransaction) => void | Promise<void>) | undefined;
  readonly maxFeePerGas: bigint;
  readonly stuckAfterMs: number;
  readonly maxReplacements: number;
  readonly pollMs: number;
};

/** A transaction with everything settled. Its calldata never changes, whatever replaces it. */
export type PreparedTransaction = TransactionRequest & {
  readonly nonce: number;
  readonly gas: bigint;
  readonly fees: Fees;
};

/** A nonce counts as taken by others when no receipt of ours shows up in so many looks: RPC servers lag behind each other. */
const LOOKS_BEFORE_TAKEN = 3;

/**
 * Gets a transaction mined under its nonce. Returns "taken" when a foreign transaction was mined there instead.
 * Throws `transaction_failed` when it reverted, was refused by the node, or is stuck at the highest fee allowed.
 */
export async function sendAtNonce(
  context: NonceContext,
  transaction: PreparedTransaction,
): Promise<TransactionReceipt | "taken"> {
  const hashes: Hex[] = [];
  let fees = transaction.fees;
  for (let replacement = 0; replacement <= context.maxReplacements; replacement++) {
    const sent = await broadcast(context, { ...transaction, fees }, replacement);
    hashes.unshift(sent.hash);
    // A node that calls the offer too low will not change its mind: look once, then offer more.
    const mined = await waitMined(
      context,
      transaction.nonce,
      hashes,
      sent.underpriced ? 0 : context.stuckAfterMs,
    );
    if (mined === "taken") return mined;
    if (mined) return checkReceipt(context, transaction, mined);
    const next = raiseFees(fees, await marketFees(context, fees), context.maxFeePerGas);
    if (!next) break;
    fees = next;
    context.log.warn(
      { label: transaction.label, nonce: transaction.nonce, ...printable(fees) },
      "transaction was stuck",
    );
  }
  throw new AimoError("transaction_failed", {
    message:
      `${transaction.label} was not mined within the time and fee allowed ` +
      `(${fees.maxFeePerGas} wei per gas); it may still be.`,
    details: {
      label: transaction.label,
      transaction: hashes[0] ?? "",
      nonce: transaction.nonce,
      unknown: true,
    },
  });
}

async function broadcast(
  context: NonceContext,
  transaction: PreparedTransaction,
  replacement: number,
): Promise<{ hash: Hex; underpriced: boolean }> {
  const { wallet, public: reader, onSent, log } = context;
  const { to, data, value, gas, label, nonce, fees } = transaction;
  const raw = await wallet.account.signTransaction({
    type: "eip1559",
    chainId: wallet.chain.id,
    to,
    data,
    gas,
    nonce,
    ...(value === undefined ? {} : { value }),
    ...fees,
  });
  const hash = keccak256(raw);
  await onSent?.({
    to,
    data,
    gas,
    label,
    nonce,
    hash,
    replacement,
    ...(value === undefined ? {} : { value }),
  });
  try {
    await reader.sendRawTransaction({ serializedTransaction: raw });
    log.info({ label, nonce, hash, replacement }, "transaction sent");
    return { hash, underpriced: false };
  } catch (error) {
    const underpriced = await judgeRefusal(context, { error, hash, label, isReplacement: replacement > 0 });
    return { hash, underpriced };
  }
}

/** Throws when a node's refusal is final. Returns whether it asks for higher fees; else it may be under way all the same. */
async function judgeRefusal(
  context: NonceContext,
  { error, hash, label, isReplacement }: { error: unknown; hash: Hex; label: string; isReplacement: boolean },
): Promise<boolean> {
  const reason = describeRpcError(error);
  context.log.debug({ label, hash, reason }, "node did not take the transaction");
  const answered =
    error instanceof BaseError && error.walk((each) => each instanceof RpcRequestError) !== null;
  // Without an answer nobody knows. With one of these, this or an earlier one under the nonce is known already.
  if (answered && /underpriced|fee too low|less than block base fee/i.test(reason)) return true;
  if (!answered || isReplacement || /already|known|nonce/i.test(reason)) return false;
  // Development chains report a transaction that was mined and reverted as if they had refused it.
  if (await receiptOf(context, hash)) return false;
  if (/insufficient funds|enough funds/i.test(reason))
    throw new AimoError("low_gas", {
      message: `Account ${context.wallet.account.address} cannot pay for ${label}: ${reason}`,
    });
  throw new AimoError("transaction_failed", {
    message: `${label} was refused by the node: ${reason}`,
    details: { label },
  });
}

/** The receipt of whichever of the transactions was mined; undefined when none was in time. */
async function waitMined(
  context: NonceContext,
  nonce: number,
  hashes: readonly Hex[],
  waitMs: number,
): Promise<TransactionReceipt | "taken" | undefined> {
  const { signal, pollMs } = context;
  const deadline = performance.now() + waitMs;
  let looksWithout = 0;
  for (;;) {
    const nonceIsUsed = (await minedNonce(context)) > nonce;
    for (const hash of hashes) {
      const receipt = await receiptOf(context, hash);
      if (receipt) return receipt;
    }
    if (nonceIsUsed && ++looksWithout >= LOOKS_BEFORE_TAKEN) return "taken";
    if (!nonceIsUsed && performance.now() >= deadline) return undefined;
    try {
      await sleep(pollMs, undefined, { signal });
    } catch (cause) {
      throw new AimoError("shutting_down", { cause });
    }
  }
}

/** Transactions of the account that were mined; 0 while the endpoint does not answer, which means: wait on. */
async function minedNonce({ public: reader, wallet, log }: NonceContext): Promise<number> {
  try {
    return await reader.getTransactionCount({ address: wallet.account.address, blockTag: "latest" });
  } catch (error) {
    log.debug({ reason: describeRpcError(error) }, "nonce could not be read");
    return 0;
  }
}

async function receiptOf(
  { public: reader, log }: NonceContext,
  hash: Hex,
): Promise<TransactionReceipt | undefined> {
  try {
    return await reader.getTransactionReceipt({ hash });
  } catch (error) {
    if (!(error instanceof TransactionReceiptNotFoundError))
      log.debug({ hash, reason: describeRpcError(error) }, "receipt could not be read");
    return undefined;
  }
}

async function marketFees({ public: reader, log }: NonceContext, last: Fees): Promise<Fees> {
  try {
    return await reader.estimateFeesPerGas();
  } catch (error) {
    log.debug({ reason: describeRpcError(error) }, "fees could not be read");
    return last;
  }
}

async function checkReceipt(
  context: NonceContext,
  { to, data, value, gas, label }: PreparedTransaction,
  receipt: TransactionReceipt,
): Promise<TransactionReceipt> {
  const { transactionHash: transaction, gasUsed } = receipt;
  if (receipt.status === "success") {
    context.log.info({ label, hash: transaction, gasUsed: gasUsed.toString() }, "transaction mined");
    return receipt;
  }
  if (gasUsed >= gas)
    throw refusedTransaction(
      label,
      { name: "OutOfGas", text: `it ran out of its ${gas} gas`, details: {} },
      { transaction },
    );
  try {
    // The state before its block is the nearest to what it met.
    const blockNumber = receipt.blockNumber - 1n;
    const account = context.wallet.account;
    await context.public.call({
      account,
      to,
      data,
      gas,
      blockNumber,
      ...(value === undefined ? {} : { value }),
    });
  } catch (error) {
    const reason = revertReason(error, context.abis);
    if (reason) throw refusedTransaction(label, reason, { transaction });
  }
  const text = "it reverted, and does not when tried again: the state changed between simulation and block";
  throw refusedTransaction(label, { name: "Reverted", text, details: {} }, { transaction });
}

function printable({ maxFeePerGas, maxPriorityFeePerGas }: Fees) {
  return { maxFeePerGas: maxFeePerGas.toString(), maxPriorityFeePerGas: maxPriorityFeePerGas.toString() };
}
