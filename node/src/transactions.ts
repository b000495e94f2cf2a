import { setTimeout as sleep } from "node:timers/promises";
import { contractAbis, refusedTransaction, revertReason } from "@aimo/protocol/contract-errors";
import { AimoError } from "@aimo/protocol/errors";
import type { Abi, Address, TransactionReceipt } from "viem";
import { asking, type Chain, type ChainWallet, type PublicChain } from "./chain.ts";
import { capFees, type Fees } from "./fees.ts";
import type { Log } from "./log.ts";
import { type NonceContext, sendAtNonce } from "./nonce-slot.ts";
import type { SentTransaction, TransactionRequest } from "./transaction-types.ts";

export type TransactionsParameters = {
  readonly chain: Pick<Chain, "public" | "wallet" | "deployment">;
  /** ABIs whose errors are told by name; the protocol's contracts when absent. */
  readonly abis?: readonly Abi[];
  readonly log: Log;
  /** Called, and awaited, before a transaction or its replacement leaves. When it throws, nothing is sent. */
  readonly onSent?: (sent: SentTransaction) => void | Promise<void>;
  readonly onLowBalance?: (warning: { address: Address; balance: bigint; minimum: bigint }) => void;
  /** Wei below which `onLowBalance` is called at each send. */
  readonly minimumBalance?: bigint;
  /** Wei per gas that is never exceeded. */
  readonly maxFeePerGas?: bigint;
  readonly stuckAfterMs?: number;
  readonly maxReplacements?: number;
};

export interface Transactions {
  readonly address: Address;
  /**
   * Simulates, signs, sends, replaces while stuck, and resolves with the receipt. One at a time, in the order of calls.
   * Throws `transaction_failed` (the contract's error and its values are in the message), `low_gas`,
   * `chain_unavailable`, `overloaded` (the queue is full) and `shutting_down`. After `transaction_failed` with
   * `details.unknown` the transaction may still be mined: look at the chain, then send identical calldata.
   */
  send(request: TransactionRequest): Promise<TransactionReceipt>;
  /** Sends that wait or run. */
  queued(): number;
  /** Refuses new sends, and resolves when those under way have ended. */
  close(): Promise<void>;
  /** Stops waiting: sends under way reject with `shutting_down`. Their transactions may still be mined. */
  abort(): void;
}

/** A queue this long means that the chain is stuck; more would only be forgotten. */
const MAX_QUEUED = 256;
/** 100 gwei: above the market in all but the worst hours; waiting is cheaper then. */
const DEFAULT_MAX_FEE = 100_000_000_000n;
const DEFAULT_STUCK_AFTER_MS = { main: 60_000, local: 10_000 } as const;
/** Five raises by 12.5 % nearly double the fee. */
const DEFAULT_MAX_REPLACEMENTS = 5;
/** State moves between estimate and block: a fifth more gas costs nothing when it is not used. */
const GAS_MARGIN_PERCENT = 120n;
/** EIP-7825: the most a transaction may ask for. */
const MAX_GAS = 1n << 24n;
/** Another program with the same key may take our nonce; this often we take the next. */
const MAX_NONCE_RETRIES = 3;

/** The one owner of an account's nonces. Throws a TypeError when the chain was opened without a key. */
export function createTransactions(parameters: TransactionsParameters): Transactions {
  const { chain, log } = parameters;
  if (!chain.wallet) throw new TypeError("The chain was opened without a key, so it cannot send.");
  const stopping = new AbortController();
  const context: SendContext = {
    parameters,
    public: chain.public,
    wallet: chain.wallet,
    log,
    abis: parameters.abis ?? contractAbis,
    signal: stopping.signal,
    onSent: parameters.onSent,
    maxFeePerGas: parameters.maxFeePerGas ?? DEFAULT_MAX_FEE,
    stuckAfterMs: parameters.stuckAfterMs ?? DEFAULT_STUCK_AFTER_MS[chain.deployment.profile],
    maxReplacements: parameters.maxReplacements ?? DEFAULT_MAX_REPLACEMENTS,
    pollMs: chain.public.pollingInterval,
  };
  let queued = 0;
  let closed = false;
  let tail: Promise<unknown> = Promise.resolve();
  return {
    address: chain.wallet.account.address,
    send(request) {
      if (closed) return Promise.reject(new AimoError("shutting_down"));
      if (queued >= MAX_QUEUED)
        return Promise.reject(
          new AimoError("overloaded", { message: `${MAX_QUEUED} transactions wait for the chain already.` }),
        );
      queued++;
      const result = tail.then(() => sendOne(context, request));
      tail = result.catch(() => {}).finally(() => queued--);
      return result;
    },
    queued: () => queued,
    close: async () => {
      closed = true;
      await tail;
    },
    abort: () => {
      closed = true;
      stopping.abort();
    },
  };
}

type SendContext = NonceContext & { readonly parameters: TransactionsParameters };

async function sendOne(context: SendContext, request: TransactionRequest): Promise<TransactionReceipt> {
  for (let retry = 0; retry < MAX_NONCE_RETRIES; retry++) {
    if (context.signal.aborted) throw new AimoError("shutting_down");
    const nonce = await freeNonce(context);
    const prepared = await prepare(context, request);
    const receipt = await sendAtNonce(context, { ...request, ...prepared, nonce });
    if (receipt !== "taken") return receipt;
    context.log.warn({ nonce, label: request.label }, "nonce was used by another program with this key");
  }
  throw new AimoError("transaction_failed", {
    message: `${request.label} was not sent: another program uses the key of ${context.wallet.account.address}. Run one.`,
    details: { label: request.label },
  });
}

/**
 * The next nonce. Transactions of an earlier run may be under way: they get time to be mined, so that the simulation
 * sees what they did; one that is stuck is replaced, as its nonce is given out again.
 */
async function freeNonce({
  public: reader,
  wallet,
  signal,
  stuckAfterMs,
  pollMs,
  log,
}: SendContext): Promise<number> {
  const { address } = wallet.account;
  const deadline = performance.now() + stuckAfterMs;
  for (;;) {
    const [mined, known] = await ask(() =>
      Promise.all([
        reader.getTransactionCount({ address, blockTag: "latest" }),
        reader.getTransactionCount({ address, blockTag: "pending" }),
      ]),
    );
    if (known <= mined) return mined;
    if (performance.now() >= deadline) {
      log.warn({ nonce: mined, pending: known - mined }, "earlier transaction is stuck and will be replaced");
      return mined;
    }
    await pause(pollMs, signal);
  }
}

/** Simulates, and settles on gas and fees. Throws when the contract refuses, or when the account cannot pay. */
async function prepare(
  context: SendContext,
  request: TransactionRequest,
): Promise<{ gas: bigint; fees: Fees }> {
  const { public: reader, wallet, parameters, maxFeePerGas } = context;
  const { address } = wallet.account;
  const { minimumBalance = 0n, onLowBalance } = parameters;
  const gas = await simulate(context, request);
  const [market, balance] = await ask(() =>
    Promise.all([reader.estimateFeesPerGas(), reader.getBalance({ address })]),
  );
  const fees = capFees(market, maxFeePerGas);
  const needed = gas * fees.maxFeePerGas + (request.value ?? 0n);
  if (balance < needed) throw lowGas(address, balance, needed);
  if (balance < minimumBalance) onLowBalance?.({ address, balance, minimum: minimumBalance });
  return { gas, fees };
}

async function simulate({ public: reader, wallet, abis }: SendContext, request: TransactionRequest) {
  const { to, data, value, gas, label } = request;
  const call = { account: wallet.account, to, data, ...(value === undefined ? {} : { value }) };
  try {
    if (gas !== undefined) {
      await reader.call({ ...call, gas });
      return gas;
    }
    const estimate = ((await reader.estimateGas(call)) * GAS_MARGIN_PERCENT) / 100n;
    return estimate < MAX_GAS ? estimate : MAX_GAS;
  } catch (error) {
    const reason = revertReason(error, abis);
    if (reason) throw refusedTransaction(label, reason);
    if (/insufficient funds|exceeds the balance/i.test(String(error)))
      throw lowGas(wallet.account.address, await balanceOf(reader, wallet), value ?? 0n);
    return ask(() => Promise.reject(error));
  }
}

function balanceOf(reader: PublicChain, wallet: ChainWallet): Promise<bigint> {
  return ask(() => reader.getBalance({ address: wallet.account.address }));
}

function lowGas(address: Address, balance: bigint, needed: bigint): AimoError {
  return new AimoError("low_gas", {
    message: `Account ${address} has ${balance} wei and needs up to ${needed} wei for this transaction.`,
    details: { address, balance, needed },
  });
}

function ask<T>(call: () => Promise<T>): Promise<T> {
  return asking("The chain's RPC endpoint", call);
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  try {
    await sleep(ms, undefined, { signal });
  } catch (cause) {
    throw new AimoError("shutting_down", { cause });
  }
}
