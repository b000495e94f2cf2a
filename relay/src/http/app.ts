import type { ErrorCode } from "@aimo/protocol/errors";
import swagger from "@fastify/swagger";
import type { FastifyBaseLogger, FastifyInstance, FastifyRequest } from "fastify";
import type { Accounts } from "../flow/ports.ts";
import { Access, admitting } from "./access.ts";
import { type AccountOptions, accountRoutes } from "./account-routes.ts";
import { type AuthOptions, authRoutes } from "./auth-routes.ts";
import { allowOrigins, type BaseSettings, createBaseApp } from "./base-app.ts";
import { type BatchOptions, batchRoutes } from "./batch-routes.ts";
import { type BillOptions, billRoutes } from "./bill-routes.ts";
import { refuseOtherMethods } from "./errors.ts";
import { type FilesOptions, filesRoutes } from "./files-routes.ts";
import type { Gate } from "./gate.ts";
import { type InferenceOptions, inferenceRoutes } from "./inference-routes.ts";
import { believing, COUNTED_HEADER } from "./inward.ts";
import { type KeysOptions, keysRoutes } from "./keys-routes.ts";
import { type MetaOptions, metaRoutes } from "./meta-routes.ts";
import { type ModelsOptions, modelsRoutes } from "./models-routes.ts";
import { type PresetsOptions, presetsRoutes } from "./presets-routes.ts";

export type HttpSettings = BaseSettings & {
  /** Largest form with a recording, and large bodies that are in memory together, bytes. */
  readonly maxAudioBytes: number;
  readonly maxBodiesBytes: number;
  readonly requestsPerMinute: number;
  readonly authCallsPerMinute: number;
  /** What GET /metrics asks for; open to all without. */
  readonly metricsToken?: string;
};

export type AppDependencies = {
  readonly settings: HttpSettings;
  readonly log: FastifyBaseLogger;
  readonly now: () => number;
  /** What workers of this relay, which pass clients' requests on, are known by; nobody else is answered then. */
  readonly workersSecret?: string | undefined;
  readonly gate: Gate;
  readonly accounts: Accounts;
} & Omit<InferenceOptions, "maxAudioBytes" | "maxBodiesBytes" | "presets"> &
  Omit<PresetsOptions, "access"> &
  ModelsOptions &
  Omit<AuthOptions, "callsPerMinute"> &
  Omit<KeysOptions, "access"> &
  Omit<AccountOptions, "access"> &
  Omit<BillOptions, "access"> &
  FilesOptions &
  BatchOptions &
  Omit<MetaOptions, "metricsToken">;

/** The relay's HTTP interface, ready to listen. Every dependency is handed down as a plugin's option. */
export async function buildApp(dependencies: AppDependencies): Promise<FastifyInstance> {
  const { settings, log, metrics, now, workersSecret } = dependencies;
  const isInternal = workersSecret !== undefined;
  const onRefusal = (code: ErrorCode) => metrics.onRefusal(code);
  const app = createBaseApp({ settings, log, onRefusal, isInternal });
  if (isInternal) {
    app.addHook("onRequest", believing(workersSecret));
    // Workers have their own bound; the operator's is for clients.
    app.server.maxConnections = Number.POSITIVE_INFINITY;
  }
  const { gate } = dependencies;
  const isCounted = ({ url, method, headers }: FastifyRequest) =>
    url.startsWith("/v1/") && method !== "OPTIONS" && !(isInternal && COUNTED_HEADER in headers);
  app.addHook("onRequest", admitting({ judge: (arrival) => gate.judge(arrival), now, isCounted }));
  await allowOrigins(app, settings);
  await app.register(swagger, { openapi: openapi(), hideUntagged: true });
  const refuseRest = refuseOtherMethods(app);
  await registerRoutes(app, dependencies, new Access(dependencies.accounts));
  refuseRest();
  await app.ready();
  return app;
}

async function registerRoutes(
  app: FastifyInstance,
  dependencies: AppDependencies,
  access: Access,
): Promise<void> {
  const { settings } = dependencies;
  await app.register(metaRoutes, { ...dependencies, metricsToken: settings.metricsToken ?? "" });
  await app.register(async (v1) => {
    const { maxAudioBytes, maxBodiesBytes } = settings;
    await v1.register(inferenceRoutes, { ...dependencies, maxAudioBytes, maxBodiesBytes });
    await v1.register(modelsRoutes, dependencies);
    await v1.register(authRoutes, { ...dependencies, callsPerMinute: settings.authCallsPerMinute });
    await v1.register(keysRoutes, { ...dependencies, access });
    await v1.register(presetsRoutes, { ...dependencies, access });
    await v1.register(accountRoutes, { ...dependencies, access });
    await v1.register(billRoutes, { ...dependencies, access });
    await v1.register(filesRoutes, dependencies);
    await v1.register(batchRoutes, dependencies);
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
