import { channelsOfUser } from "@aimo/protocol/actions/lens";
import { CHANNEL_MODES } from "@aimo/protocol/deployment";
import { usd } from "./amounts.ts";
import { channelOf } from "./channel.ts";
import { creditsOf } from "./deposit.ts";
import type { Wallet } from "./wallet.ts";

type OnChain = Awaited<ReturnType<typeof channelOf>>;

/** A channel as JSON has it: names with their unit, the mode as a word. Times in protocol seconds. */
export function channelFields(relayId: number, channel: OnChain) {
  const { epoch, mode, available, spent, thawAmount, thawEnd, expiry, settleBy, openedAt } = channel;
  return {
    relayId,
    epoch,
    mode: mode === CHANNEL_MODES.signed ? "signed" : "metered",
    availablePusd: available,
    spentPusd: spent,
    thawingPusd: thawAmount,
    ...{ thawEnd, expiry, settleBy, openedAt },
    revokedAt: channel.revokedAt,
    sessionKey: channel.sessionKey,
  };
}

/** The channel to a relay as it is now, as text and JSON. */
export async function channelState(wallet: Pick<Wallet, "chain" | "account">, relayId: number) {
  const { userId, free } = await creditsOf(wallet);
  const channel = channelFields(relayId, await channelOf(wallet, relayId, userId));
  return {
    text: `User ${userId} has ${usd(channel.availablePusd)} in its channel to relay ${relayId}, and ${usd(free)} of free credits.`,
    json: { userId, relayId, freePusd: free, channel },
  };
}

/** Relays of a page of the lens. */
const PAGE = 256;

/** Every channel that a user ever opened, by relay id. */
export async function channelsOf({ chain }: Pick<Wallet, "chain">, userId: number) {
  if (userId === 0) return [];
  const { public: reader, deployment } = chain;
  const found = [];
  for (let firstRelayId = 1; firstRelayId !== 0; ) {
    const { page, next } = await channelsOfUser(reader, { deployment, userId, firstRelayId, count: PAGE });
    found.push(...page.map(({ relayId, channel }) => channelFields(relayId, channel)));
    firstRelayId = next;
  }
  return found;
}
