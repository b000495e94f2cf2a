import type { Duplex } from "node:stream";
import { FrameReader, FrameWriter } from "@aimo/node/frames";
import type { Log } from "@aimo/node/log";
import { sha256 } from "@aimo/node/session-crypto";
import {
  FRAME,
  MAX_REQUEST_FRAME,
  MAX_STREAMS,
  readRequest,
  readWindow,
  type StreamHead,
  writeHead,
} from "@aimo/node/stream-frames";
import { AimoError, isAimoError } from "@aimo/protocol/errors";
import type { Serving } from "../flow/serving.ts";
import { readInferUrl } from "./infer-route.ts";
import type { Session, Sessions } from "./sessions.ts";
import { type ReplyLink, StreamReply } from "./stream-reply.ts";

/** Written and not yet taken by the network: above this, replies wait; a relay that lets it grow further is cut off. */
const HIGH_WATER_BYTES = 1024 * 1024;
const MAX_UNSENT_BYTES = 16 * 1024 * 1024;

/** How long a relay has to close its side when this one has. */
const LAST_WORDS_MS = 500;

export type StreamChannelModules = {
  readonly sessions: Sessions;
  readonly serving: Pick<Serving, "serve">;
  readonly log: Log;
};

/** A relay's inference requests on one connection. Whatever breaks the rules of the frames ends it. */
export class StreamChannel implements ReplyLink {
  readonly session: Session;
  readonly #m: StreamChannelModules;
  readonly #socket: Duplex;
  readonly #reader: FrameReader;
  readonly #writer: FrameWriter;
  readonly #replies = new Map<number, StreamReply>();
  /** Replies whose last frame is not with the network yet. */
  #ending: StreamReply[] = [];
  #isClosing = false;

  constructor(modules: StreamChannelModules, session: Session, socket: Duplex) {
    this.#m = modules;
    this.session = session;
    this.#socket = socket;
    this.#reader = new FrameReader(MAX_REQUEST_FRAME, (type, stream, payload) =>
      this.#onFrame(type, stream, payload),
    );
    this.#writer = new FrameWriter((bytes) => this.#send(bytes));
    socket.on("data", (chunk: Buffer) => this.#read(chunk));
    socket.on("drain", () => this.#onDrain());
    // What went wrong is told by the close that follows.
    socket.on("error", () => {});
    socket.on("end", () => socket.destroy());
    socket.once("close", () => this.#onClose());
  }

  get isWritable(): boolean {
    return this.#socket.writableLength < HIGH_WATER_BYTES;
  }

  /** Takes no more requests, and ends when the last reply has left. */
  close(): void {
    this.#isClosing = true;
    this.#endWhenIdle();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  head(stream: number, { usage = "", usageMac = "", retryAfter = "", ...rest }: HeadParameters): void {
    writeHead(this.#writer, stream, { usage, usageMac, retryAfter, ...rest });
  }

  data(stream: number, bytes: Uint8Array): void {
    this.#writer.frame(FRAME.data, stream, bytes);
  }

  end(reply: StreamReply): void {
    this.#writer.begin(FRAME.end, reply.stream, 0);
    this.#replies.delete(reply.stream);
    this.#ending.push(reply);
  }

  cut(reply: StreamReply): void {
    this.#writer.begin(FRAME.cut, reply.stream, 0);
    this.#replies.delete(reply.stream);
    reply.onGone(false);
    this.#endWhenIdle();
  }

  #read(chunk: Buffer): void {
    try {
      this.#reader.push(chunk);
    } catch (error) {
      if (error instanceof RangeError)
        this.#m.log.debug({ relayId: this.session.relayId, err: error }, "A relay's frames were junk.");
      else this.#m.log.error({ err: error }, "A request failed unexpectedly.");
      this.#socket.destroy();
    }
  }

  #onFrame(type: number, stream: number, payload: Buffer): void {
    if (this.#socket.destroyed) return;
    if (type === FRAME.request) this.#onRequest(stream, payload);
    else if (type === FRAME.window) this.#replies.get(stream)?.grant(readWindow(payload));
    else if (type === FRAME.stop) this.#onStop(stream);
    else throw new RangeError(`A relay sends no frames of type ${type}.`);
  }

  #onRequest(stream: number, payload: Buffer): void {
    if (this.#replies.has(stream) || this.#replies.size >= MAX_STREAMS)
      throw new RangeError("A stream began twice, or there are too many.");
    const { seq: number, mac, path, body } = readRequest(payload);
    const reply = new StreamReply(stream, this);
    this.#replies.set(stream, reply);
    try {
      const { sessions, serving } = this.#m;
      if (this.#isClosing) throw new AimoError("shutting_down");
      const session = sessions.find(this.session.id);
      const seq = sessions.authenticate(session, {
        ...{ session: session.id, seq: number.toString(), mac, method: "POST", path },
        bodyHash: sha256(body),
      });
      reply.begin({ session, seq, path });
      const asked = readInferUrl(URL.parse(path, "http://provider.invalid"));
      if (asked.route === "speech")
        throw new AimoError("invalid_request", { message: "Speech is answered over plain HTTP." });
      serving.serve({ relayId: session.relayId, ...asked, body }, reply);
    } catch (error) {
      reply.error(isAimoError(error) ? error : this.#unexpected(error));
    }
  }

  #unexpected(error: unknown): AimoError {
    this.#m.log.error({ err: error }, "A request failed unexpectedly.");
    return new AimoError("internal_error");
  }

  #onStop(stream: number): void {
    const reply = this.#replies.get(stream);
    if (!reply) return;
    this.#replies.delete(stream);
    reply.onGone(false);
    this.#endWhenIdle();
  }

  #send(bytes: Buffer): boolean {
    const socket = this.#socket;
    if (socket.destroyed) return true;
    const ending = this.#ending;
    if (ending.length === 0) socket.write(bytes);
    else {
      this.#ending = [];
      socket.write(bytes, (error) => {
        for (const reply of ending) reply.onGone(!error);
        this.#endWhenIdle();
      });
    }
    if (socket.writableLength > MAX_UNSENT_BYTES) socket.destroy();
    return socket.writableLength === 0;
  }

  #onDrain(): void {
    for (const reply of this.#replies.values()) {
      if (!this.isWritable) return;
      reply.flush();
    }
  }

  #onClose(): void {
    const gone = [...this.#replies.values(), ...this.#ending];
    this.#replies.clear();
    this.#ending = [];
    for (const reply of gone) reply.onGone(false);
  }

  #endWhenIdle(): void {
    if (!this.#isClosing || this.#replies.size > 0 || this.#ending.length > 0) return;
    this.#writer.flush();
    this.#socket.end();
    setTimeout(() => this.#socket.destroy(), LAST_WORDS_MS).unref();
  }
}

type HeadParameters = Pick<StreamHead, "status" | "contentType"> & Partial<StreamHead>;
