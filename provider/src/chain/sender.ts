import { asking, type Chain } from "@aimo/node/chain";
import type { Transactions } from "@aimo/node/transactions";
import type { Address } from "viem";

/** What actions need of a chain: its reader and where it reads, and who sends. */
export type ChainReader = Pick<Chain, "public" | "deployment" | "readAt">;
export type ChainSender = ChainReader & { readonly transactions: Transactions };

/** Some tens of redemptions at usual prices: time for the operator to send more. */
const MINIMUM_GAS_WEI = 10n ** 16n;

/** Warns of a node's key that could not pay for a redemption: it is too late to notice when a relay has vanished. */
export async function warnOfLowGas(
  { public: reader }: ChainReader,
  address: Address,
  log: { warn(fields: object, message: string): void },
): Promise<void> {
  const balance = await askChain(() => reader.getBalance({ address }));
  if (balance >= MINIMUM_GAS_WEI) return;
  log.warn(
    { account: address, balance: `${balance}`, minimum: `${MINIMUM_GAS_WEI}` },
    "The node's key has too little native coin to redeem vouchers by itself; send it some.",
  );
}

/** Turns failures of the connection into `chain_unavailable`. */
export function askChain<T>(ask: () => Promise<T>): Promise<T> {
  return asking("The chain's RPC endpoint", ask);
}
