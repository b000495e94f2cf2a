import type { Chain } from "@aimo/node/chain";
import type { Transactions } from "@aimo/node/transactions";
import { accountOf, ownerOf, userIdOf } from "@aimo/protocol/actions/credit-vault";
import { channelOf, extendChannelBySig, openChannelBySig } from "@aimo/protocol/actions/settlement";
import { AimoError, isAimoError } from "@aimo/protocol/errors";
import { type Hex, isHex } from "viem";
import type { ChannelOnChain, SignedSpendAuthorization } from "../core/types.ts";
import type { Accounts } from "../flow/ports.ts";

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
  const { public: reader, deployment } = chain;
  const at = { deployment, blockTag: chain.readAt };
  const ids = new Map<string, number>();
  const opening = new Map<string, Promise<Hex>>();
  let lastOpening: Promise<unknown> = Promise.resolve();
  const refreshing = new Map<number, Promise<ChannelOnChain | undefined>>();

  const refresh = async (userId: number): Promise<ChannelOnChain | undefined> => {
    if (userId === 0) return undefined;
    const [channel, owner] = await Promise.all([
      channelOf(reader, { ...at, relayId, userId }),
      ownerOf(reader, { ...at, userId }),
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
      const id = await userIdOf(reader, { ...at, owner });
      if (id !== 0 && ids.size < MAX_IDS) ids.set(owner, id);
      return id;
    },
    async creditsOf(userId) {
      return (await accountOf(reader, { ...at, userId })).free;
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
  const { public: reader, deployment } = chain;
  const userId = await userIdOf(reader, { deployment, owner: signed.user });
  const channel = await channelOf(reader, { deployment, relayId, userId });
  const isOver = channel.available === 0n && channel.settleBy < chain.time.now();
  const bySig = isOver ? openChannelBySig : extendChannelBySig;
  try {
    const receipt = await transactions.send(bySig.request({ deployment, authorization, signature }));
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
