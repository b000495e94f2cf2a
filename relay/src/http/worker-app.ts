import type { ErrorCode } from "@aimo/protocol/errors";
import { ROUTE_HEADERS } from "@aimo/protocol/routes";
import type { FastifyBaseLogger, FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import type { ServeOnceDependencies } from "../flow/serve-once.ts";
import { type AdmitOptions, admitting } from "./access.ts";
import type { HttpSettings } from "./app.ts";
import { allowOrigins, createBaseApp } from "./base-app.ts";
import type { ConnectionJudge } from "./connections.ts";
import { type InferenceOptions, inferenceRoutes } from "./inference-routes.ts";
import type { PassOn } from "./pass-on.ts";

export type WorkerAppDependencies = {
  readonly settings: HttpSettings;
  readonly log: FastifyBaseLogger;
  readonly onRefusal: (code: ErrorCode) => void;
  readonly judgeConnection: ConnectionJudge;
  readonly judge: AdmitOptions["judge"];
  readonly serving: ServeOnceDependencies["serving"];
  /** Answers all that is not plain inference. */
  readonly main: Pick<PassOn, "pass">;
  readonly now: () => number;
};

/** Headers of requests that need what is kept of others. */
const KEPT = [ROUTE_HEADERS.idempotencyKey, ROUTE_HEADERS.cache, ROUTE_HEADERS.cacheClear];

/**
 * The HTTP interface of a worker: it serves inference by itself. All else goes to the main process, which has the keys,
 * bills, batches and replies that are kept.
 */
export async function buildWorkerApp(dependencies: WorkerAppDependencies): Promise<FastifyInstance> {
  const { settings, log, onRefusal, judgeConnection, judge, serving, main, now } = dependencies;
  const pass = (request: FastifyRequest, reply: FastifyReply, isCounted: boolean) => {
    main.pass({
      ...{ request: request.raw, response: reply.raw, ip: request.ip, isCounted },
      body: request.body instanceof Buffer ? request.body : undefined,
      onAnswer: () => reply.hijack(),
      onRefusal: (error) => void reply.send(error),
    });
  };
  const onNotFound = (request: FastifyRequest, reply: FastifyReply) => pass(request, reply, false);
  const app = createBaseApp({ settings, log, onRefusal, judgeConnection, onNotFound });
  // Before anything of it is read, and whatever it says that it is.
  app.addHook("onRequest", (request, reply, done) => {
    if (request.is404) pass(request, reply, false);
    else done();
  });
  await allowOrigins(app, settings, { preflight: false });
  await app.register(async (inference) => {
    inference.addHook("onRequest", (request, reply, done) => {
      if (KEPT.some((name) => name in request.headers)) pass(request, reply, false);
      else done();
    });
    inference.addHook("onRequest", admitting({ judge, now, isCounted: () => true }));
    await inference.register(inferenceRoutes, {
      ...{ serving, ...ELSEWHERE, maxKeptBytes: 0 },
      ...{ maxAudioBytes: settings.maxAudioBytes, maxBodiesBytes: settings.maxBodiesBytes },
      // It was counted before it was read.
      presets: { passOn: (request, reply) => pass(request, reply, true) },
    });
  });
  await app.ready();
  return app;
}

const never = (): never => {
  throw new RangeError("This is kept by the main process; the request should have been passed on.");
};
/** What requests that are served here do not need. */
const ELSEWHERE: Pick<InferenceOptions, "idempotency" | "cache"> = {
  idempotency: { claim: never, settle: never },
  cache: { find: never, begin: never, clear: never },
};
