import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { createLog } from "@aimo/node/log";
import { startLocalProvider, upstreamProvider } from "../../scripts/local/providers.ts";
import { createKey } from "../../scripts/local/sign-in.ts";
import { localWallet } from "../../scripts/local/wallets.ts";
import { Client } from "../faults/client.ts";
import { answerWell, startScriptedUpstream } from "../faults/scripted-upstream.ts";
import { type Child, startChild } from "../relay/child.ts";
import { addReserve, makeWorld } from "../relay/make-world.ts";
import { MODEL } from "../relay/mock.ts";
import { WORLD_FILE, type World } from "../relay/world.ts";

export type CrashNetwork = {
  readonly world: World;
  readonly providerId: number;
  readonly client: Client;
  /** Starts the relay on what the last one left, and waits until it serves. */
  startRelay(): Promise<Child>;
  /** What the provider holds the relay's signature for, pUSD over all time. */
  voucher(): Promise<bigint>;
  close(): Promise<void>;
};

/** Answers take up to so long, so that a kill finds some under way. */
const MOST_ANSWER_MS = 40;
const RELAY_CORE = 0;

/** A chain and a real provider node in this process, and a relay in another that can be killed. */
export async function startCrashNetwork(workers: number): Promise<CrashNetwork> {
  const started = new AsyncDisposableStack();
  try {
    const folder = await mkdtemp(join(tmpdir(), "aimo-crash-"));
    started.defer(() => rm(folder, { recursive: true, force: true }));
    const [port, p2pPort] = [await freePort(), await freePort()];
    const p2p = `/ip4/127.0.0.1/tcp/${p2pPort}`;
    // Posts all the time, so that kills find batches at every step.
    const settings = `
workers = ${workers}

[http]
port = ${port}
requests_per_minute = 10000000

[gossip]
listen = ["${p2p}"]

[settling]
max_age_ms = 300
`;
    const { world, close } = await makeWorld(folder, { settings });
    started.defer(close);
    await writeFile(join(folder, WORLD_FILE), JSON.stringify(world), { mode: 0o600 });
    const upstream = await startScriptedUpstream();
    started.defer(() => upstream.close());
    upstream.play = (response, streamed) =>
      void setTimeout(() => answerWell(response, streamed), Math.random() * MOST_ANSWER_MS);
    const startRelay = () => startChild({ program: "run-relay.ts", args: [folder], core: RELAY_CORE });
    const url = `http://127.0.0.1:${port}`;
    const first = await startRelay();
    const log = createLog({ level: "fatal", name: "crash" });
    const plan = { ...upstreamProvider({ url: upstream.url, model: MODEL }), name: "crash" };
    const bootstrap = String(first.ready["p2p"]).split(",");
    const node = await startLocalProvider({ ...world, folder, bootstrap, log, index: 1, plan, port: 0 });
    started.defer(() => node.close());
    await addReserve(world, node.id);
    const key = await createKey(url, localWallet(world.rpcUrl, world.user), "crash");
    await first.close();
    const voucherFile = join(folder, "provider-crash", "data-vouchers", `relay-${world.relayId}.json`);
    return {
      ...{ world, providerId: node.id, client: new Client(url, key) },
      async startRelay() {
        const relay = await startRelay();
        await waitForOffer(url);
        return relay;
      },
      async voucher() {
        const { cumulative } = JSON.parse(await readFile(voucherFile, "utf8")) as { cumulative: string };
        return BigInt(cumulative);
      },
      close: () => started.disposeAsync(),
    };
  } catch (error) {
    await started.disposeAsync();
    throw error;
  }
}

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });
}

const OFFER_TIMEOUT_MS = 60_000;
const POLL_MS = 25;

/** The provider dials the relay anew, and announces itself. */
async function waitForOffer(url: string): Promise<void> {
  const deadline = Date.now() + OFFER_TIMEOUT_MS;
  while (Date.now() < deadline) {
    const { data } = (await (await fetch(`${url}/v1/models`)).json()) as { data: unknown[] };
    if (data.length > 0) return;
    await wait(POLL_MS);
  }
  throw new Error("The provider's offer did not reach the relay.");
}
