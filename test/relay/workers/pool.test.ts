import { silentLog } from "@aimo/node/log";
import { expect } from "chai";
import type { Outcome } from "../../../relay/src/core/types.ts";
import { WorkerPool, type WorkerPoolParameters } from "../../../relay/src/workers/pool.ts";

const PROGRAM = new URL("../support/stubborn-worker.ts", import.meta.url);

describe("the workers of a relay", function () {
  this.timeout(60_000);

  it("are ended with what they hold when they do not end that themselves", async () => {
    const opened = Promise.withResolvers<void>();
    const left = Promise.withResolvers<void>();
    const outcomes: Outcome[] = [];
    const held = {
      terms: { offers: [] },
      commit: (outcome: Outcome) => void outcomes.push(outcome),
      leave: () => left.resolve(),
    };
    const desk = {
      open: async () => {
        setImmediate(opened.resolve);
        return held;
      },
    };
    const pool = await WorkerPool.start({
      ...{ program: PROGRAM, count: 1, log: silentLog(), start: { ticket: 1, keyHash: "", offers: [] } },
      books: { desk, keys: { byHash: () => ({}) } } as unknown as WorkerPoolParameters["books"],
      ...{ onSticky: () => {}, onLeft: () => {}, greetings: () => ({ offers: [], behind: 0 }) },
    });
    await opened.promise;
    pool.stop(0);
    await left.promise;
    expect(outcomes).to.deep.equal([{ kind: "free", reason: "internal_error", attempts: [] }]);
    await pool.close();
  });
});
