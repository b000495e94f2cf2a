import type { IncomingMessage, ServerResponse } from "node:http";
import { sha256 } from "@aimo/node/session-crypto";
import { ROUTES } from "@aimo/protocol/announcement";
import { AimoError } from "@aimo/protocol/errors";
import { INFER_PATH, SESSION_HEADERS } from "@aimo/protocol/session";
import { MAX_U32 } from "@aimo/protocol/units";
import type { Route } from "../core/types.ts";
import type { InferRequest } from "../flow/ports.ts";
import type { Serving } from "../flow/serving.ts";
import { authenticate, headerOf } from "./authenticate.ts";
import { readBody, requireHex } from "./body.ts";
import { createReply } from "./reply.ts";
import { requireAttempt, requireMethod } from "./session-routes.ts";
import { macToRelay, type Sessions } from "./sessions.ts";

export type InferRouteModules = {
  readonly sessions: Sessions;
  readonly serving: Serving;
  readonly maxBodyBytes: number;
};

/** Longest id and model name taken from the query. */
const MAX_NAME_CHARS = 128;

/** `POST /aimo/v1/infer/:route`. True when the path is this route. */
export async function handleInfer(
  modules: InferRouteModules,
  request: IncomingMessage,
  response: ServerResponse,
  url: URL,
): Promise<boolean> {
  if (!url.pathname.startsWith(`${INFER_PATH}/`)) return false;
  requireMethod(request, "POST");
  requireRoute(url);
  // Before the body: who is unknown may not make this node read megabytes.
  const session = modules.sessions.find(headerOf(request, SESSION_HEADERS.session));
  const body = await readBody(request, modules.maxBodyBytes);
  const seq = authenticate(modules.sessions, session, request, body);
  const path = request.url ?? "";
  const reply = createReply(response, (text) =>
    macToRelay(session, { seq, method: "POST", path, bodyHash: sha256(text) }),
  );
  modules.serving.serve({ relayId: session.relayId, ...readInferUrl(url), body }, reply);
  return true;
}

/** What the path and query of an inference request say. Throws `not_found` or `invalid_request`. */
export function readInferUrl(url: URL | null): Omit<InferRequest, "relayId" | "body"> {
  if (!url) throw new AimoError("not_found");
  return readQuery(requireRoute(url), url.searchParams);
}

function requireRoute(url: URL): Route {
  const route = ROUTES.find((one) => url.pathname === `${INFER_PATH}/${one}`);
  if (!route) throw new AimoError("not_found");
  return route;
}

function readQuery(route: Route, query: URLSearchParams): Omit<InferRequest, "relayId" | "body"> {
  return {
    route,
    attempt: requireAttempt(query.get("attempt")),
    requestHash: requireHex(query.get("request"), "request", 32),
    model: requireName(query, "model"),
    priceVersion: requireCount(query, "price"),
    max: query.has("max") ? requireCount(query, "max") : undefined,
    id: query.has("id") ? requireName(query, "id") : undefined,
  };
}

function requireName(query: URLSearchParams, name: string): string {
  const value = query.get(name) ?? "";
  if (value !== "" && value.length <= MAX_NAME_CHARS) return value;
  throw new AimoError("invalid_request", {
    message: `'${name}' must have 1 to ${MAX_NAME_CHARS} characters.`,
    param: name,
  });
}

function requireCount(query: URLSearchParams, name: string): number {
  const text = query.get(name) ?? "";
  const value = /^\d{1,10}$/.test(text) ? Number(text) : 0;
  if (value >= 1 && value <= MAX_U32) return value;
  throw new AimoError("invalid_request", { message: `'${name}' must be a positive integer.`, param: name });
}
