import type { Address, Hex } from "viem";

export type TransactionRequest = {
  readonly to: Address;
  readonly data: Hex;
  /** Wei. */
  readonly value?: bigint;
  /** Gas limit; estimated with a margin when absent. */
  readonly gas?: bigint;
  /** What it does, for logs and errors, e.g. `post of batch 7`. */
  readonly label: string;
};

/** A signed transaction, as the journal gets it before it leaves: a crash after that can still find it. */
export type SentTransaction = TransactionRequest & {
  readonly hash: Hex;
  readonly nonce: number;
  /** 0 for the first, 1 for its first replacement, and so on. */
  readonly replacement: number;
};
