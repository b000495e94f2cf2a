import { randomHex } from "@aimo/node/random";
import { type ErrorCode, isAimoError } from "@aimo/protocol/errors";
import { ROUTE_HEADERS } from "@aimo/protocol/routes";
import cors from "@fastify/cors";
import swagger from "@fastify/swagger";
import Fastify, {
  type FastifyBaseLogger,
  type FastifyError,
  type FastifyInstance,
  LogController,
} from "fastify";
import type { AccessDependencies } from "./access.ts";
import { Access } from "./access.ts";
import { type AccountOptions, accountRoutes } from "./account-routes.ts";
import { type AuthOptions, authRoutes } from "./auth-routes.ts";
import { type BatchOptions, batchRoutes } from "./batch-routes.ts";
import { type BillOptions, billRoutes } from "./bill-routes.ts";
import { type ConnectionSettings, connectionsCheckingIntervalOf, guardConnections } from "./connections.ts";
import { handleErrors, refuseOtherMethods } from "./errors.ts";
import { type FilesOptions, filesRoutes } from "./files-routes.ts";
import { type InferenceOptions, inferenceRoutes } from "./inference-routes.ts";
import { type KeysOptions, keysRoutes } from "./keys-routes.ts";
import { type MetaOptions, metaRoutes } from "./meta-routes.ts";
import { type ModelsOptions, modelsRoutes } from "./models-routes.ts";
import { presetsRoutes } from "./presets-routes.ts";
import { refuseBytes, refuseUrl } from "./wire-errors.ts";

export type HttpSettings = ConnectionSettings & {
  /** Largest request body, bytes. */
  readonly maxBodyBytes: number;
  /** Largest form with a recording, bytes. */
  readonly maxAudioBytes: number;
  /** Origins of browsers that may call; "*" for all. */
  readonly corsOrigins: readonly string[];
  readonly requestsPerMinute: number;
  readonly authCallsPerMinute: number;
};

export type AppDependencies = {
  readonly settings: HttpSettings;
  readonly log: FastifyBaseLogger;
  readonly now: () => number;
} & Omit<AccessDependencies, "requestsPerMinute"> &
  Omit<InferenceOptions, "access" | "serving" | "maxAudioBytes"> &
  ModelsOptions &
  Omit<AuthOptions, "callsPerMinute"> &
  Omit<KeysOptions, "access"> &
  Omit<AccountOptions, "access"> &
  Omit<BillOptions, "access"> &
  Omit<FilesOptions & BatchOptions, "access"> &
  MetaOptions &
  Pick<InferenceOptions, "serving">;

/** Far above what clients send, before anything is known of the caller. */
const MAX_HEADER_BYTES = 16 * 1024;

/** The relay's HTTP interface, ready to listen. Every dependency is handed down as a plugin's option. */
export async function buildApp(dependencies: AppDependencies): Promise<FastifyInstance> {
  const { settings, log } = dependencies;
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
      maxHeaderSize: MAX_HEADER_BYTES,
      connectionsCheckingInterval: connectionsCheckingIntervalOf(settings),
    },
    trustProxy: settings.trustedProxies.length > 0 ? [...settings.trustedProxies] : false,
    frameworkErrors: refuseUrl,
    clientErrorHandler: refuseBytes,
    ajv: { customOptions: { coerceTypes: false, removeAdditional: false, allErrors: false } },
  });
  app.removeContentTypeParser("text/plain");
  handleErrors(app, settings.maxBodyBytes);
  app.addHook("onError", (_request, _reply, error, done) => {
    dependencies.metrics.onRefusal(codeOf(error));
    done();
  });
  // With `done`, as all hooks of the hot path: a promise each would cost more than what they do.
  app.addHook("onRequest", (request, reply, done) => {
    reply.header(ROUTE_HEADERS.requestId, request.id);
    done();
  });
  guardConnections(app, settings);
  const access = new Access({ ...dependencies, requestsPerMinute: settings.requestsPerMinute });
  app.decorateRequest("principal", null);
  app.addHook("onRequest", access.onRequest);
  await app.register(cors, {
    origin: settings.corsOrigins.includes("*") ? "*" : [...settings.corsOrigins],
    methods: ["GET", "POST", "PATCH", "DELETE"],
    exposedHeaders: [...Object.values(ROUTE_HEADERS), "retry-after"],
  });
  await app.register(swagger, { openapi: openapi(), hideUntagged: true });
  const refuseRest = refuseOtherMethods(app);
  await registerRoutes(app, dependencies, access);
  refuseRest();
  await app.ready();
  return app;
}

/** What is not an error of the table yet is one of Fastify's about the request, or nobody's. */
function codeOf(error: FastifyError): ErrorCode {
  if (isAimoError(error)) return error.code;
  return (error.statusCode ?? 500) < 500 ? "invalid_request" : "internal_error";
}

async function registerRoutes(
  app: FastifyInstance,
  dependencies: AppDependencies,
  access: Access,
): Promise<void> {
  const { settings } = dependencies;
  await app.register(metaRoutes, dependencies);
  await app.register(async (v1) => {
    await v1.register(inferenceRoutes, { ...dependencies, access, maxAudioBytes: settings.maxAudioBytes });
    await v1.register(modelsRoutes, dependencies);
    await v1.register(authRoutes, { ...dependencies, callsPerMinute: settings.authCallsPerMinute });
    await v1.register(keysRoutes, { ...dependencies, access });
    await v1.register(presetsRoutes, { ...dependencies, access });
    await v1.register(accountRoutes, { ...dependencies, access });
    await v1.register(billRoutes, { ...dependencies, access });
    await v1.register(filesRoutes, { ...dependencies, access });
    await v1.register(batchRoutes, { ...dependencies, access });
  });
}

const X_API_KEY = { type: "apiKey", in: "header", name: "x-api-key" } as const;

function openapi() {
  const bearer = (description: string) => ({ type: "http", scheme: "bearer", description }) as const;
  return {
    openapi: "3.1.0",
    info: {
      title: "AiMo relay",
      version: "1",
      description: "OpenAI's routes, and the bill that goes with them.",
    },
    components: {
      securitySchemes: {
        key: bearer("An API key, `aimo-sk-…`"),
        x_api_key: { ...X_API_KEY, description: "The same key, as clients of Anthropic's API send it" },
        session: bearer("The token of a wallet's sign-in, `aimo-st-…`"),
      },
    },
  };
}
