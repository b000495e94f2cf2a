import { rm, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { startClosable } from "@aimo/node/lifecycle";
import { createLog, type Log } from "@aimo/node/log";
import { formatUsd, PUSD_PER_USD } from "@aimo/protocol/units";
import { type Address, isAddressEqual } from "viem";
import { deployAll } from "./deploy.ts";
import { requirePort, startChain } from "./local/chain.ts";
import { claimFolder } from "./local/data-folder.ts";
import {
  DEMO_PROVIDERS,
  type LocalProvider,
  type ProviderPlan,
  startLocalProvider,
  upstreamProvider,
} from "./local/providers.ts";
import { type Network, openChannel } from "./local/register.ts";
import { type LocalRelay, startLocalRelay } from "./local/relays.ts";
import { fundReserves, RESERVE } from "./local/reserves.ts";
import { createKey } from "./local/sign-in.ts";
import { ACCOUNT, deposit, localPrivateKey, localWallet } from "./local/wallets.ts";

export type LocalNetworkOptions = {
  /** First port: the chain's, then the relays', then the providers'. "free": whatever the system gives. */
  readonly ports: number | "free";
  /** Keys, ledgers and addresses; emptied at the start, because the chain is a new one. See `claimFolder`. */
  readonly dataFolder?: string;
  /** Funded users, each with a channel and a key; 1 by default. */
  readonly users?: number;
  /** An OpenAI-compatible server to put behind a provider of its own. */
  readonly upstream?: { readonly url: string; readonly model: string };
  /** Processes of each relay that serve requests; 1 by default. */
  readonly workers?: number;
  /** Told of each step. */
  readonly progress?: (line: string) => void;
};

export type LocalUser = {
  readonly name: string;
  readonly address: Address;
  readonly baseUrl: string;
  readonly apiKey: string;
  readonly relayId: number;
  readonly channelUsd: string;
};

export type LocalNetwork = Network & {
  readonly relays: readonly LocalRelay[];
  readonly providers: readonly LocalProvider[];
  readonly users: readonly LocalUser[];
  /** Models on offer; `model` is the one to try first. */
  readonly models: readonly string[];
  readonly model: string;
  readonly folder: string;
  /** Relays drain and post their last batches, then providers, then the chain. */
  close(): Promise<void>;
};

/** Where the command line looks for a network unless it is told. */
export const DEFAULT_DATA_FOLDER = ".aimo/local";

const RELAYS = 2;
/** What a local user deposits, and what of it goes into its channel. */
const USER_DEPOSIT = 20n * PUSD_PER_USD;
const CHANNEL = 10n * PUSD_PER_USD;
const CHANNEL_DAYS = 30;
const MIN_STAKE = 10n * PUSD_PER_USD;
const PROTOCOL_FEE_BPS = 100;

/** Brings up a whole network in this process: real chain, real sockets, real files. What was started is closed on a failure. */
export function startLocalNetwork(options: LocalNetworkOptions): Promise<LocalNetwork> {
  const log = createLog({ level: "warn", name: "local" });
  return startClosable((started) => start(options, log, started), { log });
}

async function start(
  options: LocalNetworkOptions,
  log: Log,
  started: AsyncDisposableStack,
): Promise<Omit<LocalNetwork, "close">> {
  const { progress = () => {} } = options;
  const port = (index: number) => (options.ports === "free" ? 0 : options.ports + index);
  const folder = resolve(options.dataFolder ?? (await temporaryFolder(started)));
  const plans = [...DEMO_PROVIDERS, ...(options.upstream ? [upstreamProvider(options.upstream)] : [])];
  // Before anything is emptied: who finds the ports taken has not lost anything.
  for (let index = 0; index <= RELAYS + plans.length; index++) await requirePort(port(index));
  const chain = await startChain({ port: port(RELAYS) });
  started.defer(() => chain.close());
  const { url: rpcUrl } = chain;
  await claimFolder(folder, rpcUrl);
  progress(`Chain: Hardhat network at ${rpcUrl}`);
  const deployment = await deployAll({
    rpcUrl,
    wallet: localWallet(rpcUrl, ACCOUNT.deployer),
    profile: "local",
    treasury: localWallet(rpcUrl, ACCOUNT.treasury).account.address,
    protocolFeeBps: PROTOCOL_FEE_BPS,
    minRelayStake: MIN_STAKE,
    minProviderStake: MIN_STAKE,
  });
  const deploymentFile = join(folder, "deployment.json");
  await writeFile(deploymentFile, `${JSON.stringify(deployment, null, 2)}\n`);
  progress(`Contracts: settlement ${deployment.contracts.settlement}, vault ${deployment.contracts.vault}`);

  const common = { rpcUrl, deployment, folder, deploymentFile, log };
  const relays = await startRelays(common, { port, started, progress, workers: options.workers ?? 1 });
  const providers = await startProviders(common, { plans, port, relays, started, progress });
  for (const relay of relays) await fundReserves(common, relay, providers);
  progress(`Reserves: ${formatUsd(RESERVE)} USD of each relay for each provider`);
  // Relays close before providers, and both before the chain.
  started.defer(async () => {
    await Promise.all(relays.map((relay) => relay.close()));
  });
  const models = [...new Set(plans.flatMap((plan) => plan.models.map(({ id }) => id)))];
  await Promise.all(relays.map((relay) => waitForModels(relay, models)));
  progress(`Gossip: both relays hear ${count(providers, "provider")} and ${count(models, "model")}`);
  const users = await fundUsers({ rpcUrl, deployment }, relays, options.users ?? 1);
  for (const user of users)
    progress(`User ${user.name}: ${user.channelUsd} USD in a channel to relay ${user.relayId}, and a key`);
  await writeNetworkFile(folder, { rpcUrl, deployment, relays, users });
  const model = options.upstream?.model.toLowerCase() ?? "demo-text";
  return { rpcUrl, deployment, relays, providers, users, models, model, folder };
}

/** "1 model", "2 models". */
const count = ({ length }: readonly unknown[], noun: string): string =>
  `${length} ${noun}${length === 1 ? "" : "s"}`;

type Common = Network & { readonly folder: string; readonly deploymentFile: string; readonly log: Log };
type Bring = {
  readonly port: (index: number) => number;
  readonly started: AsyncDisposableStack;
  readonly progress: (line: string) => void;
};

async function startRelays(
  common: Common,
  { port, started, progress, workers }: Bring & { readonly workers: number },
): Promise<LocalRelay[]> {
  const relays: LocalRelay[] = [];
  for (let index = 0; index < RELAYS; index++) {
    const relay = await startLocalRelay({
      ...common,
      index,
      port: port(index),
      workers,
      bootstrap: relays.flatMap(({ p2p }) => p2p),
    });
    started.defer(() => relay.close());
    relays.push(relay);
    progress(`Relay ${relay.id}: ${relay.url}, bonded, fee ${relay.feeBps / 100} %`);
  }
  return relays;
}

async function startProviders(
  common: Common,
  {
    plans,
    port,
    relays,
    started,
    progress,
  }: Bring & { readonly plans: readonly ProviderPlan[]; readonly relays: readonly LocalRelay[] },
): Promise<LocalProvider[]> {
  const providers: LocalProvider[] = [];
  for (const [index, plan] of plans.entries()) {
    const bootstrap = relays.flatMap(({ p2p }) => p2p);
    const provider = await startLocalProvider({
      ...common,
      index,
      plan,
      port: port(RELAYS + 1 + index),
      bootstrap,
    });
    started.defer(() => provider.close());
    providers.push(provider);
    progress(
      `Provider ${provider.id} (${provider.name}): ${provider.url}, staked, ${count(plan.models, "model")}`,
    );
  }
  return providers;
}

async function fundUsers(
  network: Network,
  relays: readonly LocalRelay[],
  count: number,
): Promise<LocalUser[]> {
  const users: LocalUser[] = [];
  for (let index = 0; index < count; index++) {
    const relay = relays[index % relays.length];
    if (!relay) throw new Error("The local network has no relay.");
    const wallet = localWallet(network.rpcUrl, ACCOUNT.user + index);
    await deposit(network.rpcUrl, network.deployment, wallet, USER_DEPOSIT);
    await openChannel(network, wallet, { relayId: relay.id, amount: CHANNEL, days: CHANNEL_DAYS });
    const apiKey = await createKey(relay.url, wallet, "local network");
    const name = ["ada", "bob", "cleo", "dan", "eve"][index] ?? `user-${index + 1}`;
    users.push({
      name,
      address: wallet.account.address,
      baseUrl: `${relay.url}/v1`,
      apiKey,
      relayId: relay.id,
      channelUsd: formatUsd(CHANNEL),
    });
  }
  return users;
}

/** How long gossip may take on one machine before something is wrong. */
const GOSSIP_DEADLINE_MS = 30_000;
const POLL_MS = 100;

/** Waits until a relay lists all models. There is no event to wait for across HTTP. */
async function waitForModels(relay: LocalRelay, models: readonly string[]): Promise<void> {
  const deadline = Date.now() + GOSSIP_DEADLINE_MS;
  for (;;) {
    const { data } = (await (await fetch(`${relay.url}/v1/models`)).json()) as { data: { id: string }[] };
    const missing = models.filter((model) => !data.some(({ id }) => id === model));
    if (missing.length === 0) return;
    if (Date.now() > deadline)
      throw new Error(
        `Relay ${relay.id} heard no offer of ${missing.join(", ")} within ${GOSSIP_DEADLINE_MS / 1000} s.`,
      );
    await new Promise((done) => setTimeout(done, POLL_MS));
  }
}

/** Where the command line finds a running local network. Holds a key, so only its owner may read it. */
async function writeNetworkFile(
  folder: string,
  network: Network & { relays: readonly LocalRelay[]; users: readonly LocalUser[] },
): Promise<void> {
  const { rpcUrl, deployment, relays, users } = network;
  const [user] = users;
  const keyFile = join(folder, "user.key");
  if (user && isAddressEqual(localWallet(rpcUrl, ACCOUNT.user).account.address, user.address))
    await writeFile(keyFile, localPrivateKey(ACCOUNT.user), { mode: 0o600 });
  const content = {
    rpcUrl,
    deployment,
    relays: relays.map(({ id, url, p2p }) => ({ id, url, p2p })),
    user: user && { owner: user.address, apiKey: user.apiKey, baseUrl: user.baseUrl, keyFile },
  };
  await writeFile(join(folder, "network.json"), `${JSON.stringify(content, null, 2)}\n`, { mode: 0o600 });
}

async function temporaryFolder(started: AsyncDisposableStack): Promise<string> {
  const { mkdtemp } = await import("node:fs/promises");
  const { tmpdir } = await import("node:os");
  const folder = await mkdtemp(join(tmpdir(), "aimo-"));
  started.defer(() => rm(folder, { recursive: true, force: true }));
  return folder;
}
