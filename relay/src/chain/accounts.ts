import { asking, type Chain } from "@aimo/node/chain";
import type { Transactions } from "@aimo/node/transactions";
import { creditVaultAbi } from "@aimo/protocol/abi/credit-vault";
import { settlementAbi } from "@aimo/protocol/abi/settlement";
import { AimoError, isAimoError } from "@aimo/protocol/errors";
import { type Address, encodeFunctionData, type Hex, isHex } from "viem";
import type { ChannelOnChain } from "../core/types.ts";
import type { Accounts, SignedSpendAuthorization } from "../flow/ports.ts";

export type AccountsParameters = {
  readonly chain: Pick<Chain, "public" | "deployment" | "readAt" | "time">;
  readonly transactions: Transactions;
  readonly relayId: number;
  readonly onChannel: (channel: ChannelOnChain) => void;
  /** Gas that strangers' channels may cost a day, wei, and how much was used; kept over restarts by the caller. */
  readonly gas: { readonly limit: bigint; spentToday(): bigint; add(wei: bigint): void };
};

/** Addresses whose ids are remembered; an id never changes. */
const MAX_IDS = 100_000;
/** Strangers' channels that wait to be opened, one after the other: each is counted before the next is let through. */
const MAX_OPENING = 64;

export function createAccounts(parameters: AccountsParameters): Accounts {
  const { chain, relayId, onChannel } = parameters;
  const { vault, settlement } = chain.deployment.contracts;
  const at = { blockTag: chain.readAt } as const;
  const ids = new Map<string, number>();
  const opening = new Map<string, Promise<Hex>>();
  let lastOpening: Promise<unknown> = Promise.resolve();
  const refreshing = new Map<number, Promise<ChannelOnChain | undefined>>();

  const refresh = async (userId: number): Promise<ChannelOnChain | undefined> => {
    if (userId === 0) return undefined;
    const vaults = { ...at, address: vault, abi: creditVaultAbi } as const;
    const channels = { ...at, address: settlement, abi: settlementAbi } as const;
    const [channel, owner] = await ask(() =>
      Promise.all([
        chain.public.readContract({ ...channels, functionName: "channelOf", args: [relayId, userId] }),
        chain.public.readContract({ ...vaults, functionName: "ownerOf", args: [userId] }),
      ]),
    );
    if (channel.epoch === 0) return undefined;
    const known = { ...channel, userId, owner };
    onChannel(known);
    return known;
  };
  return {
    async userIdOf(owner) {
      const known = ids.get(owner);
      if (known !== undefined) return known;
      const read = { ...at, address: vault, abi: creditVaultAbi } as const;
      const id = await ask(() =>
        chain.public.readContract({ ...read, functionName: "userIdOf", args: [owner] }),
      );
      if (id !== 0 && ids.size < MAX_IDS) ids.set(owner, id);
      return id;
    },
    async creditsOf(userId) {
      const read = { ...at, address: vault, abi: creditVaultAbi } as const;
      const account = await ask(() =>
        chain.public.readContract({ ...read, functionName: "accountOf", args: [userId] }),
      );
      return account.free;
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
      // All of it, signature too: a forgery under someone's nonce must not stand in for the true one.
      const name = Object.values(authorization).join(":");
      const known = opening.get(name);
      if (known) return known;
      if (opening.size >= MAX_OPENING)
        return Promise.reject(new AimoError("overloaded", { retryAfterSeconds: 5 }));
      const running = lastOpening
        .then(() => openFor(parameters, authorization))
        .finally(() => opening.delete(name));
      lastOpening = running.catch(() => {});
      opening.set(name, running);
      return running;
    },
  };
}

async function openFor(parameters: AccountsParameters, signed: SignedSpendAuthorization): Promise<Hex> {
  const { chain, transactions, gas, relayId } = parameters;
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
  const settlements = { address: settlement, abi: settlementAbi } as const;
  const vaults = { address: chain.deployment.contracts.vault, abi: creditVaultAbi } as const;
  const owner: Address = signed.user;
  const channel = await ask(async () => {
    const userId = await chain.public.readContract({ ...vaults, functionName: "userIdOf", args: [owner] });
    return chain.public.readContract({ ...settlements, functionName: "channelOf", args: [relayId, userId] });
  });
  const isOver = channel.available === 0n && channel.settleBy < chain.time.now();
  const functionName = isOver ? "openChannelBySig" : "extendChannelBySig";
  const data = encodeFunctionData({ abi: settlementAbi, functionName, args: [authorization, signature] });
  try {
    const receipt = await transactions.send({ to: settlement, data, label: functionName });
    gas.add(receipt.gasUsed * receipt.effectiveGasPrice);
    return receipt.transactionHash;
  } catch (error) {
    await addLost(parameters, error);
    throw error;
  }
}

/** What was mined and failed cost gas too: a stranger could spoil its own nonce in between, again and again. */
async function addLost({ chain, gas }: AccountsParameters, error: unknown): Promise<void> {
  const hash = isAimoError(error) ? error.details?.["transaction"] : undefined;
  if (typeof hash !== "string" || !isHex(hash)) return;
  const receipt = await chain.public.getTransactionReceipt({ hash }).catch(() => undefined);
  if (receipt) gas.add(receipt.gasUsed * receipt.effectiveGasPrice);
}

const ask = <T>(read: () => Promise<T>): Promise<T> => asking("The chain's RPC endpoint", read);
