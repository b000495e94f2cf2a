import { AimoError } from "@aimo/protocol/errors";
import { ROUTE_HEADERS } from "@aimo/protocol/routes";
import type { FastifyPluginAsync, FastifyReply, FastifyRequest } from "fastify";
import { readAsk } from "../core/ask.ts";
import { hashBody } from "../core/meter.ts";
import type { Route } from "../core/types.ts";
import type { IdempotentReply } from "../flow/ports.ts";
import { type ServeOnceDependencies, serveOnce } from "../flow/serve-once.ts";
import type { Access } from "./access.ts";
import { inferenceSchemas } from "./schemas.ts";
import { SocketSink } from "./sink.ts";

export type InferenceOptions = ServeOnceDependencies & { readonly access: Access };

const ROUTES: readonly { url: string; route: Route }[] = [
  { url: "/v1/chat/completions", route: "chat" },
  { url: "/v1/inference", route: "chat" },
  { url: "/v1/embeddings", route: "embeddings" },
  { url: "/v1/images/generations", route: "images" },
];
/** As long as a UUID several times over; the key is part of a store's key. */
const MAX_IDEMPOTENCY_KEY_LENGTH = 255;

/** Routes that infer. The body stays the client's bytes; it is parsed once, for what routing and price need. */
export const inferenceRoutes: FastifyPluginAsync<InferenceOptions> = async (app, options) => {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser("application/json", { parseAs: "buffer" }, (_request, body, done) =>
    done(null, body),
  );
  for (const { url, route } of ROUTES)
    app.post(
      url,
      {
        schema: inferenceSchemas[url] ?? {},
        // The schema is for readers: `readAsk` judges, with one parse and messages that name the field.
        validatorCompiler: () => () => true,
        // A bad key is refused before its body is read.
        onRequest: (request, _reply, done) => {
          options.access.key(request);
          done();
        },
      },
      (request, reply) => infer(options, { request, reply, route }),
    );
};

type Call = { readonly request: FastifyRequest; readonly reply: FastifyReply; readonly route: Route };

async function infer(options: InferenceOptions, { request, reply, route }: Call): Promise<FastifyReply> {
  const { caller } = options.access.key(request);
  const body = request.body instanceof Buffer ? request.body : Buffer.alloc(0);
  const ask = readAsk(route, parseBody(body), body.length);
  const call = { requestId: request.id, route, ask, body, bodyHash: hashBody(body), caller };
  const sink = new SocketSink(reply);
  const key = readIdempotencyKey(request);
  if (key === undefined) await options.serving.serve(call, sink);
  else {
    const again = await serveOnce(options, { request: call, key, sink });
    if (again) return replay(reply, again);
  }
  return reply;
}

function replay(
  reply: FastifyReply,
  { status, contentType, body, generationId }: IdempotentReply,
): FastifyReply {
  reply.header(ROUTE_HEADERS.replayed, "true").header(ROUTE_HEADERS.generationId, generationId);
  return reply.code(status).type(contentType).send(Buffer.from(body));
}

function parseBody(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString());
  } catch (cause) {
    throw new AimoError("invalid_request", { message: "The body is not valid JSON.", cause });
  }
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
