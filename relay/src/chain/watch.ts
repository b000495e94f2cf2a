import { asking, type Chain } from "@aimo/node/chain";
import { followBlocks } from "@aimo/node/follow-blocks";
import { settlementAbi } from "@aimo/protocol/abi/settlement";

export type WatchParameters = {
  readonly chain: Pick<Chain, "public" | "deployment" | "readAt">;
  readonly relayId: number;
  readonly refreshChannel: (userId: number) => Promise<unknown>;
  readonly intervalMs: number;
  readonly log: { warn(fields: object, message: string): void };
};

const EVENTS = [
  "ChannelOpened",
  "ChannelToppedUp",
  "ChannelExtended",
  "ChannelThawStarted",
  "ChannelThawCancelled",
  "ChannelWithdrawn",
  "SessionKeyRevoked",
] as const;

/**
 * Follows the channels of a relay. An event only names whose channel has changed; what it is now is read from storage,
 * so a re-org or a missed event can never leave a wrong balance, only a late one. Starts at the head: call it before
 * channels are read, and what changes while they are is seen.
 */
export function watchChannels(parameters: WatchParameters): Promise<{ stop(): void }> {
  const { chain, relayId, refreshChannel, intervalMs, log } = parameters;
  const { settlement: address } = chain.deployment.contracts;
  return followBlocks({
    ...{ chain, intervalMs, log, what: "Channels" },
    look: async (range) => {
      const query = { address, abi: settlementAbi, args: { relayId }, strict: true, ...range } as const;
      const events = await asking("The chain's RPC endpoint", () => chain.public.getContractEvents(query));
      const users = new Set<number>();
      for (const event of events)
        if ((EVENTS as readonly string[]).includes(event.eventName) && "userId" in event.args)
          users.add(event.args.userId);
      for (const userId of users) await refreshChannel(userId);
    },
  });
}
