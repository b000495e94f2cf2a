import type { IncomingMessage } from "node:http";
import { INFERENCE_PATHS } from "./inference-routes.ts";

/** Kinds of requests that are passed on, by how long each may hold its connection to the main process. */

/**
 * Connections to the main process that requests have at a time, by their kind, so that none can take those of another.
 * A connection is held until the client has read all of its answer: what is long has kinds of its own, inference and what
 * files contain. The rest goes by its body: there is none (what looks after the relay is among them), it was read (sign-ins
 * and keys are), or it is still to come.
 */
export const PLACES = {
  plain: 128,
  read: 128,
  coming: 128,
  contents: 128,
  inference: 640,
  inferenceComing: 256,
};

export type Kind = keyof typeof PLACES;

/** How a request's body gets to the main process: there is none, it was read already, or it is still to come. */
export type BodyState = "plain" | "read" | "coming";

/** A file's id may be anything: what has no such file has a short answer. */
const CONTENTS = /^\/v1\/files\/.*\/content$/s;

/** What kind a request is of. */
export function kindOf(request: Pick<IncomingMessage, "method" | "url">, body: BodyState): Kind {
  if (isInference(request)) return body === "coming" ? "inferenceComing" : "inference";
  return CONTENTS.test(pathOf(request)) ? "contents" : body;
}

/** It asks a model. */
export const isInference = (request: Pick<IncomingMessage, "method" | "url">): boolean =>
  request.method === "POST" && INFERENCE_PATHS.has(pathOf(request));

/** As the router takes it: whole URLs are paths, and letters may be their codes. What it cannot decode, it refuses. */
function pathOf({ url = "" }: Pick<IncomingMessage, "url">): string {
  const path = url.replace(/^https?:\/\/[^/?]*/i, "").split(/[?#]/, 1)[0] ?? "";
  if (!path.includes("%")) return path;
  try {
    return decodeURIComponent(path);
  } catch (error) {
    if (!(error instanceof URIError)) throw error;
    return path;
  }
}
