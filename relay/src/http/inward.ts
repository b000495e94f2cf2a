import { timingSafeEqual } from "node:crypto";
import type { IncomingHttpHeaders, OutgoingHttpHeaders } from "node:http";
import { AimoError } from "@aimo/protocol/errors";
import type { FastifyReply, FastifyRequest, HookHandlerDoneFunction } from "fastify";

/** What a relay's processes say to each other about a client's request, and why the main one believes it. */

/** Known to the relay's own processes alone; it stands in each request that one of them passes on. */
const SECRET_HEADER = "aimo-inward";
/** Says that a request was taken from its caller's limits already. */
export const COUNTED_HEADER = "aimo-counted";
/**
 * What a passed-on request may have beyond what its client sent: the two above, `x-forwarded-for`, `connection`, and the
 * `host` that HTTP/1.0 may lack. Their bytes, and those by which joined headers of one name grow, are far fewer.
 */
export const ADDED_HEADERS = { count: 5, bytes: 1_024 };
/** Each concerns one connection only. */
const HOP_BY_HOP = new Set([
  ...["connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"],
]);
/** Each is answered by the worker, or said anew by it: what a client says here is nothing. */
const OWN_HEADERS = new Set([
  ...["expect", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto"],
  ...[SECRET_HEADER, COUNTED_HEADER],
]);

export type InwardParameters = {
  readonly secret: string;
  /** The client's address, by what this process knows of proxies. */
  readonly ip: string;
  readonly isCounted: boolean;
};

/** A client's headers as the main process gets them; those of the body's framing are the caller's to set. */
export function headersInward(
  sent: IncomingHttpHeaders,
  { secret, ip, isCounted }: InwardParameters,
): OutgoingHttpHeaders {
  const headers: OutgoingHttpHeaders = {};
  for (const [name, value] of Object.entries(sent))
    if (!HOP_BY_HOP.has(name) && !OWN_HEADERS.has(name) && value !== undefined) headers[name] = value;
  headers[SECRET_HEADER] = secret;
  headers["x-forwarded-for"] = ip;
  if (isCounted) headers[COUNTED_HEADER] = "1";
  return headers;
}

/** The headers of its answer, in pairs, as the client gets them: what concerns that connection, Node says itself. */
export function headersOutward(raw: readonly string[]): string[] {
  return raw.filter((_, at) => !HOP_BY_HOP.has((raw[at - (at % 2)] ?? "").toLowerCase()));
}

/** A hook for all requests of the main process: refuses whoever is none of its workers, and ends that connection. */
export function believing(secret: string) {
  const known = Buffer.from(secret);
  return ({ headers }: FastifyRequest, reply: FastifyReply, done: HookHandlerDoneFunction): void => {
    const said = Buffer.from(String(headers[SECRET_HEADER] ?? ""));
    // Nobody behind this door has to know it, an operator's hooks least of all.
    delete headers[SECRET_HEADER];
    if (said.length === known.length && timingSafeEqual(said, known)) {
      done();
      return;
    }
    reply.header("connection", "close");
    done(new AimoError("permission_denied", { message: "Only this relay's own workers are answered here." }));
  };
}
