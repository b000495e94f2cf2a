import type { ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { randomHex } from "@aimo/node/random";
import { errorBody } from "@aimo/protocol/error-body";
import { AimoError } from "@aimo/protocol/errors";
import { ROUTE_HEADERS } from "@aimo/protocol/routes";
import type { FastifyError, FastifyReply, FastifyRequest } from "fastify";
import { sendError } from "./errors.ts";

/** Refusals before there is a request that routes or hooks have seen: bad URLs, and bytes that are no HTTP. */

/** A URL that cannot be decoded. */
export function refuseUrl(_error: FastifyError, request: FastifyRequest, reply: FastifyReply): void {
  reply.header(ROUTE_HEADERS.requestId, request.id);
  const message = "The path is not well formed.";
  sendError(request, reply, new AimoError("invalid_request", { message, param: "path" }));
}

type ClientError = Error & { readonly code?: string };

/** Answers what is no HTTP, or comes too slowly, in our form; then ends the connection, because its next byte is unknown. */
export function refuseBytes(error: ClientError, socket: Socket): void {
  // What of an earlier request is being answered; a reply under way must not be mixed with this one.
  const { _httpMessage: current } = socket as Socket & { readonly _httpMessage?: ServerResponse | null };
  if (error.code === "ECONNRESET" || !socket.writable || current?.headersSent) {
    socket.destroy();
    return;
  }
  const refusal = refusalOf(error.code);
  const requestId = `req-${randomHex(12)}`;
  const body = JSON.stringify(errorBody(refusal, requestId));
  const status = `${refusal.status} ${REASONS[refusal.status] ?? "Error"}`;
  const head = [
    `HTTP/1.1 ${status}`,
    "content-type: application/json; charset=utf-8",
    `content-length: ${Buffer.byteLength(body)}`,
    `${ROUTE_HEADERS.requestId}: ${requestId}`,
    "connection: close",
  ];
  socket.end(`${head.join("\r\n")}\r\n\r\n${body}`);
  // Who still sends after that is not listened to, nor waited for.
  socket.destroySoon();
}

const REASONS: Readonly<Record<number, string>> = {
  400: "Bad Request",
  408: "Request Timeout",
  413: "Content Too Large",
  431: "Request Header Fields Too Large",
};

function refusalOf(code: string | undefined): AimoError {
  if (code === "ERR_HTTP_REQUEST_TIMEOUT") return new AimoError("request_timeout");
  if (code === "HPE_HEADER_OVERFLOW") return new AimoError("headers_too_large");
  if (code === "HPE_CHUNK_EXTENSIONS_OVERFLOW")
    return new AimoError("payload_too_large", { message: "The body's chunks have too many extensions." });
  return new AimoError("invalid_request", { message: "What was sent is not valid HTTP/1.1." });
}
