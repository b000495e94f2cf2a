import type { Socket } from "node:net";
import { AimoError } from "@aimo/protocol/errors";
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { AddressCounts, type ConnectionLimits, type ConnectionVerdict } from "./address-counts.ts";

export type ConnectionSettings = ConnectionLimits & {
  /** Connections at once; those beyond it are closed unanswered. */
  readonly maxConnections: number;
  /** Milliseconds in which a request must have been sent: its headers; its headers and body. */
  readonly headersTimeoutMs: number;
  readonly requestTimeoutMs: number;
  /** Milliseconds without taking a byte of what waits for it after which a reader is gone. */
  readonly readerIdleMs: number;
};

/** Far above what clients send; each costs memory before anything is known of the caller. */
const MAX_HEADERS = 64;
/** Requests of a connection behind the one that is answered: clients send one, or some few; each is held in memory. */
const MAX_PIPELINED = 32;
/** How long a connection is kept between two requests: above the 60 s for which proxies in front usually keep one. */
export const KEEP_ALIVE_MS = 72_000;
/** Looks per time limit: a limit is kept to within a quarter of it. */
const LOOKS = 4;
const MAX_LOOK_MS = 5_000;

/** How often connections are looked at for their time limits; an option of Node's server. */
export function connectionsCheckingIntervalOf({ headersTimeoutMs }: ConnectionSettings): number {
  return Math.min(MAX_LOOK_MS, Math.ceil(headersTimeoutMs / LOOKS));
}

export type GuardOptions = {
  /** Counts connections by their address unless it is said. */
  readonly judge?: ConnectionJudge | undefined;
  /** Headers that a request may have beyond those of its client. */
  readonly addedHeaders?: number;
};

/** Bounds what connections may cost: how many, from where, how slowly they send, and how slowly they read. */
export function guardConnections(
  app: FastifyInstance,
  settings: ConnectionSettings,
  { judge = countConnections(settings), addedHeaders = 0 }: GuardOptions = {},
): void {
  const maxHeaders = MAX_HEADERS + addedHeaders;
  const { server } = app;
  server.maxConnections = settings.maxConnections;
  // One more than is taken, to see that there are too many: Node drops the rest without a word.
  server.maxHeadersCount = maxHeaders + 1;
  server.keepAliveTimeout = KEEP_ALIVE_MS;
  // Node swaps the two when the first is the larger.
  server.headersTimeout = Math.min(settings.headersTimeoutMs, settings.requestTimeoutMs);
  server.requestTimeout = settings.requestTimeoutMs;
  const connections = new Connections(settings, { judge, maxHeaders });
  server.on("connection", (socket: Socket) => connections.add(socket));
  app.addHook("onRequest", (request, reply, done) => done(connections.refusalOf(request, reply)));
  app.addHook("onClose", (_instance, done) => {
    connections.close();
    done();
  });
}

/** What is done with a new connection. */
export type ConnectionJudge = (socket: Socket) => ConnectionVerdict;

function countConnections(limits: ConnectionLimits): ConnectionJudge {
  const counts = new AddressCounts(limits);
  return (socket) => {
    const address = socket.remoteAddress ?? "";
    const verdict = counts.enter(address);
    if (verdict !== "close") socket.once("close", () => counts.leave(address));
    return verdict;
  };
}

/**
 * What is known of a connection: how many bytes its reader had taken, since when no more, and requests that wait behind
 * the one that is answered.
 */
type Reader = { taken: number; since: number; pipelined: number };

type ConnectionsOptions = { readonly judge: ConnectionJudge; readonly maxHeaders: number };

class Connections {
  readonly #settings: ConnectionSettings;
  readonly #judge: ConnectionJudge;
  readonly #maxHeaders: number;
  readonly #readers = new Map<Socket, Reader>();
  /** Connections that are told so by their first request. */
  readonly #refused = new Set<Socket>();
  readonly #sweep: NodeJS.Timeout;

  constructor(settings: ConnectionSettings, { judge, maxHeaders }: ConnectionsOptions) {
    this.#settings = settings;
    this.#judge = judge;
    this.#maxHeaders = maxHeaders;
    const everyMs = Math.min(MAX_LOOK_MS, Math.ceil(settings.readerIdleMs / LOOKS));
    this.#sweep = setInterval(() => this.#endIdleReaders(), everyMs);
    this.#sweep.unref();
  }

  add(socket: Socket): void {
    const verdict = this.#judge(socket);
    if (verdict === "close") {
      socket.destroy();
      return;
    }
    if (verdict === "refuse") this.#refused.add(socket);
    this.#readers.set(socket, { taken: 0, since: 0, pipelined: 0 });
    socket.once("close", () => {
      this.#readers.delete(socket);
      this.#refused.delete(socket);
    });
  }

  /** Why a request is not even looked at; nearly always nothing, at the cost of four comparisons. */
  refusalOf({ raw }: FastifyRequest, reply: FastifyReply): AimoError | undefined {
    // It is answered as it is, but Node's parser reads nothing more of a connection whose client wished another protocol.
    if (raw.headers.upgrade !== undefined) reply.header("connection", "close");
    if (raw.rawHeaders.length > 2 * this.#maxHeaders) {
      reply.header("connection", "close");
      const message = `The request has more than ${this.#maxHeaders} headers.`;
      return new AimoError("headers_too_large", { message });
    }
    if (reply.raw.socket === null && this.#isTooLong(raw.socket, reply)) {
      // Nobody hears of it: what was sent before is not answered either.
      raw.socket.destroy();
      return new AimoError("rate_limit_exceeded", { retryAfterSeconds: 1 });
    }
    if (this.#refused.size === 0 || !this.#refused.has(raw.socket)) return undefined;
    reply.header("connection", "close");
    const most = this.#settings.maxConnectionsPerAddress;
    return new AimoError("rate_limit_exceeded", {
      message: `This address has more than ${most} connections open.`,
      retryAfterSeconds: 1,
    });
  }

  /** One more waits for its turn. True when there are too many. */
  #isTooLong(socket: Socket, { raw }: FastifyReply): boolean {
    const reader = this.#readers.get(socket);
    if (!reader) return socket.destroyed;
    if (reader.pipelined >= MAX_PIPELINED) return true;
    reader.pipelined++;
    raw.once("close", () => reader.pipelined--);
    return false;
  }

  close(): void {
    clearInterval(this.#sweep);
  }

  /** Nothing is counted while bytes flow: what waits is looked at now and then. */
  #endIdleReaders(): void {
    const now = performance.now();
    for (const [socket, reader] of this.#readers) {
      const taken = takenOf(socket);
      if (socket.writableLength === 0 || taken !== reader.taken) {
        reader.taken = taken;
        reader.since = now;
      } else if (now - reader.since >= this.#settings.readerIdleMs) socket.destroy();
    }
  }
}

/**
 * Grows as the reader takes bytes, and stays as long as it takes none, whatever is written meanwhile. A large write is one
 * to Node until all of it is taken, so what the system has not taken of it counts too; only the handle knows it.
 */
function takenOf(socket: Socket): number {
  const { _handle: handle } = socket as Socket & { readonly _handle?: { readonly writeQueueSize?: number } };
  return socket.bytesWritten - socket.writableLength - (handle?.writeQueueSize ?? 0);
}
