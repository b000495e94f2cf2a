import { asking, type Chain } from "./chain.ts";

/** RPC servers refuse longer ranges of events. */
const MAX_BLOCKS = 2_000n;
/** Read again each time: a re-org this short moves events to other blocks. */
const OVERLAP = 5n;

export type BlockRange = { readonly fromBlock: bigint; readonly toBlock: bigint };

export type FollowBlocksParameters = {
  readonly chain: Pick<Chain, "public" | "readAt">;
  /** Looks at a range of blocks; ranges overlap, so it must not mind seeing an event twice. */
  readonly look: (range: BlockRange) => Promise<void>;
  /** Where to begin; the head unless given. */
  readonly from?: bigint;
  readonly intervalMs: number;
  /** What is followed, for the log. */
  readonly what: string;
  readonly log: { warn(fields: object, message: string): void };
};

/**
 * Hands out the blocks that nodes may act on, as they come, starting at the head: call it before state is read, and
 * what changes while it is read is seen. A failed look is repeated over the same blocks.
 */
export async function followBlocks(parameters: FollowBlocksParameters): Promise<{ stop(): void }> {
  const { chain, look, intervalMs, what, log } = parameters;
  const head = async () => {
    const { number } = await asking("The chain's RPC endpoint", () =>
      chain.public.getBlock({ blockTag: chain.readAt }),
    );
    return number;
  };
  const first = await head();
  const start = parameters.from !== undefined && parameters.from < first ? parameters.from : first;
  let next = start > OVERLAP ? start - OVERLAP : 0n;
  const poll = async () => {
    const last = await head();
    while (next <= last) {
      const toBlock = next + MAX_BLOCKS < last ? next + MAX_BLOCKS : last;
      await look({ fromBlock: next, toBlock });
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
          log.warn({ err: error }, `${what} could not be followed; it is tried again.`),
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
