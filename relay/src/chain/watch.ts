import { asking, type Chain } from "@aimo/node/chain";
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
] as const;
/** Nodes' RPC servers refuse longer ranges. */
const MAX_BLOCKS = 2_000n;
/** Read again each time: a re-org this short moves events to other blocks. */
const OVERLAP = 5n;

/**
 * Follows the channels of a relay. An event only names whose channel has changed; what it is now is read from storage,
 * so a re-org or a missed event can never leave a wrong balance, only a late one. Starts at the head: call it before
 * channels are read, and what changes while they are is seen.
 */
export async function watchChannels(parameters: WatchParameters): Promise<{ stop(): void }> {
  const { chain, relayId, refreshChannel, intervalMs, log } = parameters;
  const head = async () => (await ask(() => chain.public.getBlock({ blockTag: chain.readAt }))).number;
  const first = await head();
  let next = first > OVERLAP ? first - OVERLAP : 0n;
  const poll = async () => {
    const last = await head();
    while (next <= last) {
      const toBlock = next + MAX_BLOCKS < last ? next + MAX_BLOCKS : last;
      const users = new Set<number>();
      const { settlement: address } = chain.deployment.contracts;
      const range = { fromBlock: next, toBlock, args: { relayId }, strict: true } as const;
      const events = await ask(() =>
        chain.public.getContractEvents({ address, abi: settlementAbi, ...range }),
      );
      for (const event of events)
        if ((EVENTS as readonly string[]).includes(event.eventName) && "userId" in event.args)
          users.add(event.args.userId);
      for (const userId of users) await refreshChannel(userId);
      next = toBlock + 1n;
    }
    next = last > OVERLAP ? last - OVERLAP : 0n;
  };
  await poll();
  let stopped = false;
  let timer: NodeJS.Timeout | undefined;
  const again = () => {
    if (stopped) return;
    timer = setTimeout(() => {
      poll()
        .catch((error: unknown) =>
          log.warn({ err: error }, "Channels could not be followed; it is tried again."),
        )
        .finally(again);
    }, intervalMs);
  };
  again();
  return {
    stop() {
      stopped = true;
      clearTimeout(timer);
    },
  };
}

const ask = <T>(read: () => Promise<T>): Promise<T> => asking("The chain's RPC endpoint", read);
