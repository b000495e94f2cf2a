import { encodeAnnouncement } from "@aimo/node/announcements";
import { type Chain, connectChain, readWindows } from "@aimo/node/chain";
import { openData } from "@aimo/node/data-dir";
import { loadDeployment } from "@aimo/node/deployment-file";
import { initFastCrypto } from "@aimo/node/fast-crypto";
import { loadKey, type NodeKey } from "@aimo/node/keys";
import { type LifecycleOptions, startClosable } from "@aimo/node/lifecycle";
import type { Log } from "@aimo/node/log";
import { type P2p, startP2p } from "@aimo/node/p2p";
import { followTime } from "@aimo/node/protocol-time";
import { countText } from "@aimo/node/tokens";
import { createTransactions, type Transactions } from "@aimo/node/transactions";
import { providerIdBySigner } from "@aimo/protocol/actions/registry";
import { type ModelOffer, offersTopic } from "@aimo/protocol/announcement";
import { type Deployment, PROTOCOL_VERSION } from "@aimo/protocol/deployment";
import { AimoError } from "@aimo/protocol/errors";
import { type Assembled, assemble } from "./assemble.ts";
import {
  type ChainCatalogue,
  comparePrices,
  createCatalogue,
  differenceError,
  syncPrices,
} from "./chain/catalogue.ts";
import { createRelayDirectory } from "./chain/relay-directory.ts";
import { createReserves, publishCreditLimit, readCreditLimit, watchReserves } from "./chain/reserves.ts";
import { warnOfLowGas } from "./chain/sender.ts";
import { readStake } from "./chain/stake-provider.ts";
import type { ProviderConfig, UpstreamConfig } from "./config.ts";
import { currentVersion } from "./core/prices.ts";
import { startDemoServer } from "./demo/server.ts";
import type { Upstream } from "./flow/ports.ts";
import { Announcer } from "./gossip/announcer.ts";
import { createVoucherFiles } from "./store/voucher-files.ts";
import { createOpenaiUpstream } from "./upstream/openai.ts";

export type ProviderNode = {
  readonly providerId: number;
  /** Base URL of its server. */
  readonly url: string;
  /** Where other nodes can dial it. */
  readonly p2pAddresses: readonly string[];
  /** Finishes requests in flight within a deadline, hands out the last receipts and closes everything. */
  close(): Promise<void>;
};

/** Requests in flight get this long on closing: most answers end within it. */
const DRAIN_MS = 20_000;
/** How often prices are read again. */
const REFRESH_MS = { main: 15_000, local: 10_000 } as const;
/** How often blocks are looked at for news of reserves, and debts for those to redeem. */
const WATCH_MS = { main: 4_000, local: 500 } as const;
const REDEEM_LOOK_MS = { main: 30_000, local: 1_000 } as const;

/**
 * Starts a provider node. Throws the errors of its parts: `config_invalid`, `chain_unavailable`, `wrong_chain`,
 * `wrong_deployment`, `clock_skew`, `not_registered`, `not_staked`, `data_…`, `port_in_use`.
 */
export function startProvider(config: ProviderConfig, options: LifecycleOptions): Promise<ProviderNode> {
  return startClosable((started) => start(config, options.log, started), options);
}

async function start(
  config: ProviderConfig,
  log: Log,
  started: AsyncDisposableStack,
): Promise<Omit<ProviderNode, "close">> {
  await initFastCrypto();
  const deployment = await loadDeployment(config.deploymentFile);
  const key = await loadKey({ path: config.keyFile, ...passwordOf(config.keyPasswordFile) });
  const chain = await connectChain({ rpcUrl: config.rpcUrl, deployment, privateKey: key.privateKey });
  started.defer(followTime({ ...chain, log }));
  const providerId = await requireProvider(chain, key);
  await matchPrices(config, chain, providerId, log);
  const catalogue = await createCatalogue(chain, providerId, config.models);
  started.defer(keepFresh(chain, catalogue, log));
  const upstreams = await startUpstreams(config, started);
  const { chainId, genesisHash, contracts } = deployment;
  const identity = { chainId, genesisHash, settlement: contracts.settlement };
  const db = await openData({ location: { folder: config.dataFolder }, identity });
  started.defer(() => db.close());
  const transactions = createTransactions({ chain, log });
  started.defer(() => transactions.close());
  await warnOfLowGas(chain, key.address, log);
  const { post } = await readWindows(chain);
  const { redeemAfterSeconds: after, voucherFolder: folder } = config;
  const redeemAfterSeconds = after === 0 ? Math.floor(post / 2) : after;
  const listen = { host: config.host, port: config.port };
  const assembled = await assemble(
    { ...config, providerId, deployment, key, listen, redeemAfterSeconds },
    {
      relays: createRelayDirectory(chain, () => performance.now()),
      reserves: createReserves({ chain, transactions, providerId }),
      files: createVoucherFiles({ folder, deployment, providerId, log }),
      ...{ catalogue, upstreams, db, log, clock: chain.time.now, countTokens: countText },
    },
  );
  started.defer(() => assembled.close(DRAIN_MS));
  const following = { chain, providerId, transactions, log };
  started.defer(await followReserves(following, assembled));
  const p2p = await startGossip({
    config,
    deployment,
    key,
    providerId,
    assembled,
    catalogue,
    chain,
    log,
    started,
  });
  log.info({ providerId, url: assembled.url, models: config.models.length }, "The provider serves.");
  return { providerId, url: assembled.url, p2pAddresses: p2p.addresses() };
}

const passwordOf = (file: string | undefined) => (file === undefined ? {} : { password: { file } });

/** The provider that this key signs for, staked. Throws `not_registered`, `not_staked`. */
async function requireProvider(chain: Chain, key: NodeKey): Promise<number> {
  const { deployment, readAt: blockTag } = chain;
  const providerId = await providerIdBySigner(chain.public, { deployment, signer: key.address, blockTag });
  if (providerId === 0)
    throw new AimoError("not_registered", {
      message: `No provider is registered with the key ${key.address}.`,
      details: { signer: key.address },
    });
  const { active, minimum, isActive } = await readStake(chain, providerId);
  if (isActive) return providerId;
  if (active >= minimum)
    throw new AimoError("not_registered", { message: `Provider ${providerId} has left the network.` });
  throw new AimoError("not_staked", {
    message: `Provider ${providerId} has staked ${active} pUSD; the minimum is ${minimum} pUSD.`,
    details: { providerId, active, minimum },
  });
}

/** Refuses to serve at other prices than configured; sets them, and the credit limit, where it was told to. */
async function matchPrices(
  config: ProviderConfig,
  chain: Chain,
  providerId: number,
  log: Log,
): Promise<void> {
  const { ownerKeyFile, ownerKeyPasswordFile, rpcUrl, models } = config;
  const isPublished = (await readCreditLimit(chain, providerId)) === config.creditLimit;
  if (!config.syncPrices || ownerKeyFile === undefined) {
    if (!isPublished)
      log.warn(
        { providerId },
        "credit_limit_usd is not what relays read on-chain; its owner can publish it (sync_prices).",
      );
    const differences = await comparePrices(chain, providerId, models);
    if (differences.length > 0) throw differenceError(differences);
    return;
  }
  const owner = await loadKey({ path: ownerKeyFile, ...passwordOf(ownerKeyPasswordFile) });
  const { deployment } = chain;
  const ownerChain = await connectChain({ rpcUrl, deployment, privateKey: owner.privateKey });
  const transactions = createTransactions({ chain: ownerChain, log });
  const sender = { ...ownerChain, transactions };
  const set = await syncPrices(sender, providerId, models);
  if (!isPublished) await publishCreditLimit(sender, providerId, config.creditLimit);
  await transactions.close();
  if (set.length > 0) log.info({ models: set.map(({ model }) => model.slug) }, "Prices were set on-chain.");
}

function keepFresh(chain: Chain, catalogue: ChainCatalogue, log: Log): () => void {
  const timer = setInterval(() => {
    catalogue.refresh().catch((error: unknown) => {
      log.warn({ err: error }, "Prices could not be read again; the last ones known are used.");
    });
  }, REFRESH_MS[chain.deployment.profile]).unref();
  return () => clearInterval(timer);
}

type Following = {
  readonly chain: Chain;
  readonly providerId: number;
  readonly transactions: Transactions;
  readonly log: Log;
};

/** Keeps reserves in step with the chain and redeems what relays leave unpaid; gives what stops it. */
async function followReserves(
  { chain, providerId, transactions, log }: Following,
  { covers, redeeming }: Assembled,
): Promise<() => Promise<void>> {
  const { profile } = chain.deployment;
  const watching = await watchReserves({
    ...{ chain, providerId, log, intervalMs: WATCH_MS[profile] },
    onChange: (relayIds) => covers.refresh(relayIds),
  });
  const timer = setInterval(() => void redeeming.look(), REDEEM_LOOK_MS[profile]).unref();
  return async () => {
    watching.stop();
    clearInterval(timer);
    // A redemption that is not mined yet is written down: the next start looks what became of it.
    transactions.abort();
    await redeeming.stop();
  };
}

async function startUpstreams(
  config: ProviderConfig,
  started: AsyncDisposableStack,
): Promise<ReadonlyMap<string, Upstream>> {
  const upstreams = new Map<string, Upstream>();
  for (const one of config.upstreams) {
    const baseUrl = one.baseUrl ?? (await startDemo(started));
    const options = { ...one, baseUrl, connections: config.maxConcurrency };
    upstreams.set(one.name, createOpenaiUpstream(options satisfies UpstreamConfig));
  }
  return upstreams;
}

async function startDemo(started: AsyncDisposableStack): Promise<string> {
  const demo = await startDemoServer({ host: "127.0.0.1", port: 0 });
  started.defer(() => demo.close());
  return demo.url;
}

type GossipParts = {
  readonly config: ProviderConfig;
  readonly deployment: Deployment;
  readonly key: NodeKey;
  readonly providerId: number;
  readonly assembled: Assembled;
  readonly catalogue: ChainCatalogue;
  readonly chain: Chain;
  readonly log: Log;
  readonly started: AsyncDisposableStack;
};

/** Joins the gossip network and announces on it. A provider listens to nobody there: it passes nothing on. */
async function startGossip(parts: GossipParts): Promise<P2p> {
  const { config, deployment, key, providerId, assembled, log, started } = parts;
  let announcer: Announcer | undefined;
  const p2p = await startP2p<never>({
    privateKey: key.privateKey,
    listen: config.p2pListen,
    bootstrap: config.p2pBootstrap,
    topic: offersTopic(deployment),
    judge: () => ({ ignore: "a provider passes nothing on" }),
    onAccepted: () => {},
    onPeer: () => announcer?.announceSoon(),
    log,
  });
  started.defer(() => p2p.close());
  announcer = new Announcer({
    about: {
      version: PROTOCOL_VERSION,
      chainId: deployment.chainId,
      settlement: deployment.contracts.settlement,
      providerId,
      endpoint: config.endpoint ?? assembled.url,
      region: config.region,
    },
    offers: () => offersOf(parts),
    maxConcurrency: config.maxConcurrency,
    // With nobody there it would wait for somebody; whoever comes is told at once by onPeer.
    publish: async (announcement) =>
      p2p.peers().length > 0 && p2p.publish(encodeAnnouncement(announcement, key.privateKey)),
    now: Date.now,
    log,
  });
  assembled.serving.onSlots = () => announcer?.onSlots();
  announcer.start();
  started.defer(() => announcer?.stop());
  return p2p;
}

function offersOf({ catalogue, chain, assembled }: GossipParts): readonly ModelOffer[] {
  const at = chain.time.now();
  return catalogue.all().flatMap((model) => {
    const price = currentVersion(model.versions, at);
    if (!price) return [];
    const { slug, modelId, route, contextTokens, maxOutputTokens, description, claims } = model;
    const { freeSlots, latencyMs } = assembled.serving.loadOf(modelId);
    // Never more than 0 queued: requests above the slots are refused, so that relays go elsewhere at once.
    const load = { freeSlots, queued: 0, latencyMs };
    return [
      {
        modelId,
        slug,
        priceVersion: price.version,
        route,
        contextTokens,
        maxOutputTokens,
        description,
        ...load,
        ...claims,
      },
    ];
  });
}
