import { setTimeout as wait } from "node:timers/promises";
import { randomHex } from "@aimo/node/random";
import { domainSeparator } from "@aimo/protocol/typed-data";
import type { Hex } from "viem";
import { openAdmission } from "./admitting.ts";
import { type Batching, openBatching } from "./batching.ts";
import type { RelayConfig } from "./config.ts";
import { Observations } from "./core/observations.ts";
import { RoutingState } from "./core/routing-state.ts";
import type { Admission } from "./flow/admission.ts";
import { BooksDesk } from "./flow/desk.ts";
import type { Ledger } from "./flow/ports.ts";
import type { Serving } from "./flow/serve.ts";
import { startGossip } from "./gossip/listen.ts";
import { LiveOffers, type LiveOffersOptions } from "./gossip/offer-book.ts";
import { openServing } from "./hooking.ts";
import { startListening } from "./listening.ts";
import { createMetrics, type RelayMetrics } from "./metrics.ts";
import type { Observers, RelayParts, Rooms } from "./parts.ts";
import { processesOf, shareOf } from "./processes.ts";
import { KeyStore } from "./store/keys.ts";
import { MemoryReplyCache } from "./store/reply-cache.ts";
import { flagging, TokenCounter } from "./token-counter.ts";
import { startTracing } from "./tracing.ts";
import { InFlight } from "./upstream/in-flight.ts";
import { Providers } from "./upstream/providers.ts";
import { Workers } from "./workers.ts";

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
    const { allowPlainHttp } = config.gossip;
    const workers = config.workers > 1 ? new Workers(config, parts) : undefined;
    const onChange: LiveOffersOptions["onChange"] = (providerId, announced) => {
      for (const offer of announced) {
        parts.covers.watch(providerId);
        upstream.prepare(offer);
      }
      workers?.tell("offers", [[providerId, announced]]);
    };
    const offers = new LiveOffers({ registry, now: Date.now, allowPlainHttp, onChange });
    const inFlight = new InFlight();
    const upstream = createUpstream(config, parts, inFlight);
    started.defer(() => upstream.close());
    const gossip = await startGossip({
      ...{ deployment, registry, offers, log, privateKey: parts.privateKey, now: Date.now },
      ...{ listen: config.gossip.listen, bootstrap: config.gossip.bootstrap },
    });
    started.defer(() => gossip.close());
    const { tiers, rates, admission, stop: stopWatching } = openAdmission(config);
    started.defer(stopWatching);
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
    const counts = new TokenCounter({
      ...{ percent: config.serving.countPercent, random: Math.random },
      onResult: (result) => metrics.onCount(result),
      onFlag: flagging(parts),
      onFault: (error) => log.error({ err: error }, "The token counter failed."),
    });
    started.defer(() => counts.close());
    const observers = startObservers(config, parts, metrics);
    started.defer(() => observers.close());
    const rooms = {
      ...{ offers, upstream, metrics, observers, tiers, rates, admission, counts },
      ...{ routing: createRouting(config, workers), observations: new Observations() },
    };
    const desk = createDesk(parts, rooms);
    const serving = await createServing(config, parts, { ...rooms, desk });
    const keys = await KeyStore.open(parts.db, Date.now);
    const batching = await openBatching(config, { ...parts, keys, serving, admission, rates });
    const served = { ...rooms, desk, inFlight, serving, keys, batching, cache };
    const listening = await startListening({ config, parts, served, workers });
    started.defer(() => listening.close());
    batching.batches.start();
    const stop = () => {
      serving.stop();
      workers?.stop();
    };
    started.defer(() => drain(config, parts, { serving, admission, batching, stop }));
    return { url: listening.url, p2pAddresses: gossip.addresses(), close: () => started.disposeAsync() };
  } catch (error) {
    await started.disposeAsync();
    throw error;
  }
}

function createUpstream(config: RelayConfig, parts: RelayParts, inFlight: InFlight): Providers {
  const { relayId, privateKey, deployment, billing, log } = parts;
  const identity = { chainId: deployment.chainId, relayId, privateKey };
  const limits = shareOf(config.upstream, processesOf(config));
  return new Providers({ identity, limits, billing, inFlight, log, now: Date.now });
}

function createRouting(config: RelayConfig, workers: Workers | undefined): RoutingState {
  return new RoutingState({
    processes: processesOf(config),
    onSession: (name, providerId) => workers?.tell("sticky", { name, providerId }),
  });
}

function startObservers({ tracing }: RelayConfig, { relayId }: RelayParts, metrics: RelayMetrics): Observers {
  const none = { ...metrics, close: async () => {} };
  if (tracing.endpoint === "") return none;
  const traces = startTracing({ ...tracing, relayId });
  return {
    onHold: (start) => {
      metrics.onHold(start);
      traces.onHold(start);
    },
    onCommit: (id, outcome, kinds) => {
      metrics.onCommit(id, outcome, kinds);
      traces.onCommit(id, outcome, kinds);
    },
    close: () => traces.close(),
  };
}

const randomHexOf = (bytes: number): Hex => `0x${randomHex(bytes)}`;

function createServing(
  config: RelayConfig,
  parts: RelayParts,
  rooms: Rooms & { readonly desk: BooksDesk },
): Promise<Serving> {
  const { serving: limits, http } = config;
  const { relayId, deployment, credit, protocolNow, log } = parts;
  const { offers, upstream, routing, tiers, desk, counts } = rooms;
  return openServing(config, {
    ...{ relayId, offers, upstream, credit, routing, protocolNow, log, tiers, desk, counts },
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

function createDesk(parts: RelayParts, rooms: Rooms): BooksDesk {
  const { ledger, accounts, credit, vouchers, feeBps } = parts;
  const { admission, observers, observations } = rooms;
  return new BooksDesk({
    ...{ ledger, accounts, credit, vouchers, feeBps, admission, now: Date.now, randomHex: randomHexOf },
    onHold: (start) => observers.onHold(start),
    onCommit: (start, outcome, kinds) => {
      observers.onCommit(start.id, outcome, kinds);
      observations.add(start.model, outcome, Date.now());
    },
  });
}

type Draining = {
  readonly serving: Serving;
  readonly admission: Admission;
  readonly batching: Batching;
  /** Ends what runs, in all processes. */
  readonly stop: () => void;
};

/** Stops admitting; then what was served is to be billed, and what was billed to be posted. */
async function drain(
  config: RelayConfig,
  { ledger, settling, log }: RelayParts,
  { serving, admission, batching, stop }: Draining,
): Promise<void> {
  // Both at once: lines of batches that run are requests in flight, and no new ones come.
  await Promise.all([batching.batches.stop(), admission.close(config.drainMs, stop)]);
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
