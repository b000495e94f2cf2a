import { randomHex } from "@aimo/node/random";
import { type ErrorCode, isAimoError } from "@aimo/protocol/errors";
import { ROUTE_HEADERS } from "@aimo/protocol/routes";
import cors from "@fastify/cors";
import Fastify, {
  type FastifyBaseLogger,
  type FastifyError,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
  LogController,
} from "fastify";
import { LIMIT_HEADERS } from "./access.ts";
import {
  type ConnectionJudge,
  type ConnectionSettings,
  connectionsCheckingIntervalOf,
  guardConnections,
} from "./connections.ts";
import { handleErrors } from "./errors.ts";
import { ADDED_HEADERS } from "./inward.ts";
import { takeJson } from "./json-body.ts";
import { refuseBytes, refuseUrl } from "./wire-errors.ts";

export type BaseSettings = ConnectionSettings & {
  /** Largest request body, bytes. */
  readonly maxBodyBytes: number;
  /** Origins of browsers that may call; "*" for all. */
  readonly corsOrigins: readonly string[];
};

export type BaseParameters = {
  readonly settings: BaseSettings;
  readonly log: FastifyBaseLogger;
  /** Told of each request that is answered with an error. */
  readonly onRefusal: (code: ErrorCode) => void;
  /** Every connection is from a process of this relay, which says for whom it speaks. */
  readonly isInternal?: boolean;
  /** Takes what no route takes; refused unless it is said. */
  readonly onNotFound?: (request: FastifyRequest, reply: FastifyReply) => void;
  /** What was decided of connections elsewhere. */
  readonly judgeConnection?: ConnectionJudge;
};

/** Far above what clients send, before anything is known of the caller. */
const MAX_HEADER_BYTES = 16 * 1024;

/** What the HTTP interfaces of all processes of a relay have alike: limits, errors and ids; no route yet. */
export function createBaseApp(parameters: BaseParameters): FastifyInstance {
  const { settings, log, onRefusal, isInternal = false } = parameters;
  const { trustedProxies } = settings;
  const app: FastifyInstance = Fastify({
    loggerInstance: log,
    // One line per request would be the costliest thing the relay does; metrics count instead.
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: settings.maxBodyBytes,
    // A logger of its own for each request costs more than all that is logged; errors name their request.
    childLoggerFactory: (logger) => logger,
    genReqId: () => `req-${randomHex(12)}`,
    requestIdHeader: false,
    routerOptions: { maxParamLength: 256 },
    http: {
      maxHeaderSize: MAX_HEADER_BYTES + (isInternal ? ADDED_HEADERS.bytes : 0),
      connectionsCheckingInterval: connectionsCheckingIntervalOf(settings),
    },
    trustProxy: isInternal || (trustedProxies.length > 0 && [...trustedProxies]),
    frameworkErrors: refuseUrl,
    clientErrorHandler: refuseBytes,
    ajv: { customOptions: { coerceTypes: false, removeAdditional: false, allErrors: false, verbose: true } },
  });
  app.removeContentTypeParser("text/plain");
  takeJson(app);
  handleErrors(app, settings.maxBodyBytes, parameters.onNotFound);
  app.addHook("onError", (_request, _reply, error, done) => {
    onRefusal(codeOf(error));
    done();
  });
  // With `done`, as all hooks of the hot path: a promise each would cost more than what they do.
  app.addHook("onRequest", (request, reply, done) => {
    reply.header(ROUTE_HEADERS.requestId, request.id);
    done();
  });
  guardConnections(app, settings, {
    judge: parameters.judgeConnection,
    addedHeaders: isInternal ? ADDED_HEADERS.count : 0,
  });
  app.decorateRequest("principal", null);
  return app;
}

/** Lets web pages of the operator's choice call. `preflight`: whether they are told so here when they ask first. */
export async function allowOrigins(
  app: FastifyInstance,
  { corsOrigins }: Pick<BaseSettings, "corsOrigins">,
  { preflight }: { preflight: boolean } = { preflight: true },
): Promise<void> {
  await app.register(cors, {
    preflight,
    origin: corsOrigins.includes("*") ? "*" : [...corsOrigins],
    methods: ["GET", "POST", "PATCH", "DELETE"],
    exposedHeaders: [...Object.values(ROUTE_HEADERS), ...Object.values(LIMIT_HEADERS), "retry-after"],
  });
}

/** What is not an error of the table yet is one of Fastify's about the request, or nobody's. */
function codeOf(error: FastifyError): ErrorCode {
  if (isAimoError(error)) return error.code;
  return (error.statusCode ?? 500) < 500 ? "invalid_request" : "internal_error";
}
