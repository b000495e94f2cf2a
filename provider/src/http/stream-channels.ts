import type { IncomingMessage } from "node:http";
import { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { STREAM_PROTOCOL } from "@aimo/node/stream-frames";
import { AimoError, isAimoError } from "@aimo/protocol/errors";
import { SESSION_PATH } from "@aimo/protocol/session";
import { authenticate } from "./authenticate.ts";
import { refusalOf } from "./reply.ts";
import type { Session } from "./sessions.ts";
import { StreamChannel, type StreamChannelModules } from "./stream-channel.ts";

/** A relay may spread its requests over a few connections; its oldest goes when there are more. */
const MAX_CHANNELS_PER_SESSION = 4;
/** Finds out about a relay whose host vanished. */
const KEEP_ALIVE_MS = 30_000;
/** How long a relay has, when this node stops, to take what was written. */
const LAST_WORDS_MS = 500;
const NO_BODY = Buffer.alloc(0);

/** `GET /aimo/v1/session/:id/stream` with an upgrade: the connections that carry many requests at once. */
export class StreamChannels {
  readonly #m: StreamChannelModules;
  readonly #open = new Map<StreamChannel, Duplex>();

  constructor(modules: StreamChannelModules) {
    this.#m = modules;
  }

  /** Takes the connection over, or answers with an error and closes it. */
  handle(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    // Until the channel has its own; a relay that hangs up meanwhile is no fault of this node.
    socket.on("error", () => {});
    try {
      const session = this.#requireSession(request);
      socket.write(
        `HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: ${STREAM_PROTOCOL}\r\n\r\n`,
      );
      if (socket instanceof Socket) socket.setTimeout(0).setNoDelay(true).setKeepAlive(true, KEEP_ALIVE_MS);
      const mine = [...this.#open.keys()].filter((one) => one.session === session);
      if (mine.length >= MAX_CHANNELS_PER_SESSION) mine[0]?.destroy();
      if (head.length > 0) socket.unshift(head);
      const channel = new StreamChannel(this.#m, session, socket);
      this.#open.set(channel, socket);
      session.connections += 1;
      socket.once("close", () => {
        this.#open.delete(channel);
        session.connections -= 1;
      });
    } catch (error) {
      if (!isAimoError(error)) this.#m.log.error({ err: error }, "A request failed unexpectedly.");
      refuse(socket, isAimoError(error) ? error : new AimoError("internal_error"));
    }
  }

  /** The session is over: what runs may end, nothing new begins. */
  leave(session: Session): void {
    for (const channel of this.#open.keys()) if (channel.session === session) channel.close();
  }

  /** Resolves when what was written has left, or is not going to. */
  async close(): Promise<void> {
    const closed = [...this.#open.values()].map(
      (socket) => new Promise<void>((resolve) => socket.once("close", () => resolve())),
    );
    for (const channel of this.#open.keys()) channel.close();
    const deadline = setTimeout(() => {
      for (const channel of this.#open.keys()) channel.destroy();
    }, LAST_WORDS_MS);
    await Promise.all(closed);
    clearTimeout(deadline);
  }

  #requireSession(request: IncomingMessage): Session {
    const [, id] = /^\/aimo\/v1\/session\/([0-9a-f-]{36})\/stream$/.exec(request.url ?? "") ?? [];
    if (id === undefined || request.method !== "GET")
      throw new AimoError("not_found", { message: `Only ${SESSION_PATH}/:id/stream is upgraded.` });
    if (request.headers.upgrade?.toLowerCase() !== STREAM_PROTOCOL)
      throw new AimoError("invalid_request", { message: `Only upgrades to ${STREAM_PROTOCOL} are known.` });
    const session = this.#m.sessions.find(id);
    authenticate(this.#m.sessions, session, request, NO_BODY);
    return session;
  }
}

function refuse(socket: Duplex, error: AimoError): void {
  const { status, body } = refusalOf(error);
  const head = `HTTP/1.1 ${status} Refused\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n`;
  socket.end(`${head}connection: close\r\n\r\n${body.toString()}`, () => socket.destroy());
}
