import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { createLog } from "@aimo/node/log";
import { loadConfig } from "@aimo/relay/config";
import { type RelayNode, startRelay } from "@aimo/relay/node";
import { startLocalProvider, upstreamProvider } from "../../scripts/local/providers.ts";
import { createKey } from "../../scripts/local/sign-in.ts";
import { localWallet } from "../../scripts/local/wallets.ts";
import { addProvider, addReserve, makeWorld } from "../relay/make-world.ts";
import { MODEL } from "../relay/mock.ts";
import type { World } from "../relay/world.ts";
import { Client } from "./client.ts";
import { type RawProvider, startRawProvider } from "./raw-provider.ts";
import { type ScriptedUpstream, startScriptedUpstream } from "./scripted-upstream.ts";

/** How long the relay waits, and how long faults last. Milliseconds. */
export type Limits = {
  readonly firstByteMs: number;
  readonly idleMs: number;
  readonly flapMs: number;
};
/** As in service, with less patience than the 30 s that a provider node has; and the same in little for the tests. */
export const LIMITS: Limits = { firstByteMs: 10_000, idleMs: 20_000, flapMs: 60_000 };
export const SMALL_LIMITS: Limits = { firstByteMs: 1_000, idleMs: 1_000, flapMs: 1_500 };

/** A real provider node before an inference server that does what it is told. */
type NodeProvider = { readonly id: number; readonly upstream: ScriptedUpstream };

export type FaultNetwork = {
  readonly world: World;
  readonly relay: RelayNode;
  readonly client: Client;
  readonly limits: Limits;
  /** Providers whose faults are their own. Each of the two below is for one fault, which tells on its reputation. */
  readonly raw: RawProvider;
  readonly throttled: RawProvider;
  readonly flapping: RawProvider;
  /** A provider whose inference server is at fault, one that takes over, and one more after that. */
  readonly faulty: NodeProvider;
  readonly sound: NodeProvider;
  readonly third: NodeProvider;
  close(): Promise<void>;
};

/** A relay, its chain and six providers in this process, over real sockets. */
export async function startFaultNetwork(limits: Limits): Promise<FaultNetwork> {
  const started = new AsyncDisposableStack();
  try {
    const folder = await mkdtemp(join(tmpdir(), "aimo-faults-"));
    started.defer(() => rm(folder, { recursive: true, force: true }));
    const settings = `
[http]
port = 0
requests_per_minute = 100000

[upstream]
first_byte_ms = ${limits.firstByteMs}
idle_ms = ${limits.idleMs}

[settling]
amount_usd = "100"
`;
    const { world, close } = await makeWorld(folder, { settings });
    started.defer(close);
    const log = createLog({ level: "fatal", name: "faults" });
    const relay = await startRelay(await loadConfig({ file: world.relayConfig, environment: {} }), { log });
    const bootstrap = relay.p2pAddresses;
    const startRaw = async (identity: Pick<World, "providerId" | "providerKey">) => {
      const provider = await startRawProvider({ ...world, ...identity }, bootstrap);
      started.defer(() => provider.close());
      return provider;
    };
    const startNode = async (name: string, index: number): Promise<NodeProvider> => {
      const upstream = await startScriptedUpstream();
      started.defer(() => upstream.close());
      const plan = { ...upstreamProvider({ url: upstream.url, model: MODEL }), name };
      const network = { ...world, folder, bootstrap, log };
      const node = await startLocalProvider({ ...network, index, plan, port: 0 });
      started.defer(() => node.close());
      await addReserve(world, node.id);
      return { id: node.id, upstream };
    };
    const raw = await startRaw(world);
    const throttled = await startRaw(await addProvider(world, folder, 1));
    const flapping = await startRaw(await addProvider(world, folder, 2));
    const faulty = await startNode("faulty", 3);
    const sound = await startNode("sound", 4);
    const third = await startNode("third", 5);
    // Before the providers, whose last groups it waits for.
    started.defer(() => relay.close());
    await waitForOffers(relay.url, 6);
    const key = await createKey(relay.url, localWallet(world.rpcUrl, world.user), "faults");
    return {
      ...{ world, relay, limits, raw, throttled, flapping, faulty, sound, third },
      client: new Client(relay.url, key),
      close: () => started.disposeAsync(),
    };
  } catch (error) {
    await started.disposeAsync();
    throw error;
  }
}

const OFFER_TIMEOUT_MS = 30_000;
const POLL_MS = 50;

/** Offers come by gossip. */
async function waitForOffers(url: string, count: number): Promise<void> {
  const deadline = Date.now() + OFFER_TIMEOUT_MS;
  while (Date.now() < deadline) {
    const { data } = (await (await fetch(`${url}/v1/models`)).json()) as { data: Listed[] };
    if (data.some(({ id, aimo }) => id === MODEL && aimo.providers.length === count)) return;
    await wait(POLL_MS);
  }
  throw new Error(`The offers of ${count} providers did not reach the relay.`);
}
type Listed = { readonly id: string; readonly aimo: { readonly providers: readonly object[] } };
