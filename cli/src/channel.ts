import { settlementAbi } from "@aimo/protocol/abi/settlement";
import { CHANNEL_MODES } from "@aimo/protocol/deployment";
import { AimoError } from "@aimo/protocol/errors";
import { domainOf, TYPES } from "@aimo/protocol/typed-data";
import type { AimoClient, SpendAuthorizationJson } from "@aimo/sdk";
import { type Hex, zeroAddress } from "viem";
import { usd } from "./amounts.ts";
import { type Credits, creditsOf } from "./deposit.ts";
import { ask } from "./read.ts";
import type { Wallet } from "./wallet.ts";

export type ChannelPlan = {
  readonly relayId: number;
  /** pUSD. */
  readonly amount: bigint;
  /** Until when the relay serves, protocol seconds. */
  readonly expiry: number;
};

/** A user's channel to a relay on the chain. pUSD; protocol seconds. */
export async function channelOf({ chain }: Pick<Wallet, "chain">, relayId: number, userId: number) {
  return ask(() =>
    chain.public.readContract({
      address: chain.deployment.contracts.settlement,
      abi: settlementAbi,
      functionName: "channelOf",
      args: [relayId, userId],
    }),
  );
}

/** Puts free credits into the channel to a relay: tops up one that runs (and extends it), opens one otherwise. */
export async function fundChannel(wallet: Wallet, { relayId, amount, expiry }: ChannelPlan): Promise<void> {
  const { userId } = await creditsOf(wallet);
  const channel = await channelOf(wallet, relayId, userId);
  const call = (functionName: string, args: readonly unknown[], label: string) =>
    wallet.send({
      to: wallet.chain.deployment.contracts.settlement,
      abi: settlementAbi,
      functionName,
      args,
      label,
    });
  if (channel.settleBy >= wallet.chain.time.now()) {
    await call(
      "topUpChannel",
      [relayId, amount],
      `Top-up of the channel to relay ${relayId} by ${usd(amount)}`,
    );
    if (channel.expiry < expiry) await call("extendChannel", [relayId, expiry], "Extension of the channel");
    return;
  }
  // What is left in a channel that is over must be taken out before it can be opened again.
  if (channel.available > 0n)
    await call("withdrawChannel", [relayId], "Withdrawal from the channel that is over");
  await call(
    "openChannel",
    [relayId, amount, expiry, CHANNEL_MODES.metered, zeroAddress],
    `Opening of a channel of ${usd(amount)} to relay ${relayId}`,
  );
}

/** The relay has this long to send the transaction. */
const AUTHORIZATION_SECONDS = 900;

/** Lets the relay open or top up the channel, at its gas, with what is free in the vault. Returns the transaction. */
export async function authorizeChannel(wallet: Wallet, client: AimoClient, plan: ChannelPlan): Promise<Hex> {
  const credits = await creditsOf(wallet);
  refuseTooLittle(credits, plan.amount);
  const { transaction } = await client.channels.open(await signAuthorization(wallet, credits, plan));
  const receipt = await ask(() => wallet.chain.public.waitForTransactionReceipt({ hash: transaction }));
  if (receipt.status === "success") return transaction;
  throw new AimoError("transaction_failed", {
    message: `The relay's transaction ${transaction} was reverted.`,
  });
}

function refuseTooLittle({ free }: Credits, amount: bigint): void {
  if (free < amount)
    throw new AimoError("insufficient_credits", {
      message: `The account has ${usd(free)} of free credits, the channel needs ${usd(amount)}; a deposit needs gas.`,
    });
}

async function signAuthorization(
  { chain, account }: Wallet,
  { nonce }: Credits,
  { relayId, amount, expiry }: ChannelPlan,
): Promise<SpendAuthorizationJson> {
  const { chainId, contracts } = chain.deployment;
  const message = {
    user: account.address,
    relayId,
    sessionKey: zeroAddress,
    amount,
    expiry,
    mode: CHANNEL_MODES.metered,
    nonce,
    deadline: chain.time.now() + AUTHORIZATION_SECONDS,
  };
  const signature = await account.signTypedData({
    domain: domainOf({ chainId, verifyingContract: contracts.settlement }),
    types: TYPES,
    primaryType: "SpendAuthorization",
    message,
  });
  return { ...message, amount: String(amount), nonce: String(nonce), signature };
}
