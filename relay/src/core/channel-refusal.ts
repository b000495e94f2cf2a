import { AimoError } from "@aimo/protocol/errors";
import type { ChannelOnChain } from "./types.ts";

/**
 * Why a channel is not served now, or undefined. `retired`: why this relay charges this epoch no more. Codes:
 * `channel_exhausted`, `channel_retired`.
 */
export function channelRefusal(
  channel: Pick<ChannelOnChain, "userId" | "epoch" | "expiry" | "revokedAt">,
  retired: string | undefined,
  protocolNow: number,
): AimoError | undefined {
  const details = { user_id: channel.userId, epoch: channel.epoch };
  if (channel.expiry <= protocolNow) return new AimoError("channel_exhausted", { details });
  if (channel.revokedAt !== 0)
    return new AimoError("channel_exhausted", {
      message: `The channel's session key was revoked at ${channel.revokedAt}: it is served no longer.`,
      details,
    });
  if (retired !== undefined)
    return new AimoError("channel_retired", {
      message: `${retired} Thaw the channel, withdraw from it and open it again: its next epoch is served.`,
      details,
    });
  return undefined;
}
