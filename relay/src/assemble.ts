import type { AddressInfo } from "node:net";
import { setTimeout as wait } from "node:timers/promises";
import type { Database } from "@aimo/node/data-dir";
import { listenError } from "@aimo/node/listen-error";
import type { Log } from "@aimo/node/log";
import { randomHex } from "@aimo/node/random";
import type { Deployment } from "@aimo/protocol/deployment";
import type { WellKnown } from "@aimo/protocol/routes";
import { domainSeparator } from "@aimo/protocol/typed-data";
import type { FastifyInstance } from "fastify";
import type { Address, Hex } from "viem";
import { openAdmission } from "./admitting.ts";
import { type Batching, openBatching } from "./batching.ts";
import type { RelayConfig } from "./config.ts";
import { Observations } from "./core/observations.ts";
import { RoutingState } from "./core/routing-state.ts";
import type { Tiers } from "./core/tiers.ts";
import type { Admission } from "./flow/admission.ts";
import type { ReplyCache } from "./flow/cache-ports.ts";
import { BooksDesk } from "./flow/desk.ts";
import type { Ledger } from "./flow/ports.ts";
import type { Serving } from "./flow/serve.ts";
import { startGossip } from "./gossip/listen.ts";
import { LiveOffers } from "./gossip/offer-book.ts";
import { openServing } from "./hooking.ts";
import { buildApp } from "./http/app.ts";
import { createMetrics, type RelayMetrics } from "./metrics.ts";
import type { Money } from "./money.ts";
import { AuthSessionStore } from "./store/auth-sessions.ts";
import { KeyStore } from "./store/keys.ts";
import { PresetStore } from "./store/presets.ts";
import { MemoryReplyCache } from "./store/reply-cache.ts";
import { startTracing, type Tracing } from "./tracing.ts";
import { Providers } from "./upstream/providers.ts";

/** What a relay is put together from, once its chain is connected and its money is open. */
export type RelayParts = Omit<Money, "close"> & {
  readonly relayId: number;
  readonly privateKey: Hex;
  readonly deployment: Deployment;
  readonly db: Database;
  /** The relay's own fee in force, and what `/.well-known/aimo` says. */
  readonly feeBps: () => number;
  readonly identity: () => WellKnown;
  readonly verifyOnChain?: (wallet: {
    address: Address;
    message: string;
    signature: Hex;
  }) => Promise<boolean>;
  /** Protocol seconds. */
  readonly protocolNow: () => number;
  /** Wall-clock second at which a pause ends by itself; undefined while the protocol runs. */
  readonly pausedUntil: () => number | undefined;
  readonly log: Log;
};

export type Assembled = {
  readonly url: string;
  readonly p2pAddresses: readonly string[];
  /** Ends requests in flight, waits for the last groups, posts, and closes all that `assemble` opened. */
  close(): Promise<void>;
};

/** How often a stopping relay looks whether the last groups have come. */
const GROUP_POLL_MS = 50;

/** Puts serving, gossip and HTTP together and starts listening. Throws `port_in_use` and `config_invalid`. */
export async function assemble(config: RelayConfig, parts: RelayParts): Promise<Assembled> {
  const { deployment, registry, log } = parts;
  const started = new AsyncDisposableStack();
  try {
    const offers = new LiveOffers({ registry, now: Date.now, allowPlainHttp: config.gossip.allowPlainHttp });
    const upstream = createUpstream(config, parts);
    started.defer(() => upstream.close());
    const gossip = await startGossip({
      ...{ deployment, registry, offers, log, privateKey: parts.privateKey, now: Date.now },
      ...{ listen: config.gossip.listen, bootstrap: config.gossip.bootstrap },
      onOffer: (offer) => {
        parts.covers.watch(offer.providerId);
        upstream.prepare(offer);
      },
    });
    started.defer(() => gossip.close());
    const { tiers, admission, stop } = openAdmission(config);
    started.defer(stop);
    const cache = new MemoryReplyCache(config.cache, Date.now);
    const metrics = createMetrics({
      inFlight: () => admission.inFlight,
      waiting: () => admission.waiting,
      shedLevel: () => admission.shedLevel,
      offers: () => offers.all().length,
      unsettled: () => parts.settling.unsettled(),
      provisional: () => parts.ledger.provisionalCount(),
      cache,
    });
    const observers = startObservers(config, parts, metrics);
    started.defer(() => observers.close());
    const rooms = {
      ...{ offers, upstream, metrics, observers, tiers, admission },
      ...{ routing: new RoutingState(), observations: new Observations() },
    };
    const serving = await createServing(config, parts, rooms);
    const keys = await KeyStore.open(parts.db, Date.now);
    const batching = await openBatching(config, { ...parts, keys, serving, admission });
    const app = await startHttp(config, parts, { ...rooms, serving, keys, batching, cache });
    started.defer(() => closeHttp(app));
    batching.batches.start();
    started.defer(() => drain(config, parts, { serving, admission, batching }));
    return { url: urlOf(app), p2pAddresses: gossip.addresses(), close: () => started.disposeAsync() };
  } catch (error) {
    await started.disposeAsync();
    throw error;
  }
}

function createUpstream({ upstream: limits }: RelayConfig, parts: RelayParts): Providers {
  const { relayId, privateKey, deployment, billing, log } = parts;
  const identity = { chainId: deployment.chainId, relayId, privateKey };
  return new Providers({ identity, limits, billing, log, now: Date.now });
}

/** Told of each hold and of how it ended. */
type Observers = Pick<Tracing, "onHold" | "onCommit" | "close">;

function startObservers({ tracing }: RelayConfig, { relayId }: RelayParts, metrics: RelayMetrics): Observers {
  const none = { ...metrics, close: async () => {} };
  if (tracing.endpoint === "") return none;
  const traces = startTracing({ ...tracing, relayId });
  return {
    onHold: (start) => {
      metrics.onHold(start);
      traces.onHold(start);
    },
    onCommit: (id, outcome) => {
      metrics.onCommit(id, outcome);
      traces.onCommit(id, outcome);
    },
    close: () => traces.close(),
  };
}

type Rooms = {
  readonly offers: LiveOffers;
  readonly upstream: Providers;
  readonly metrics: RelayMetrics;
  readonly observers: Observers;
  readonly routing: RoutingState;
  readonly observations: Observations;
  readonly tiers: Tiers;
  readonly admission: Admission;
};

function createServing(config: RelayConfig, parts: RelayParts, rooms: Rooms): Promise<Serving> {
  const { serving: limits, http } = config;
  const { relayId, deployment, credit, protocolNow, log } = parts;
  const { offers, upstream, routing, tiers } = rooms;
  const randomHexOf = (bytes: number): Hex => `0x${randomHex(bytes)}`;
  return openServing(config, {
    ...{ relayId, offers, upstream, credit, routing, protocolNow, log, tiers },
    desk: createDesk(parts, rooms, randomHexOf),
    separator: domainSeparator({
      chainId: deployment.chainId,
      verifyingContract: deployment.contracts.settlement,
    }),
    limits: { ...limits, maxReplyBytes: http.maxReplyBytes },
    now: Date.now,
    random: Math.random,
    randomHex: randomHexOf,
  });
}

function createDesk(parts: RelayParts, rooms: Rooms, randomHexOf: (bytes: number) => Hex): BooksDesk {
  const { ledger, accounts, credit, vouchers, feeBps } = parts;
  const { admission, observers, observations } = rooms;
  return new BooksDesk({
    ...{ ledger, accounts, credit, vouchers, feeBps, admission, now: Date.now, randomHex: randomHexOf },
    onHold: (start) => observers.onHold(start),
    onCommit: (start, outcome) => {
      observers.onCommit(start.id, outcome);
      observations.add(start.model, outcome, Date.now());
    },
  });
}

type Served = Rooms & {
  readonly serving: Serving;
  readonly keys: KeyStore;
  readonly batching: Batching;
  readonly cache: ReplyCache;
};

async function startHttp(
  { http }: RelayConfig,
  parts: RelayParts,
  { offers, serving, metrics, routing, observations, tiers, admission, keys, batching, cache }: Served,
): Promise<FastifyInstance> {
  const { host, port, domains } = http;
  const app: FastifyInstance = await buildApp({
    ...parts,
    ...{
      offers,
      serving,
      admission,
      metrics,
      tiers,
      keys,
      cache,
      ...batching,
      settings: http,
      now: Date.now,
    },
    presets: new PresetStore(parts.db, Date.now),
    chainId: parts.deployment.chainId,
    seen: {
      observed: (providerId, model) => observations.read(providerId, model, Date.now()),
      isResting: (offer) => routing.isResting(offer, Date.now()),
    },
    sessions: new AuthSessionStore(Date.now),
    maxKeptBytes: http.maxKeptReplyBytes,
    domains: () => (domains.length > 0 ? domains : ownDomains(app)),
  });
  try {
    await app.listen({ host, port });
    return app;
  } catch (error) {
    await app.close();
    throw listenError(error, { host, port });
  }
}

/** A relay on loopback is known by its address and as localhost. */
function ownDomains(app: FastifyInstance): readonly string[] {
  const { host, port } = new URL(urlOf(app));
  return [host, `localhost:${port}`];
}

function urlOf(app: FastifyInstance): string {
  const { address, family, port } = app.server.address() as AddressInfo;
  return `http://${family === "IPv6" ? `[${address}]` : address}:${port}`;
}

/** Stops admitting; then what was served is to be billed, and what was billed to be posted. */
async function drain(
  config: RelayConfig,
  { ledger, settling, log }: RelayParts,
  { serving, admission, batching }: Pick<Served, "serving" | "admission" | "batching">,
): Promise<void> {
  // Both at once: lines of batches that run are requests in flight, and no new ones come.
  await Promise.all([batching.batches.stop(), admission.close(config.drainMs, () => serving.stop())]);
  serving.close();
  await waitForGroups(ledger, config.groupWaitMs);
  const left = ledger.provisionalCount();
  if (left > 0) log.warn({ requests: left }, "stopped before all providers signed");
  await settling.close(config.settleWaitMs);
}

/** Waits until what was served is signed for by its providers, `limitMs` at most. Each waits 10 s at most anyway. */
export async function waitForGroups(
  ledger: Pick<Ledger, "provisionalCount">,
  limitMs: number,
): Promise<void> {
  const deadline = Date.now() + limitMs;
  while (ledger.provisionalCount() > 0 && Date.now() < deadline) await wait(GROUP_POLL_MS);
}

async function closeHttp(app: FastifyInstance): Promise<void> {
  const closed = app.close();
  app.server.closeAllConnections();
  await closed;
}
