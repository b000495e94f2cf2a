import type { ChannelOnChain } from "./types.ts";

export type DueParameters = {
  readonly unsettled: bigint;
  readonly oldestMs: number | undefined;
  /** Channels with something unsettled, and how much. */
  readonly channels: readonly { readonly channel: ChannelOnChain; readonly unsettled: bigint }[];
  readonly protocolNow: number;
  readonly limits: DueLimits;
};
export type DueLimits = {
  /** pUSD. */
  readonly amount: bigint;
  readonly channelPercent: number;
  readonly maxAgeMs: number;
  /** Seconds before settleBy at which a channel is posted whatever it owes. */
  readonly settleByMargin: number;
};

/** Why a batch should be posted now, or undefined. The policy of the docs: amount, part of a channel, age, thaw, expiry. */
export function dueReason({
  unsettled,
  oldestMs,
  channels,
  protocolNow,
  limits,
}: DueParameters): string | undefined {
  if (oldestMs === undefined) return undefined;
  if (unsettled >= limits.amount) return "amount";
  if (oldestMs >= limits.maxAgeMs) return "age";
  for (const { channel, unsettled: own } of channels) {
    if (own === 0n) continue;
    if (channel.thawAmount > 0n) return "thaw";
    if (channel.settleBy - protocolNow <= limits.settleByMargin) return "settleBy";
    if (own * 100n >= (channel.available + channel.spent) * BigInt(limits.channelPercent)) return "channel";
  }
  return undefined;
}
