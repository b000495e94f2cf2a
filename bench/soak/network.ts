import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { createLog } from "@aimo/node/log";
import { loadConfig } from "@aimo/provider/config";
import { type ProviderNode, startProvider } from "@aimo/provider/node";
import { startLocalProvider, upstreamProvider } from "../../scripts/local/providers.ts";
import { createKey } from "../../scripts/local/sign-in.ts";
import { localWallet } from "../../scripts/local/wallets.ts";
import { type Child, startChild } from "../relay/child.ts";
import { addReserve, makeWorld } from "../relay/make-world.ts";
import { MODEL } from "../relay/mock.ts";
import { WORLD_FILE, type World } from "../relay/world.ts";
import { type SoakUpstream, startSoakUpstream } from "./upstream.ts";

export const EMBED_MODEL = "bench-embed";
/** USD per million tokens of it: the first of `PRICES`, so that all bills of the soak have the same prices. */
const EMBED_PRICE = "0.20";
const PROVIDERS = ["first", "second"] as const;

/** A real provider node that can be stopped and started again on what it kept. */
type SoakProvider = {
  readonly id: number;
  restart(): Promise<void>;
  /** What it holds the relay's signature for, pUSD over all time. */
  voucher(): Promise<bigint>;
};

export type SoakNetwork = {
  readonly world: World;
  readonly relay: Child;
  readonly url: string;
  readonly key: string;
  readonly upstream: SoakUpstream;
  readonly providers: readonly SoakProvider[];
  close(): Promise<void>;
};

/** A relay in a process of its own; the chain, two provider nodes and what is behind them in this one. */
export async function startSoakNetwork(): Promise<SoakNetwork> {
  const started = new AsyncDisposableStack();
  try {
    const folder = await mkdtemp(join(tmpdir(), "aimo-soak-"));
    started.defer(() => rm(folder, { recursive: true, force: true }));
    const settings = "[http]\nport = 0\nrequests_per_minute = 10000000\n\n[settling]\nmax_age_ms = 5000\n";
    const { world, close } = await makeWorld(folder, { settings });
    started.defer(close);
    await writeFile(join(folder, WORLD_FILE), JSON.stringify(world), { mode: 0o600 });
    const upstream = await startSoakUpstream();
    started.defer(() => upstream.close());
    const relay = await startChild({ program: "run-relay.ts", args: [folder], core: 0 });
    const bootstrap = String(relay.ready["p2p"]).split(",");
    const providers: SoakProvider[] = [];
    for (const [index, name] of PROVIDERS.entries()) {
      const about = { world, folder, upstream, bootstrap, name, index: index + 1 };
      const { provider, stop } = await startSoakProvider(about);
      started.defer(stop);
      providers.push(provider);
    }
    // Before the providers, whose last groups it waits for.
    started.defer(() => relay.close());
    const url = `http://127.0.0.1:${relay.ready["port"]}`;
    await waitForModels(url);
    const key = await createKey(url, localWallet(world.rpcUrl, world.user), "soak");
    return { world, relay, url, key, upstream, providers, close: () => started.disposeAsync() };
  } catch (error) {
    await started.disposeAsync();
    throw error;
  }
}

type ProviderParameters = {
  readonly world: World;
  readonly folder: string;
  readonly upstream: SoakUpstream;
  readonly bootstrap: readonly string[];
  readonly name: string;
  readonly index: number;
};

async function startSoakProvider({ world, folder, upstream, bootstrap, name, index }: ProviderParameters) {
  const log = createLog({ level: "fatal", name });
  const chat = upstreamProvider({ url: upstream.url, model: MODEL });
  const about = {
    route: "embeddings" as const,
    upstreamModel: EMBED_MODEL,
    description: "The bench's mock.",
  };
  const embed = { id: EMBED_MODEL, ...about, pricing: { prompt: EMBED_PRICE } };
  const plan = { ...chat, name, models: [...chat.models, embed] };
  const first = await startLocalProvider({ ...world, folder, bootstrap, log, index, plan, port: 0 });
  await addReserve(world, first.id);
  let node: Pick<ProviderNode, "close"> = first;
  const own = join(folder, `provider-${name}`);
  const provider: SoakProvider = {
    id: first.id,
    async restart() {
      await node.close();
      node = await startProvider(await loadConfig(join(own, "provider.toml")), { log });
    },
    async voucher() {
      const file = join(own, "data-vouchers", `relay-${world.relayId}.json`);
      return BigInt((JSON.parse(await readFile(file, "utf8")) as { cumulative: string }).cumulative);
    },
  };
  return { provider, stop: () => node.close() };
}

const OFFERS_MS = 60_000;
const POLL_MS = 50;

async function waitForModels(url: string): Promise<void> {
  const deadline = Date.now() + OFFERS_MS;
  while (Date.now() < deadline) {
    const { data } = (await (await fetch(`${url}/v1/models`)).json()) as { data: { id: string }[] };
    if ([MODEL, EMBED_MODEL].every((model) => data.some(({ id }) => id === model))) return;
    await wait(POLL_MS);
  }
  throw new Error("The providers' offers did not reach the relay.");
}
