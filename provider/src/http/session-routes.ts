import type { IncomingMessage, ServerResponse } from "node:http";
import { sha256 } from "@aimo/node/session-crypto";
import { AimoError } from "@aimo/protocol/errors";
import { SESSION_PATH, type SessionEvent, type UsageFrame } from "@aimo/protocol/session";
import { MAX_U32, MAX_U80 } from "@aimo/protocol/units";
import type { ReceiptBook } from "../flow/receipt-book.ts";
import type { Serving } from "../flow/serving.ts";
import { authenticate } from "./authenticate.ts";
import { parseObject, readBody, requireHex, requireInteger } from "./body.ts";
import { sendJson } from "./reply.ts";
import { macToRelay, type Session, type Sessions } from "./sessions.ts";

/** Bodies of the session's own messages are a few hundred bytes. */
const MAX_MESSAGE_BYTES = 4 * 1024;
/** Keeps proxies from closing a quiet stream, and tells the relay that this node lives. */
const PING_MS = 5_000;
/** How long a relay has to read the last groups of a node that stops; they are in the journal too. */
const LAST_WORDS_MS = 500;
/** A relay that reads no more than this behind is gone; groups wait in the journal for its next stream. */
const MAX_UNSENT_BYTES = 8 * 1024 * 1024;

export type SessionRoutesModules = {
  readonly sessions: Sessions;
  readonly receipts: ReceiptBook;
  readonly serving: Pick<Serving, "abort">;
};

/** The routes of protocol/session.ts but `infer`: handshake, events, acknowledgements and aborts. */
export class SessionRoutes {
  readonly #m: SessionRoutesModules;
  readonly #streams = new Map<string, ServerResponse>();

  constructor(modules: SessionRoutesModules) {
    this.#m = modules;
  }

  /** The session is over. */
  leave({ id }: Session): void {
    this.#streams.get(id)?.destroy();
  }

  /** True when the path is one of these routes; answers it or rejects with an AimoError. */
  async handle(request: IncomingMessage, response: ServerResponse, path: string): Promise<boolean> {
    if (path === SESSION_PATH) {
      requireMethod(request, "POST");
      await this.#offer(request, response);
      return true;
    }
    const match = /^\/aimo\/v1\/session\/([0-9a-f-]{36})\/(confirm|events|ack|abort)$/.exec(path);
    const [, id = "", action = ""] = match ?? [];
    if (!match) return false;
    requireMethod(request, action === "events" ? "GET" : "POST");
    if (action === "confirm") await this.#confirm(id, request, response);
    else await this.#inSession(this.#m.sessions.find(id), action, request, response);
    return true;
  }

  /** Ends all event streams; resolves when what was written to them has left, or is not going to. */
  async close(): Promise<void> {
    const ends = [...this.#streams.values()].map(
      (response) => new Promise<void>((resolve) => response.once("close", resolve).end()),
    );
    const { promise, resolve } = Promise.withResolvers<void>();
    const deadline = setTimeout(resolve, LAST_WORDS_MS);
    await Promise.race([Promise.all(ends), promise]);
    clearTimeout(deadline);
  }

  async #offer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const fields = parseObject(await readBody(request, MAX_MESSAGE_BYTES));
    const answer = await this.#m.sessions.offer({
      version: requireInteger(fields, "version", MAX_U32),
      chainId: requireInteger(fields, "chainId", Number.MAX_SAFE_INTEGER),
      relayId: requireInteger(fields, "relayId", MAX_U32),
      providerId: requireInteger(fields, "providerId", MAX_U32),
      nonce: requireHex(fields["nonce"], "nonce", 32),
      ephemeral: requireHex(fields["ephemeral"], "ephemeral", 33),
    });
    sendJson(response, 200, Buffer.from(JSON.stringify(answer)));
  }

  async #confirm(id: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const fields = parseObject(await readBody(request, MAX_MESSAGE_BYTES));
    this.#m.sessions.confirm(id, requireHex(fields["signature"], "signature", 65));
    response.writeHead(204).end();
  }

  async #inSession(
    session: Session,
    action: string,
    request: IncomingMessage,
    response: ServerResponse,
  ): Promise<void> {
    const body = await readBody(request, MAX_MESSAGE_BYTES);
    const seq = authenticate(this.#m.sessions, session, request, body);
    if (action === "events") return this.#events(session, request.url ?? "", response);
    const fields = parseObject(body);
    if (action === "abort") return this.#abort(session, seq, fields, request, response);
    const { cumulative } = fields;
    if (typeof cumulative !== "string" || !/^\d{1,25}$/.test(cumulative) || BigInt(cumulative) > MAX_U80)
      throw new AimoError("invalid_request", {
        message: "'cumulative' is no decimal string of pUSD.",
        param: "cumulative",
      });
    const signature = requireHex(fields["signature"], "signature", 65);
    const voucher = { cumulative: BigInt(cumulative), signature };
    await this.#m.receipts.acknowledge(session.relayId, session.signer, voucher);
    response.writeHead(204).end();
  }

  #abort(
    session: Session,
    seq: bigint,
    fields: Readonly<Record<string, unknown>>,
    request: IncomingMessage,
    response: ServerResponse,
  ): void {
    const attempt = requireAttempt(fields["attempt"]);
    const frames = requireInteger(fields, "frames", MAX_U32);
    const statement = this.#m.serving.abort(session.relayId, attempt, frames);
    if (!statement) {
      response.writeHead(204).end();
      return;
    }
    const bodyHash = sha256(JSON.stringify(statement));
    const mac = macToRelay(session, { seq, method: "POST", path: request.url ?? "", bodyHash });
    const frame: UsageFrame = { statement, mac };
    sendJson(response, 200, Buffer.from(JSON.stringify(frame)));
  }

  #events(session: Session, path: string, response: ServerResponse): void {
    this.#streams.get(session.id)?.destroy();
    this.#streams.set(session.id, response);
    session.connections += 1;
    response.writeHead(200, { "content-type": "application/x-ndjson", "cache-control": "no-cache" });
    const send = (event: SessionEvent) => {
      const text = JSON.stringify(event);
      const seq = session.nextEventSeq++;
      const mac = macToRelay(session, { seq: BigInt(seq), method: "GET", path, bodyHash: sha256(text) });
      response.write(`{"seq":${seq},"event":${text},"mac":"${mac}"}\n`);
      if (response.writableLength > MAX_UNSENT_BYTES) response.destroy();
    };
    send({ type: "ready" });
    const unsubscribe = this.#m.receipts.subscribe(session.relayId, send);
    const ping = setInterval(() => send({ type: "ping" }), PING_MS);
    response.once("close", () => {
      clearInterval(ping);
      unsubscribe();
      session.connections -= 1;
      if (this.#streams.get(session.id) === response) this.#streams.delete(session.id);
    });
  }
}

/** An attempt's name: 1 to 32 bytes of the relay's choice. Throws `invalid_request`. */
export function requireAttempt(value: unknown): `0x${string}` {
  if (typeof value === "string" && /^0x([0-9a-f]{2}){1,32}$/i.test(value))
    return value.toLowerCase() as `0x${string}`;
  throw new AimoError("invalid_request", {
    message: "'attempt' is not 1 to 32 bytes in hex.",
    param: "attempt",
  });
}

export function requireMethod(request: IncomingMessage, method: string): void {
  if (request.method !== method)
    throw new AimoError("method_not_allowed", {
      message: `This path takes ${method}, not ${request.method}.`,
    });
}
