import type { IncomingMessage } from "node:http";
import { sha256 } from "@aimo/node/session-crypto";
import { SESSION_HEADERS } from "@aimo/protocol/session";
import type { Session, Sessions } from "./sessions.ts";

/** Checks the session headers of a request whose body was read; gives its sequence number. */
export function authenticate(
  sessions: Sessions,
  session: Session,
  request: IncomingMessage,
  body: Buffer,
): bigint {
  return sessions.authenticate(session, {
    session: session.id,
    seq: headerOf(request, SESSION_HEADERS.seq),
    mac: headerOf(request, SESSION_HEADERS.mac),
    method: request.method ?? "",
    path: request.url ?? "",
    bodyHash: sha256(body),
  });
}

export function headerOf(request: IncomingMessage, name: string): string | undefined {
  const value = request.headers[name];
  return Array.isArray(value) ? value[0] : value;
}
