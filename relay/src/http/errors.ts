import { type ErrorBody, errorBody } from "@aimo/protocol/error-body";
import { AimoError, type ErrorCode, isAimoError } from "@aimo/protocol/errors";
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest, HTTPMethods } from "fastify";
import { emptyBody } from "./json-body.ts";
import { refusalOf } from "./schema-sentences.ts";

declare module "fastify" {
  interface FastifyContextConfig {
    /** How a route of another API says what went wrong. */
    errorForm?: ((body: ErrorBody, requestId?: string) => object) | undefined;
  }
}

/** Fastify's own refusals, in the words of our table. */
const FASTIFY_CODES: Readonly<Record<string, { code: ErrorCode; message?: string }>> = {
  FST_ERR_CTP_BODY_TOO_LARGE: { code: "payload_too_large" },
  FST_ERR_CTP_INVALID_MEDIA_TYPE: { code: "unsupported_media_type" },
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: {
    code: "invalid_request",
    message: "The body's length differs from its Content-Length.",
  },
};

/** The one place where an error becomes a reply: a known one by the table, anything else a fixed text and a log line. */
export function handleErrors(
  app: FastifyInstance,
  bodyLimit: number,
  onNotFound: (request: FastifyRequest, reply: FastifyReply) => void = refuseUnknown,
): void {
  app.setErrorHandler((error: FastifyError, request, reply) => {
    const known = toAimoError(request, error, request.routeOptions.bodyLimit ?? bodyLimit);
    if (!known) request.log.error({ err: error, request_id: request.id }, "request failed unexpectedly");
    return sendError(request, reply, known ?? new AimoError("internal_error"));
  });
  app.setNotFoundHandler((request, reply) => onNotFound(request, reply));
}

function refuseUnknown(request: FastifyRequest, reply: FastifyReply): void {
  const message = `There is no ${pathOf(request)} here.`;
  sendError(request, reply, new AimoError("not_found", { message }));
}

/** Sends an error's status, headers and body. */
export function sendError(request: FastifyRequest, reply: FastifyReply, error: AimoError): FastifyReply {
  const isLater = error.status === 429 || error.status === 503;
  const retryAfter = error.retryAfterSeconds ?? (isLater ? 1 : undefined);
  if (retryAfter !== undefined) reply.header("retry-after", Math.ceil(retryAfter));
  if (error.status === 401) reply.header("www-authenticate", "Bearer");
  const body = errorBody(error, request.id);
  const { errorForm } = request.routeOptions.config;
  return reply
    .code(error.status)
    .type("application/json; charset=utf-8")
    .send(errorForm ? errorForm(body, request.id) : body);
}

function toAimoError(request: FastifyRequest, error: FastifyError, bodyLimit: number): AimoError | undefined {
  if (isAimoError(error)) return error;
  const { validation, validationContext: context = "body" } = error;
  if (validation) {
    if (context === "body" && request.body === undefined) return emptyBody();
    return new AimoError("invalid_request", refusalOf(validation, context));
  }
  const own = FASTIFY_CODES[error.code];
  if (own?.code === "unsupported_media_type" && takesForm(request))
    return new AimoError(own.code, {
      message: "The body must be a form: multipart/form-data.",
      hint: "Send `Content-Type: multipart/form-data` with a boundary, as `curl -F` does.",
    });
  if (own?.code === "payload_too_large")
    return new AimoError(own.code, { message: `The body is larger than ${bodyLimit} bytes.` });
  if (own) return new AimoError(own.code, own.message ? { message: own.message } : {});
  const status = error.statusCode ?? 500;
  // The message of an error that nobody foresaw may hold anything: it stays here.
  return status >= 400 && status < 500 ? new AimoError("invalid_request") : undefined;
}

const takesForm = ({ routeOptions }: FastifyRequest): boolean =>
  (routeOptions.schema?.consumes ?? []).includes("multipart/form-data");

const pathOf = ({ url }: FastifyRequest): string => (url.split("?", 1)[0] ?? "").slice(0, 200);

const METHODS: readonly HTTPMethods[] = ["GET", "POST", "PUT", "PATCH", "DELETE"];

/** Answers 405 with `Allow` for the methods that a known path lacks. Call before the routes; the result after them. */
export function refuseOtherMethods(app: FastifyInstance): () => void {
  const known = new Map<string, Set<string>>();
  app.addHook("onRoute", ({ url, method }) => {
    const methods = known.get(url) ?? new Set();
    for (const each of [method].flat()) methods.add(each);
    known.set(url, methods);
  });
  return () => {
    for (const [url, methods] of [...known]) {
      const missing = METHODS.filter((method) => !methods.has(method));
      const allow = [...methods].join(", ");
      if (missing.length > 0) refuse(app, { url, allow, missing });
    }
  };
}

type Refusal = { readonly url: string; readonly allow: string; readonly missing: HTTPMethods[] };

function refuse(app: FastifyInstance, { url, allow, missing }: Refusal): void {
  app.route({
    url,
    method: missing,
    schema: { hide: true },
    // Before the body is read.
    onRequest: async (_request, reply) => {
      reply.header("allow", allow);
      throw new AimoError("method_not_allowed", { message: `This resource knows ${allow}.` });
    },
    handler: async () => undefined,
  });
}
