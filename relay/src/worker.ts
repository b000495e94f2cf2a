import { initFastCrypto, recoverAddress } from "@aimo/node/fast-crypto";
import { createLog } from "@aimo/node/log";
import { randomHex } from "@aimo/node/random";
import { AimoError } from "@aimo/protocol/errors";
import { domainSeparator } from "@aimo/protocol/typed-data";
import { tiersOf, watchLag } from "./admitting.ts";
import { RoutingState } from "./core/routing-state.ts";
import { Shedding } from "./core/shedding.ts";
import { tuneHeap } from "./heap.ts";
import { openServing } from "./hooking.ts";
import { PassOn } from "./http/pass-on.ts";
import { buildWorkerApp } from "./http/worker-app.ts";
import { shareOf, type WorkerStart } from "./processes.ts";
import { TokenCounter } from "./token-counter.ts";
import { Providers } from "./upstream/providers.ts";
import { Link } from "./workers/link.ts";
import type { MainNews, MainQuestions, WorkerNews, WorkerQuestions } from "./workers/messages.ts";
import { MirroredOffers } from "./workers/mirrored-offers.ts";
import { RemoteDesk, type WorkerLink } from "./workers/remote-desk.ts";
import { errorOfWire } from "./workers/wire-error.ts";
import { WorkerConnections } from "./workers/worker-connections.ts";

/** A process that serves requests for a relay whose books are in another one: its parent, which starts it. */

/** Runs until the parent ends it, or is gone. */
function runWorker(): void {
  const offers = new MirroredOffers(Date.now);
  const connections = new WorkerConnections((address) => link.tell("left", address));
  let running: Promise<Running> | undefined;
  let behindSeconds = 0;
  const link: WorkerLink = new Link<WorkerQuestions, WorkerNews, MainQuestions, MainNews>(process, {
    questions: { ping: () => null },
    news: {
      start: (start) => {
        const protocolNow = () => Math.floor(Date.now() / 1_000) - behindSeconds;
        running = open(start as WorkerStart, { link, offers, connections, protocolNow });
        running.then(
          () => link.tell("ready", null),
          (error: unknown) => fail(error),
        );
      },
      connection: ({ number, ...about }, socket) => {
        // Before anything is read of it: what was read could not be given to another worker.
        link.tell("taken", number);
        connections.take(about, socket);
      },
      offers: (news) => {
        for (const [providerId, of] of news) offers.set(providerId, of);
      },
      behind: (seconds) => {
        behindSeconds = seconds;
      },
      sticky: ({ name, providerId }) =>
        void running?.then(({ routing }) => routing.sessions.learn(name, providerId, Date.now())),
      ejected: ({ providerId, modelId }) =>
        void running?.then(({ routing }) =>
          routing.endpointOf({ providerId, model: { modelId } }).breaker.eject(Date.now()),
        ),
      stop: () => void running?.then(({ stop }) => stop()),
      close: () => void running?.then(({ close }) => close()).finally(() => process.exit(0)),
    },
    onFault: (error) => fail(error),
  });
  // A terminal sends its signals to all processes: only the parent knows when everything is served and posted.
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => {});
  // Without books nothing more may be served.
  process.on("disconnect", () => process.exit(1));
}

function fail(error: unknown): void {
  createLog({ level: "error", name: "relay-worker" }).error({ err: error }, "The worker ended.");
  process.exit(1);
}

type Running = {
  readonly routing: RoutingState;
  stop(): void;
  close(): Promise<void>;
};

type Rooms = {
  readonly link: WorkerLink;
  readonly offers: MirroredOffers;
  readonly connections: WorkerConnections;
  readonly protocolNow: () => number;
};

async function open(start: WorkerStart, rooms: Rooms): Promise<Running> {
  await initFastCrypto();
  tuneHeap();
  const { config, relayId, chainId, settlement, privateKey, processes } = start;
  const { link, offers, connections, protocolNow } = rooms;
  const log = createLog({ level: config.logLevel, name: "relay-worker" });
  const { maxReplyBytes } = config.http;
  const mostAsked = config.serving.maxInFlight + config.serving.maxWaiting;
  const tiers = tiersOf(config.tiers);
  const shedding = new Shedding(config.serving.shedAtLagMs);
  const stopWatching = watchLag(shedding);
  const routing = new RoutingState({
    processes,
    onSession: (name, providerId) => link.hint("sticky", { name, providerId }),
  });
  const upstream = new Providers({
    identity: { chainId, relayId, privateKey },
    limits: shareOf(config.upstream, processes),
    billing: undefined,
    ...{ log, now: Date.now },
  });
  const counts = new TokenCounter({
    ...{ percent: config.serving.countPercent, random: Math.random },
    onResult: (result) => link.hint("counted", { result }),
    onFlag: ({ generationId, providerId }, flag) => link.tell("counted", { flag, generationId, providerId }),
    onFault: (error) => log.error({ err: error }, "The token counter failed."),
  });
  const separator = domainSeparator({ chainId, verifyingContract: settlement });
  const signatures = { relayId, separator, recover: recoverAddress };
  const serving = await openServing(config, {
    ...{ relayId, offers, upstream, routing, tiers, counts, log, protocolNow },
    ...{ now: Date.now, random: Math.random },
    desk: new RemoteDesk({ link, tiers, shedding, signatures }),
    // The main process knows what providers lend; it leaves out whom that does not cover.
    credit: { covers: () => true },
    separator,
    limits: { ...config.serving, maxReplyBytes },
    randomHex: (bytes) => `0x${randomHex(bytes)}`,
  });
  const main = new PassOn({ socketPath: start.mainSocket, secret: start.secret });
  const app = await buildWorkerApp({
    ...{ settings: config.http, log, serving, main, now: Date.now },
    onRefusal: (code) => link.hint("refused", code),
    judgeConnection: connections.judge,
    judge: async (arrival) => {
      // Each request has one question out at a time: the main process would let no more of them in.
      if (link.asked >= mostAsked) throw new AimoError("overloaded", { retryAfterSeconds: 1 });
      const judged = await link.ask("judge", arrival);
      const { verdict } = judged;
      return "error" in judged
        ? { verdict, principal: errorOfWire(judged.error) }
        : { verdict, principal: judged.principal };
    },
  });
  connections.serve(app.server);
  return {
    routing,
    stop: () => serving.stop(),
    close: async () => {
      stopWatching();
      serving.close();
      app.server.closeAllConnections();
      await app.close();
      await upstream.close();
      await counts.close();
      main.close();
    },
  };
}

runWorker();
