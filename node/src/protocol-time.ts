import { protocolClockAbi } from "@aimo/protocol/abi/protocol-clock";
import type { Address, PublicClient } from "viem";

/** Protocol time (protocol section 2): wall time less the time for which the protocol was paused. */
export interface ProtocolTime {
  /** Seconds, as every `uint40` of the contracts counts them. Synchronous. */
  now(): number;
  /** Reads again for how long the protocol was paused. Pauses are rare: once a minute is plenty. */
  refresh(): Promise<void>;
}

/** Seconds for which the protocol was paused, as of a block. */
export async function readPaused(
  client: Pick<PublicClient, "getBlock" | "readContract">,
  clock: Address,
  blockNumber?: bigint,
): Promise<number> {
  const block = await client.getBlock(blockNumber === undefined ? {} : { blockNumber });
  const time = await client.readContract({
    address: clock,
    abi: protocolClockAbi,
    functionName: "clock",
    blockNumber: block.number,
  });
  return Number(block.timestamp) - time;
}

export type ProtocolTimeParameters = {
  readonly client: Pick<PublicClient, "getBlock" | "readContract">;
  readonly clock: Address;
  /** Seconds, as `readPaused` returned them. */
  readonly paused: number;
  /** Wall clock in milliseconds. */
  readonly now: () => number;
};

export function createProtocolTime({ client, clock, paused, now }: ProtocolTimeParameters): ProtocolTime {
  let pausedSeconds = paused;
  return {
    now: () => Math.floor(now() / 1000) - pausedSeconds,
    refresh: async () => {
      pausedSeconds = await readPaused(client, clock);
    },
  };
}
