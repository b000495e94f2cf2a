import type { Chain } from "@aimo/node/chain";
import type { Transactions } from "@aimo/node/transactions";
import { creditVaultAbi } from "@aimo/protocol/abi/credit-vault";
import { settlementAbi } from "@aimo/protocol/abi/settlement";
import { AimoError } from "@aimo/protocol/errors";
import { type Address, encodeFunctionData, type Hex } from "viem";
import type { ChannelOnChain } from "../core/types.ts";
import type { Accounts, SignedSpendAuthorization } from "../flow/ports.ts";

export type AccountsParameters = {
  readonly chain: Pick<Chain, "public" | "deployment" | "readAt">;
  readonly transactions: Transactions;
  readonly relayId: number;
  readonly onChannel: (channel: ChannelOnChain) => void;
  /** Gas that strangers' channels may cost a day, wei, and how much was used; kept over restarts by the caller. */
  readonly gas: { readonly limit: bigint; spentToday(): bigint; add(wei: bigint): void };
};

/** Addresses whose ids are remembered; an id never changes. */
const MAX_IDS = 100_000;

export function createAccounts(parameters: AccountsParameters): Accounts {
  const { chain, relayId, onChannel } = parameters;
  const { vault, settlement } = chain.deployment.contracts;
  const at = { blockTag: chain.readAt } as const;
  const ids = new Map<string, number>();
  const opening = new Map<string, Promise<Hex>>();
  const refreshing = new Map<number, Promise<ChannelOnChain | undefined>>();

  const refresh = async (userId: number): Promise<ChannelOnChain | undefined> => {
    if (userId === 0) return undefined;
    const [channel, owner] = await Promise.all([
      chain.public.readContract({
        ...at,
        address: settlement,
        abi: settlementAbi,
        functionName: "channelOf",
        args: [relayId, userId],
      }),
      chain.public.readContract({
        ...at,
        address: vault,
        abi: creditVaultAbi,
        functionName: "ownerOf",
        args: [userId],
      }),
    ]);
    if (channel.epoch === 0) return undefined;
    const known = { ...channel, userId, owner };
    onChannel(known);
    return known;
  };
  return {
    async userIdOf(owner) {
      const known = ids.get(owner);
      if (known !== undefined) return known;
      const id = await chain.public.readContract({
        ...at,
        address: vault,
        abi: creditVaultAbi,
        functionName: "userIdOf",
        args: [owner],
      });
      if (id !== 0 && ids.size < MAX_IDS) ids.set(owner, id);
      return id;
    },
    async creditsOf(userId) {
      return (
        await chain.public.readContract({
          ...at,
          address: vault,
          abi: creditVaultAbi,
          functionName: "accountOf",
          args: [userId],
        })
      ).free;
    },
    refreshChannel(userId) {
      // Requests that arrive together share one read.
      let running = refreshing.get(userId);
      if (!running) {
        running = refresh(userId).finally(() => refreshing.delete(userId));
        refreshing.set(userId, running);
      }
      return running;
    },
    openChannel(authorization) {
      const name = `${authorization.user}:${authorization.nonce}`;
      let running = opening.get(name);
      if (!running) {
        running = openFor(parameters, authorization).finally(() => opening.delete(name));
        opening.set(name, running);
      }
      return running;
    },
  };
}

async function openFor(
  { chain, transactions, gas, relayId }: AccountsParameters,
  signed: SignedSpendAuthorization,
): Promise<Hex> {
  if (signed.relayId !== relayId)
    throw new AimoError("invalid_request", {
      param: "relay_id",
      message: `The authorization is for relay ${signed.relayId}, not ${relayId}.`,
    });
  if (gas.spentToday() >= gas.limit)
    throw new AimoError("rate_limit_exceeded", {
      message: `This relay has paid ${gas.limit} wei of gas for new channels today, its limit. Open the channel with your own gas, or tomorrow.`,
      retryAfterSeconds: 3_600,
    });
  const { signature, ...authorization } = signed;
  const { settlement } = chain.deployment.contracts;
  const userId = await chain.public.readContract({
    address: chain.deployment.contracts.vault,
    abi: creditVaultAbi,
    functionName: "userIdOf",
    args: [signed.user as Address],
  });
  const channel = await chain.public.readContract({
    address: settlement,
    abi: settlementAbi,
    functionName: "channelOf",
    args: [relayId, userId],
  });
  const isRunning = channel.available > 0n || channel.expiry > 0;
  const functionName = isRunning ? "extendChannelBySig" : "openChannelBySig";
  const data = encodeFunctionData({ abi: settlementAbi, functionName, args: [authorization, signature] });
  const receipt = await transactions.send({ to: settlement, data, label: functionName });
  gas.add(receipt.gasUsed * receipt.effectiveGasPrice);
  return receipt.transactionHash;
}
