import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { silentLog } from "@aimo/node/log";
import { expect } from "chai";
import type { Outcome } from "../../../relay/src/core/types.ts";
import { WorkerPool, type WorkerPoolParameters } from "../../../relay/src/workers/pool.ts";

const PROGRAM = new URL("../support/stubborn-worker.ts", import.meta.url);

describe("the workers of a relay", function () {
  this.timeout(60_000);

  const start = ({ desk, ...more }: Partial<WorkerPoolParameters> & { readonly desk: object }) =>
    WorkerPool.start({
      ...{ program: PROGRAM, count: 1, log: silentLog(), start: { ticket: 1, keyHash: "", offers: [] } },
      books: { desk, keys: { byHash: () => ({}) } } as unknown as WorkerPoolParameters["books"],
      ...{ onSticky: () => {}, onLeft: () => {}, greetings: () => ({ offers: [], behind: 0 }) },
      ...more,
    });

  it("are given a connection in turn, which is closed when none of them takes it", async () => {
    const server = createServer({ pauseOnConnect: true }).listen(0, "127.0.0.1");
    await once(server, "listening");
    const client = connect((server.address() as AddressInfo).port, "127.0.0.1");
    const [socket]: Socket[] = await once(server, "connection");
    const left = Promise.withResolvers<string>();
    // They answer, but say of no connection that they have it.
    const desk = { open: () => new Promise(() => {}) };
    const pool = await start({ desk, count: 2, onLeft: left.resolve });
    expect(socket && pool.take(socket, { address: "a", isRefused: false })).to.equal(true);
    expect(await left.promise).to.equal("a");
    expect(socket?.destroyed).to.equal(true);
    await pool.close();
    client.destroy();
    server.close();
  });

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
    const pool = await start({ desk });
    await opened.promise;
    pool.stop(0);
    await left.promise;
    expect(outcomes).to.deep.equal([{ kind: "free", reason: "internal_error", attempts: [] }]);
    await pool.close();
  });
});
