import type { ErrorBody } from "@aimo/protocol/error-body";
import { AimoError } from "@aimo/protocol/errors";
import { ROUTE_HEADERS } from "@aimo/protocol/routes";
import type { FastifyContextConfig, FastifyPluginAsync, FastifyReply, FastifyRequest } from "fastify";
import { completionsDialect } from "../core/dialects/completions.ts";
import type { Dialect } from "../core/dialects/dialect.ts";
import { messagesDialect } from "../core/dialects/messages.ts";
import { messagesError } from "../core/dialects/messages-words.ts";
import { responsesDialect } from "../core/dialects/responses.ts";
import { readClientRequestId } from "../core/labels.ts";
import type { Route } from "../core/types.ts";
import type { CacheHit, ReplyCache } from "../flow/cache-ports.ts";
import type { IdempotentReply } from "../flow/ports.ts";
import { type CacheWish, serveCached } from "../flow/serve-cached.ts";
import { type ServeOnceDependencies, serveOnce } from "../flow/serve-once.ts";
import type { ReplySink, ServeRequest } from "../flow/serve-ports.ts";
import { keyOf } from "./access.ts";
import { boundBodies } from "./body-room.ts";
import { readCacheWish, tellFound } from "./cache-headers.ts";
import { dialectSchemas } from "./dialect-schemas.ts";
import { DialectSink } from "./dialect-sink.ts";
import { type CallParameters, type PresetsHere, readCall } from "./read-call.ts";
import { inferenceSchemas } from "./schemas.ts";
import { SocketSink } from "./sink.ts";

export type InferenceOptions = ServeOnceDependencies & {
  readonly cache: ReplyCache;
  readonly presets: PresetsHere;
  /** Largest form with a recording, and large bodies that are in memory together, bytes. */
  readonly maxAudioBytes: number;
  readonly maxBodiesBytes: number;
};

type InferenceRoute = {
  readonly url: string;
  readonly route: Route;
  /** Of a route that is another form of the chat. */
  readonly dialect?: Dialect;
  readonly errorForm?: FastifyContextConfig["errorForm"];
};

const ROUTES: readonly InferenceRoute[] = [
  { url: "/v1/chat/completions", route: "chat" },
  { url: "/v1/inference", route: "chat" },
  { url: "/v1/completions", route: "chat", dialect: completionsDialect },
  { url: "/v1/responses", route: "chat", dialect: responsesDialect },
  { url: "/v1/messages", route: "chat", dialect: messagesDialect, errorForm: messagesError },
  { url: "/v1/embeddings", route: "embeddings" },
  { url: "/v1/images/generations", route: "images" },
  { url: "/v1/audio/speech", route: "speech" },
  { url: "/v1/moderations", route: "moderations" },
];
const TRANSCRIPTIONS = "/v1/audio/transcriptions";
/** Where a POST is inference. */
export const INFERENCE_PATHS: ReadonlySet<string> = new Set([
  ...ROUTES.map(({ url }) => url),
  TRANSCRIPTIONS,
]);
const FORM = "multipart/form-data";
/** As long as a UUID several times over; the key is part of a store's key. */
const MAX_IDEMPOTENCY_KEY_LENGTH = 255;

/** Routes that infer. The body stays the client's bytes; it is parsed once, for what routing and price need. */
export const inferenceRoutes: FastifyPluginAsync<InferenceOptions> = async (app, options) => {
  boundBodies(app, options.maxBodiesBytes);
  app.removeAllContentTypeParsers();
  app.addContentTypeParser("application/json", { parseAs: "buffer" }, (_request, body, done) =>
    done(null, body),
  );
  const routeOf = (url: string, errorForm?: InferenceRoute["errorForm"]) => ({
    config: { errorForm },
    schema: inferenceSchemas[url] ?? dialectSchemas[url] ?? {},
    // The schema is for readers: `readAsk` judges, with one parse and messages that name the field.
    validatorCompiler: () => () => true,
    // A bad key is refused before its body is read.
    onRequest: (request: FastifyRequest, reply: FastifyReply, done: () => void) => {
      // Where clients of Anthropic's API look for it.
      if (errorForm) reply.header("request-id", request.id);
      keyOf(request);
      const clientRequestId = readClientRequestId(request.headers[ROUTE_HEADERS.clientRequestId]);
      if (clientRequestId !== undefined) reply.header(ROUTE_HEADERS.clientRequestId, clientRequestId);
      done();
    },
  });
  for (const { url, errorForm, ...form } of ROUTES)
    app.post(url, routeOf(url, errorForm), (request, reply) => infer(options, { request, reply, ...form }));
  await app.register(async (forms) => {
    forms.removeAllContentTypeParsers();
    forms.addContentTypeParser(FORM, { parseAs: "buffer" }, (_request, body, done) => done(null, body));
    forms.post(
      TRANSCRIPTIONS,
      { ...routeOf(TRANSCRIPTIONS), bodyLimit: options.maxAudioBytes },
      (request, reply) => infer(options, { request, reply, route: "transcriptions" }),
    );
  });
};

type Call = CallParameters & { readonly reply: FastifyReply };

async function infer(options: InferenceOptions, call: Call): Promise<FastifyReply> {
  const { request, reply, dialect } = call;
  const { caller } = keyOf(request);
  const reading = readCall(call, options.presets, caller.userId);
  const read = reading instanceof Promise ? await reading : reading;
  if ("passOn" in read) {
    read.passOn(request, reply);
    return reply;
  }
  const { asked, preset, content, ...served } = read;
  const voucher = request.headers[ROUTE_HEADERS.voucher];
  const serve = {
    ...{ requestId: request.id, route: call.route, caller, ...served },
    voucher: typeof voucher === "string" ? voucher : undefined,
    headers: request.headers,
  };
  const wish = readCacheWish(request, preset?.cache);
  const serving = wish ? cached(options, reply, { ...wish, content: content() }) : options.serving;
  const sink = new SocketSink(reply);
  const translate = (inner: ReplySink) => (dialect ? new DialectSink(inner, dialect, asked) : inner);
  const key = readIdempotencyKey(request);
  if (key === undefined) {
    const { rest } = await serving.serve(serve, translate(sink));
    if (rest) await rest;
  } else {
    const name = `${request.routeOptions.url}:${key}`;
    const again = await serveOnce({ ...options, serving }, { request: serve, name, sink, translate });
    if (again) return replay(reply, again);
  }
  return reply;
}

/** Serving with kept replies before it. */
function cached({ serving, cache }: InferenceOptions, reply: FastifyReply, wish: CacheWish) {
  const onFound = (hit: CacheHit | undefined) => tellFound(reply, wish, hit);
  return {
    serve: (request: ServeRequest, sink: ReplySink) =>
      serveCached({ serving, cache, wish, onFound }, request, sink),
  };
}

function replay(
  reply: FastifyReply,
  { status, contentType, body, generationId }: IdempotentReply,
): FastifyReply {
  reply.header(ROUTE_HEADERS.replayed, "true").header(ROUTE_HEADERS.generationId, generationId);
  const { errorForm } = reply.routeOptions.config;
  const kept = Buffer.from(body);
  // What is kept of a reply that was too long is an error, in our own form.
  const sent = status >= 400 && errorForm ? errorForm(JSON.parse(kept.toString()) as ErrorBody) : kept;
  return reply.code(status).type(contentType).send(sent);
}

function readIdempotencyKey({ headers }: FastifyRequest): string | undefined {
  const key = headers[ROUTE_HEADERS.idempotencyKey];
  if (key === undefined) return undefined;
  if (typeof key === "string" && key.length > 0 && key.length <= MAX_IDEMPOTENCY_KEY_LENGTH) return key;
  throw new AimoError("invalid_request", {
    message: `Idempotency-Key must have 1 to ${MAX_IDEMPOTENCY_KEY_LENGTH} characters.`,
    param: "Idempotency-Key",
  });
}
