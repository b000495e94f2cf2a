import { asking, type Chain } from "@aimo/node/chain";
import type { Transactions } from "@aimo/node/transactions";

/** What actions need of a chain: its reader and where it reads, and who sends. */
export type ChainReader = Pick<Chain, "public" | "deployment" | "readAt">;
export type ChainSender = ChainReader & { readonly transactions: Transactions };

/** Turns failures of the connection into `chain_unavailable`. */
export function askChain<T>(ask: () => Promise<T>): Promise<T> {
  return asking("The chain's RPC endpoint", ask);
}
