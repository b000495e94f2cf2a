import { asking } from "@aimo/node/chain";

/**
 * Runs reads of the chain; failures of the connection become `chain_unavailable`. Commands read the latest block, also
 * where nodes wait for a safe one: a person wants to see what was just sent.
 */
export function ask<T>(read: () => Promise<T>): Promise<T> {
  return asking("The chain's RPC endpoint", read);
}
