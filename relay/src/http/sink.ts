import { ROUTE_HEADERS } from "@aimo/protocol/routes";
import type { FastifyReply } from "fastify";
import type { ReplySink } from "../flow/serve-ports.ts";
import { onDeparture } from "./departure.ts";

/**
 * A reply sink over the socket itself: no stream object, no promise per chunk. The headers that hooks have set (CORS,
 * limits, ids) go out with it.
 */
export class SocketSink implements ReplySink {
  onClose: (() => void) | undefined;
  onDrain: (() => void) | undefined;
  readonly #reply: FastifyReply;
  #ended = false;
  #closed = false;

  constructor(reply: FastifyReply) {
    this.#reply = reply;
    onDeparture(reply, () => {
      if (this.#ended) return;
      this.#closed = true;
      this.onClose?.();
    });
    reply.raw.on("drain", () => this.onDrain?.());
  }

  get closed(): boolean {
    return this.#closed;
  }

  startStream(generationId: string, contentType = "text/event-stream; charset=utf-8"): void {
    this.#head(generationId, {
      "content-type": contentType,
      "cache-control": "no-cache",
      // Proxies in front must not collect the stream.
      "x-accel-buffering": "no",
    });
  }

  write(chunk: Uint8Array): boolean {
    return this.#closed || this.#reply.raw.write(chunk);
  }

  end(): void {
    this.#ended = true;
    if (!this.#closed) this.#reply.raw.end();
  }

  cut(): void {
    this.#ended = true;
    this.#reply.raw.destroy();
  }

  /** As text: Node sends it together with the head, which saves a call of the system. */
  sendJson(generationId: string, body: string, contentType = "application/json; charset=utf-8"): void {
    this.#head(generationId, {
      "content-type": contentType,
      "content-length": Buffer.byteLength(body),
    });
    this.#ended = true;
    this.#reply.raw.end(body);
  }

  #head(generationId: string, headers: Record<string, string | number>): void {
    this.#reply.hijack();
    const set = this.#reply.getHeaders() as Record<string, string | number>;
    this.#reply.raw.writeHead(200, { ...set, ...headers, [ROUTE_HEADERS.generationId]: generationId });
  }
}
