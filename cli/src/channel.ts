import { waitForReceipt } from "@aimo/protocol/action";
import * as settlement from "@aimo/protocol/actions/settlement";
import { isActive } from "@aimo/protocol/actions/stake-manager";
import { CHANNEL_MODES, ROLES } from "@aimo/protocol/deployment";
import { AimoError } from "@aimo/protocol/errors";
import { domainOf, TYPES } from "@aimo/protocol/typed-data";
import type { AimoClient, SpendAuthorizationJson } from "@aimo/sdk";
import { type Address, type Hex, zeroAddress } from "viem";
import { timeOf, usd } from "./amounts.ts";
import { type Credits, creditsOf } from "./deposit.ts";
import type { Wallet } from "./wallet.ts";

export type ChannelPlan = {
  readonly relayId: number;
  /** pUSD. */
  readonly amount: bigint;
  /** Until when the relay serves, protocol seconds. */
  readonly expiry: number;
  /** Signs the vouchers of a SIGNED channel; without it the channel is METERED. */
  readonly sessionKey?: Address;
};

/** A user's channel to a relay on the chain. pUSD; protocol seconds. */
export function channelOf({ chain }: Pick<Wallet, "chain">, relayId: number, userId: number) {
  return settlement.channelOf(chain.public, { deployment: chain.deployment, relayId, userId });
}

/** Asked before anything is deposited for a channel. Throws `invalid_request` for a relay that cannot have one. */
export async function requireActiveRelay({ chain }: Pick<Wallet, "chain">, relayId: number): Promise<void> {
  const { public: reader, deployment } = chain;
  if (await isActive(reader, { deployment, role: ROLES.relay, id: relayId })) return;
  throw new AimoError("invalid_request", {
    message: `Relay ${relayId} is not registered, has left, or has too little bond. Nothing was sent.`,
    hint: "Choose another relay.",
  });
}

/**
 * Asked before anything is deposited for it. Throws `invalid_request` when `fundChannel` would be refused. Returns whose
 * channel would be topped up; undefined when one would be opened.
 */
export async function requireFundable(
  wallet: Wallet,
  relayId: number,
): Promise<{ readonly relayId: number; readonly userId: number } | undefined> {
  await requireActiveRelay(wallet, relayId);
  const { userId } = await creditsOf(wallet);
  const { revokedAt, settleBy } = await channelOf(wallet, relayId, userId);
  if (settleBy < wallet.chain.time.now()) return undefined;
  if (revokedAt === 0) return { relayId, userId };
  throw new AimoError("invalid_request", {
    message: `The session key of the channel to relay ${relayId} was revoked; it ends ${timeOf(settleBy)}. Nothing was sent.`,
    hint: "When it is over: `aimo channel withdraw`, then `aimo channel open AMOUNT`, which uses what came out.",
  });
}

/** Puts free credits into the channel to a relay: tops up one that runs (and extends it), opens one otherwise. */
export async function fundChannel(wallet: Wallet, plan: ChannelPlan): Promise<void> {
  const { relayId, amount, expiry } = plan;
  const { userId } = await creditsOf(wallet);
  const channel = await channelOf(wallet, relayId, userId);
  if (channel.settleBy < wallet.chain.time.now()) return openChannel(wallet, plan);
  const { deployment } = wallet.chain;
  const label = `Top-up of the channel to relay ${relayId} by ${usd(amount)}`;
  await settlement.topUpChannel(wallet, { deployment, relayId, amount, label });
  if (channel.expiry < expiry)
    await settlement.extendChannel(wallet, {
      deployment,
      relayId,
      expiry,
      label: "Extension of the channel",
    });
}

/** Opens a channel with free credits, taking out first what is left in one that is over. Throws `transaction_failed`. */
export async function openChannel(wallet: Wallet, plan: ChannelPlan): Promise<void> {
  const { relayId, amount, expiry, sessionKey } = plan;
  const { deployment, time } = wallet.chain;
  const { userId } = await creditsOf(wallet);
  const channel = await channelOf(wallet, relayId, userId);
  if (channel.available > 0n && channel.settleBy < time.now()) {
    const label = "Withdrawal from the channel that is over";
    await settlement.withdrawChannel(wallet, { deployment, relayId, label });
  }
  await settlement.openChannel(wallet, {
    ...{ deployment, relayId, amount, expiry },
    mode: sessionKey === undefined ? CHANNEL_MODES.metered : CHANNEL_MODES.signed,
    sessionKey: sessionKey ?? zeroAddress,
    label: `Opening of a ${sessionKey === undefined ? "" : "signed "}channel of ${usd(amount)} to relay ${relayId}`,
  });
}

/** The relay has this long to send the transaction. */
const AUTHORIZATION_SECONDS = 900;

/** Lets the relay open or top up the channel, at its gas, with what is free in the vault. Returns the transaction. */
export async function authorizeChannel(wallet: Wallet, client: AimoClient, plan: ChannelPlan): Promise<Hex> {
  const credits = await creditsOf(wallet);
  refuseTooLittle(credits, plan.amount);
  const { transaction } = await client.channels.open(await signAuthorization(wallet, credits, plan));
  await waitForReceipt(wallet.chain.public, { hash: transaction });
  return transaction;
}

function refuseTooLittle({ free }: Credits, amount: bigint): void {
  if (free < amount)
    throw new AimoError("insufficient_credits", {
      message: `The account has ${usd(free)} of free credits, the channel needs ${usd(amount)}.`,
      hint: "Deposit first, which needs gas: `aimo credits buy AMOUNT --no-channel`.",
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
