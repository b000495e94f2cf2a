import type { WellKnown } from "@aimo/protocol/routes";
import { AimoError } from "../errors.ts";
import { asking, type Snapshot } from "./snapshot.ts";

/**
 * A relay of another chain shows receipts that no batch of this one has: that is a mix-up, and no fraud. A relay that
 * does not name its chain is judged by its receipts alone. Throws `wrong_chain`, `wrong_deployment`.
 */
export async function requireSameChain(
  { relay, chain, contracts }: Partial<WellKnown>,
  { client, deployment }: Snapshot,
): Promise<void> {
  const hint =
    "Verify with the RPC endpoint and the deployment of the chain that this relay settles on " +
    "(`aimo`: --data, or --rpc-url with --deployment).";
  const who = `Relay ${relay?.id}`;
  if (chain) {
    const { hash } = await asking(() => client.getBlock({ blockNumber: 0n }));
    if (chain.id !== deployment.chainId || !isSame(chain.genesis_hash, hash))
      throw new AimoError("wrong_chain", {
        message:
          `${who} settles on chain ${chain.id} that begins with block ${chain.genesis_hash}; the RPC endpoint serves ` +
          `chain ${deployment.chainId} that begins with ${hash}.`,
        hint,
        status: 0,
      });
  }
  const named = contracts?.["settlement"];
  const { settlement } = deployment.contracts;
  if (named !== undefined && !isSame(named, settlement))
    throw new AimoError("wrong_deployment", {
      message: `${who} settles in the contract ${named}; the deployment given has ${settlement}.`,
      hint,
      status: 0,
    });
}

/** The relay may have sent anything. */
const isSame = (told: unknown, known: string): boolean => String(told).toLowerCase() === known.toLowerCase();
