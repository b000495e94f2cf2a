import { once } from "node:events";
import { Agent, request as send } from "node:http";
import { connect } from "node:net";
import { expect } from "chai";
import type { PartialConfig } from "../../../relay/src/config.ts";
import { type RelayWithProvider, startRelayWithProvider } from "../support/relay-with-provider.ts";
import { until } from "../support/test-relay.ts";
import { watchWorkers } from "../support/worker-processes.ts";

const messages = [{ role: "user" as const, content: "Tell me of the sea." }];
const CHAT = JSON.stringify({ model: "acme/text", messages, max_tokens: 1 });

describe("a relay with a worker that hangs", function () {
  this.timeout(90_000);
  let network: RelayWithProvider;
  let isOpen = false;
  let workers: ReturnType<typeof watchWorkers>;
  const stopped = new Set<number>();
  const start = async (settings: PartialConfig = {}) => {
    workers = watchWorkers();
    network = await startRelayWithProvider({ workers: 2, ...settings }, { log: workers.log });
    isOpen = true;
    while ((await chats(4)).some((status) => status !== 200));
    await until(() => network.ledger.holds.size === 0);
  };
  const stop = (number: number): number => {
    const pid = workers.pids.get(number) ?? 0;
    process.kill(pid, "SIGSTOP");
    stopped.add(pid);
    return pid;
  };
  afterEach(async () => {
    for (const pid of stopped) {
      try {
        process.kill(pid, "SIGKILL");
      } catch {
        // It was replaced.
      }
    }
    stopped.clear();
    if (isOpen) await network.close();
    isOpen = false;
  });
  /** Status by a connection of its own; 0: it was closed. */
  const chat = () =>
    new Promise<number>((resolve) => {
      const headers = { authorization: `Bearer ${network.key}`, "content-type": "application/json" };
      const about = { method: "POST", headers, agent: new Agent({ keepAlive: false }) };
      const outgoing = send(`${network.url}/v1/chat/completions`, about, (response) => {
        response.resume().on("close", () => resolve(response.statusCode ?? 0));
      });
      outgoing.on("error", () => resolve(0)).end(CHAT);
    });
  const chats = (count: number) => Promise.all(Array.from({ length: count }, chat));
  const billed = () => network.signed.reduce((sum, { count }) => sum + count, 0);

  it("serves and bills on with the others, and replaces it", async () => {
    await start();
    const pid = stop(1);
    await workers.said("A worker does not answer");
    let served = 0;
    const before = billed();
    while (workers.pids.get(1) === pid) {
      expect(await chat()).to.equal(200);
      served++;
      // A group each, of which none waits for the one that hangs.
      if (served % 8 === 0) await until(() => billed() >= before + served, 20_000);
    }
    expect(served).to.be.above(8);
    const served200 = (statuses: readonly number[]) => statuses.every((status) => status === 200);
    // The new one has yet to hear of the provider.
    await network.announce();
    while (!served200(await chats(4)));
  });

  /** Status of each of many connections that are held open; 0: it was closed unanswered. */
  const holdOpen = async (count: number) => {
    const sockets = Array.from({ length: count }, () =>
      connect(Number(new URL(network.url).port), "127.0.0.1"),
    );
    const statuses = await Promise.all(
      sockets.map(async (socket) => {
        socket.on("error", () => {}).write("GET /health HTTP/1.1\r\nhost: a\r\n\r\n");
        const [first] = await Promise.race([once(socket, "data"), once(socket, "close")]).catch(() => []);
        return first instanceof Buffer ? Number(first.toString().slice(9, 12)) : 0;
      }),
    );
    return { statuses, close: () => sockets.map((socket) => socket.destroy()) };
  };

  it("answers connections that were on their way to it, and counts them rightly", async () => {
    const most = 24;
    await start({ http: { port: 0, maxConnectionsPerAddress: most, uncountedAddresses: ["::1"] } });
    for (const number of [1, 2]) stop(number);
    // Those of the start may not all have been heard to have ended.
    const burst = holdOpen(most - 8);
    await workers.said("A worker does not answer");
    process.kill(workers.pids.get(1) ?? 0, "SIGKILL");
    process.kill(workers.pids.get(2) ?? 0, "SIGCONT");
    const { statuses, close } = await burst;
    expect(statuses).to.deep.equal(Array(most - 8).fill(200));
    close();
    // As many fit again once the end of each has been heard of.
    for (let isFull = true; isFull; ) {
      const again = await holdOpen(most);
      isFull = again.statuses.some((status) => status !== 200);
      again.close();
    }
  });
});
