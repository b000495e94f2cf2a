import type { ChannelOnChain } from "./types.ts";

/** What is billed and in no batch yet. pUSD; `billedAt` in wall-clock milliseconds, `issuedAt` in protocol seconds. */
export type UnpostedTotals = {
  readonly receipts: number;
  readonly charged: bigint;
  readonly byUser: ReadonlyMap<number, bigint>;
  readonly oldestBilledAt: number | undefined;
  readonly oldestIssuedAt: number | undefined;
};

export type DueParameters = {
  readonly unsettled: bigint;
  readonly oldestMs: number | undefined;
  /** Channels with something unsettled, and how much. */
  readonly channels: readonly { readonly channel: ChannelOnChain; readonly unsettled: bigint }[];
  /** Providers that are owed something, with what they lend at most. */
  readonly providers: readonly { readonly owed: bigint; readonly cover: bigint }[];
  /** When the oldest unposted receipt was issued, protocol seconds. */
  readonly oldestIssuedAt: number | undefined;
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
  /** Part of what a provider lends. */
  readonly providerPercent: number;
  /** Seconds after which a receipt is posted, so that it never gets too old for it. */
  readonly receiptAge: number;
};

/**
 * Why a batch should be posted now, or undefined. The policy of the docs: amount, part of a channel, age, thaw, expiry,
 * and part of what a provider lends, since a provider that lends no more serves no more.
 */
export function dueReason({
  unsettled,
  oldestMs,
  channels,
  providers,
  oldestIssuedAt,
  protocolNow,
  limits,
}: DueParameters): string | undefined {
  if (oldestMs === undefined) return undefined;
  if (oldestIssuedAt !== undefined && protocolNow - oldestIssuedAt >= limits.receiptAge) return "receipt";
  if (providers.some(({ owed, cover }) => owed * 100n >= cover * BigInt(limits.providerPercent)))
    return "credit";
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
