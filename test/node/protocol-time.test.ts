import { type ClockReading, createProtocolTime } from "@aimo/node/protocol-time";
import { expect } from "chai";

const ADDRESS = `0x${"11".repeat(20)}` as const;

describe("node/protocol-time", () => {
  let wall = 0;
  let onChain: ClockReading = { blockTime: 0, clock: 0, pausedUntil: 0 };
  const open = (reading: ClockReading) => {
    onChain = reading;
    const client = {
      getBlock: async () => ({ number: 7n, timestamp: BigInt(onChain.blockTime) }),
      readContract: async ({ functionName }: { functionName: string }) =>
        functionName === "clock" ? onChain.clock : onChain.pausedUntil,
    };
    return createProtocolTime({ client: client as never, clock: ADDRESS, reading, now: () => wall * 1_000 });
  };

  it("is the wall clock less all pauses so far", () => {
    const time = open({ blockTime: 1_000, clock: 970, pausedUntil: 0 });
    wall = 1_010;
    expect([time.now(), time.pausedUntil()]).to.deep.equal([980, undefined]);
  });

  it("stands still during a pause, and goes on at its end though nobody asks the chain", () => {
    const time = open({ blockTime: 1_000, clock: 970, pausedUntil: 1_020 });
    for (wall of [1_000, 1_010, 1_019]) expect([time.now(), time.pausedUntil()]).to.deep.equal([970, 1_020]);
    wall = 1_020;
    expect([time.now(), time.pausedUntil()]).to.deep.equal([970, undefined]);
    wall = 1_025;
    expect(time.now()).to.equal(975);
  });

  it("learns of a pause, and of one that was ended early", async () => {
    const time = open({ blockTime: 1_000, clock: 1_000, pausedUntil: 0 });
    onChain = { blockTime: 1_005, clock: 1_003, pausedUntil: 1_023 };
    await time.refresh();
    wall = 1_009;
    expect([time.now(), time.pausedUntil()]).to.deep.equal([1_003, 1_023]);
    onChain = { blockTime: 1_011, clock: 1_004, pausedUntil: 0 };
    await time.refresh();
    wall = 1_012;
    expect([time.now(), time.pausedUntil()]).to.deep.equal([1_005, undefined]);
  });
});
