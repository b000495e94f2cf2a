import { settlementAbi } from "@aimo/protocol/abi/settlement";
import { type Address, encodeFunctionData, parseEventLogs } from "viem";
import { askChain, type ChainReader, type ChainSender } from "./sender.ts";

/**
 * Pays what a provider earned at these relays as tokens to `to`. The sender must own the provider. Returns pUSD.
 * Throws `transaction_failed`.
 */
export async function claimEarnings(
  { deployment, transactions }: ChainSender,
  providerId: number,
  relayIds: readonly number[],
  to: Address,
): Promise<bigint> {
  const { settlement } = deployment.contracts;
  const data = encodeFunctionData({
    abi: settlementAbi,
    functionName: "claimProvider",
    args: [providerId, [...relayIds], to],
  });
  const { logs } = await transactions.send({
    to: settlement,
    data,
    label: `claim of provider ${providerId}`,
  });
  const claims = parseEventLogs({ abi: settlementAbi, eventName: "ProviderClaimed", logs });
  return claims.reduce((sum, { args }) => sum + args.amount, 0n);
}

/** pUSD that a provider can claim now, and all that a relay ever credited to it. */
export async function readEarnings(
  { public: reader, readAt: blockTag, deployment }: ChainReader,
  providerId: number,
  relayId: number,
): Promise<{ readonly claimable: bigint; readonly paid: bigint }> {
  const { claimable, paid } = await askChain(() =>
    reader.readContract({
      address: deployment.contracts.settlement,
      abi: settlementAbi,
      functionName: "providerAccountOf",
      args: [relayId, providerId],
      blockTag,
    }),
  );
  return { claimable, paid };
}
