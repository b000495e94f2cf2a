import { protocolClockAbi } from "@aimo/protocol/abi/protocol-clock";
import type { Address, PublicClient } from "viem";

/** Protocol time (protocol section 2): wall time less the time for which the protocol was paused. */
export interface ProtocolTime {
  /** Seconds, as every `uint40` of the contracts counts them. Stands still during a pause. Synchronous. */
  now(): number;
  /** Wall-clock second at which the present pause ends by itself; undefined while the protocol runs. */
  pausedUntil(): number | undefined;
  /** Reads the clock again. */
  refresh(): Promise<void>;
}

type ClockReader = Pick<PublicClient, "getBlock" | "readContract">;

/** The clock contract at one block, seconds. `pausedUntil`: block time; 0 while the protocol runs. */
export type ClockReading = {
  readonly blockTime: number;
  readonly clock: number;
  readonly pausedUntil: number;
};

/** Reads the clock contract, at the latest block when none is named: a pause must not wait for a safe one. */
export async function readClock(
  client: ClockReader,
  address: Address,
  blockNumber?: bigint,
): Promise<ClockReading> {
  const block = await client.getBlock(blockNumber === undefined ? {} : { blockNumber });
  const contract = { address, abi: protocolClockAbi, blockNumber: block.number } as const;
  const [clock, pausedUntil] = await Promise.all([
    client.readContract({ ...contract, functionName: "clock" }),
    client.readContract({ ...contract, functionName: "pausedUntil" }),
  ]);
  return { blockTime: Number(block.timestamp), clock, pausedUntil };
}

export type ProtocolTimeParameters = {
  readonly client: ClockReader;
  readonly clock: Address;
  /** As `readClock` returned it at start. */
  readonly reading: ClockReading;
  /** Wall clock in milliseconds. */
  readonly now: () => number;
};

export function createProtocolTime({ client, clock, reading, now }: ProtocolTimeParameters): ProtocolTime {
  let last = reading;
  const wall = () => Math.floor(now() / 1000);
  const pausedUntil = () =>
    last.pausedUntil > last.blockTime && wall() < last.pausedUntil ? last.pausedUntil : undefined;
  return {
    pausedUntil,
    now: () => {
      if (pausedUntil() !== undefined) return last.clock;
      // A pause that nobody ended is over at its own end.
      const resumedAt = Math.max(last.blockTime, last.pausedUntil);
      return wall() - (resumedAt - last.clock);
    },
    refresh: async () => {
      last = await readClock(client, clock);
    },
  };
}

/** How often a node looks for a pause, milliseconds: about once a block. */
const FOLLOW_MS = { main: 4_000, local: 500 } as const;

export type FollowTimeParameters = {
  readonly time: ProtocolTime;
  readonly deployment: { readonly profile: keyof typeof FOLLOW_MS };
  readonly log: {
    info(fields: object, message: string): void;
    warn(fields: object, message: string): void;
  };
};

/** Reads the clock as blocks come and tells the log of pauses; gives what stops it. */
export function followTime({ time, deployment, log }: FollowTimeParameters): () => void {
  let known = time.pausedUntil();
  let reading = false;
  const look = async () => {
    await time.refresh();
    const until = time.pausedUntil();
    if (until !== known)
      log.info({ until }, until === undefined ? "The protocol runs again." : "The protocol is paused.");
    known = until;
  };
  const timer = setInterval(() => {
    if (reading) return;
    reading = true;
    look()
      .catch((error: unknown) => log.warn({ err: error }, "The protocol's clock could not be read."))
      .finally(() => {
        reading = false;
      });
  }, FOLLOW_MS[deployment.profile]).unref();
  return () => clearInterval(timer);
}
