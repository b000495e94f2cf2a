import type { ServerResponse } from "node:http";
import { errorBody } from "@aimo/protocol/error-body";
import type { AimoError } from "@aimo/protocol/errors";
import { SESSION_HEADERS } from "@aimo/protocol/session";
import type { Hex } from "viem";
import type { Reply } from "../flow/ports.ts";

/** Errors about the relay itself are an operator's in the table; over HTTP they are a refusal. */
const REFUSALS: Readonly<Record<string, number>> = { not_registered: 403, not_bonded: 403 };

export const STREAM_TYPE = "text/event-stream; charset=utf-8";
const STREAM_HEAD = {
  "content-type": STREAM_TYPE,
  "cache-control": "no-cache",
} as const;

/** An error of the table as an answer. */
export function refusalOf(error: AimoError): {
  readonly status: number;
  readonly body: Buffer;
  readonly retryAfter: string | undefined;
} {
  const retry = error.retryAfterSeconds;
  return {
    status: REFUSALS[error.code] ?? error.status,
    body: Buffer.from(JSON.stringify(errorBody(error))),
    retryAfter: retry === undefined ? undefined : String(Math.ceil(retry)),
  };
}

/** Answers with an error of the table, if nothing was sent yet; otherwise breaks the connection. */
export function sendError(response: ServerResponse, error: AimoError): void {
  if (response.destroyed) return;
  if (response.headersSent) {
    response.destroy();
    return;
  }
  const { status, body, retryAfter } = refusalOf(error);
  // What is left of a refused body is not worth reading, so the connection ends with the reply.
  const close = response.req.complete ? {} : { connection: "close" };
  sendJson(response, status, body, {
    ...(retryAfter === undefined ? {} : { "retry-after": retryAfter }),
    ...close,
  });
}

export function sendJson(
  response: ServerResponse,
  status: number,
  body: Uint8Array,
  headers: Readonly<Record<string, string>> = {},
): void {
  response.writeHead(status, {
    "content-type": "application/json",
    "content-length": body.length,
    ...headers,
  });
  response.end(body);
}

/** A node:http response as the flow sees it. */
export function createReply(response: ServerResponse, macOf: (text: string) => Hex): Reply {
  return {
    json: (status, body, headers) => sendJson(response, status, body, headers),
    error: (error) => sendError(response, error),
    write: (text) => {
      if (!response.headersSent) response.writeHead(200, STREAM_HEAD);
      return response.write(text);
    },
    end: () => {
      response.end();
    },
    writeBytes: (chunk, contentType) => {
      const trailer = `${SESSION_HEADERS.usage}, ${SESSION_HEADERS.usageMac}`;
      if (!response.headersSent) response.writeHead(200, { "content-type": contentType, trailer });
      return response.write(chunk);
    },
    endBytes: (trailers) => {
      response.addTrailers(trailers);
      response.end();
    },
    cut: () => {
      response.destroy();
    },
    macOf,
    onDrain: (listener) => {
      response.on("drain", listener);
    },
    onClose: (listener) => {
      response.once("close", () => listener(response.writableFinished));
    },
  };
}
