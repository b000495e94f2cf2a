import type { Duplex } from "node:stream";
import { FrameReader, FrameWriter } from "@aimo/node/frames";
import {
  FRAME,
  MAX_ANSWER_FRAME,
  MAX_STREAM_BODY,
  MAX_STREAMS,
  readHead,
  STREAM_WINDOW,
  type StreamHead,
  type StreamRequest,
  writeRequest,
  writeWindow,
} from "@aimo/node/stream-frames";
import { AimoError } from "@aimo/protocol/errors";
import { Slots } from "../core/slots.ts";

/** Who sent a request gets its answer through these; never before `send` has returned. */
export interface StreamHandler {
  onStreamHead(head: StreamHead): void;
  onStreamData(chunk: Buffer): void;
  onStreamEnd(): void;
  /** It broke off, was too slow, or the connection is gone. Nothing follows. */
  onStreamError(error: AimoError): void;
}

export type ChannelTimes = { readonly firstByteMs: number; readonly idleMs: number };

/** Unsent requests above this go elsewhere. */
const HIGH_WATER_BYTES = 4 * 1024 * 1024;
/** Credit is granted in lumps: short answers need none. */
const GRANT_BYTES = STREAM_WINDOW / 2;
/** Time is counted in turns of one timer for all streams, a few to the shortest wait. */
const TURNS_PER_WAIT = 8;
const [MIN_TURN_MS, MAX_TURN_MS] = [5, 1_000];

/** One request that awaits its answer. */
export class ChannelStream {
  readonly id: number;
  readonly handler: StreamHandler;
  readonly #channel: StreamChannel;
  /** Turn of the clock at which something last came. */
  heardAt: number;
  hasHead = false;
  isPaused = false;
  /** What the provider may still send. */
  credit = STREAM_WINDOW;
  /** Taken by the handler, and not granted anew yet. */
  #taken = 0;
  /** Came while the handler wanted none: at most a window. */
  #kept: Buffer[] = [];
  #endIsKept = false;

  constructor(id: number, handler: StreamHandler, channel: StreamChannel, heardAt: number) {
    this.id = id;
    this.handler = handler;
    this.#channel = channel;
    this.heardAt = heardAt;
  }

  pause(): void {
    this.isPaused = true;
  }

  resume(): void {
    if (!this.isPaused) return;
    this.isPaused = false;
    this.heardAt = this.#channel.turn;
    while (this.#kept.length > 0 && !this.isPaused) this.#deliver(this.#kept.shift() as Buffer);
    if (this.isPaused) return;
    if (this.#endIsKept) this.#end();
    else this.#grant();
  }

  /** The answer is not wanted any more. Nothing follows. */
  abort(): void {
    this.#kept = [];
    this.#endIsKept = false;
    this.isPaused = true;
    this.#channel.stop(this);
  }

  take(chunk: Buffer): void {
    this.credit -= chunk.length;
    if (!this.hasHead || this.credit < 0) throw new RangeError("A provider sent more than it was granted.");
    // A copy: a few bytes would otherwise hold all that was read with them.
    if (this.isPaused || this.#kept.length > 0) this.#kept.push(Buffer.from(chunk));
    else this.#deliver(chunk);
  }

  end(): void {
    if (this.isPaused || this.#kept.length > 0) this.#endIsKept = true;
    else this.handler.onStreamEnd();
  }

  #end(): void {
    this.#endIsKept = false;
    this.handler.onStreamEnd();
  }

  #deliver(chunk: Buffer): void {
    this.#taken += chunk.length;
    this.handler.onStreamData(chunk);
    if (this.#taken >= GRANT_BYTES) this.#grant();
  }

  #grant(): void {
    if (this.isPaused || this.#taken < GRANT_BYTES) return;
    this.credit += this.#taken;
    this.#channel.grant(this, this.#taken);
    this.#taken = 0;
  }
}

/** Many requests to a provider on one connection, each a stream of frames. */
export class StreamChannel {
  /** Resolves when the connection is gone. */
  readonly closed: Promise<void>;
  /** Turns of the clock so far. */
  turn = 0;
  readonly #socket: Duplex;
  readonly #reader: FrameReader;
  readonly #writer: FrameWriter;
  readonly #streams = new Slots<ChannelStream>();
  readonly #clock: NodeJS.Timeout;
  readonly #turns: { readonly firstByte: number; readonly idle: number };
  #isLeaving = false;
  /** Why this side ended the connection. */
  #fault: unknown;

  constructor(socket: Duplex, { firstByteMs, idleMs }: ChannelTimes) {
    this.#socket = socket;
    this.#reader = new FrameReader(MAX_ANSWER_FRAME, (type, stream, payload) =>
      this.#onFrame(type, stream, payload),
    );
    this.#writer = new FrameWriter((bytes) => this.#send(bytes));
    const turnMs = Math.min(
      Math.max(Math.min(firstByteMs, idleMs) / TURNS_PER_WAIT, MIN_TURN_MS),
      MAX_TURN_MS,
    );
    // One more: the first turn may be almost over.
    this.#turns = {
      firstByte: Math.ceil(firstByteMs / turnMs) + 1,
      idle: Math.ceil(idleMs / turnMs) + 1,
    };
    this.#clock = setInterval(() => this.#sweep(), turnMs);
    this.#clock.unref();
    this.closed = new Promise((resolve) => socket.once("close", resolve));
    socket.on("data", (chunk: Buffer) => this.#read(chunk));
    // What went wrong is told by the close that follows.
    socket.on("error", () => {});
    socket.on("end", () => socket.destroy());
    socket.once("close", () => this.#onClose());
  }

  /** Whether a request with such a body may go this way now. */
  takes(bodyBytes: number): boolean {
    return (
      bodyBytes <= MAX_STREAM_BODY &&
      !this.#isLeaving &&
      !this.#socket.destroyed &&
      this.#streams.size < MAX_STREAMS &&
      this.#socket.writableLength < HIGH_WATER_BYTES
    );
  }

  send(request: StreamRequest, handler: StreamHandler): ChannelStream {
    const stream = this.#streams.add((id) => new ChannelStream(id, handler, this, this.turn));
    writeRequest(this.#writer, stream.id, request);
    return stream;
  }

  /** Takes no more requests, and ends with the last answer. */
  leave(): void {
    this.#isLeaving = true;
    if (this.#streams.size === 0) this.#socket.destroy();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  /** Of a stream: the provider may send so many bytes more. */
  grant({ id }: ChannelStream, credit: number): void {
    if (this.#streams.get(id)) writeWindow(this.#writer, id, credit);
  }

  /** Of a stream: tells the provider, unless all has come. */
  stop(stream: ChannelStream): void {
    if (this.#forget(stream)) this.#writer.begin(FRAME.stop, stream.id, 0);
  }

  #forget({ id }: ChannelStream): boolean {
    const wasKnown = this.#streams.delete(id);
    // Later: a last frame of the stream may follow.
    if (this.#isLeaving && this.#streams.size === 0) setImmediate(() => this.#end());
    return wasKnown;
  }

  #end(): void {
    this.#writer.flush();
    this.#socket.end(() => this.#socket.destroy());
  }

  #read(chunk: Buffer): void {
    try {
      this.#reader.push(chunk);
    } catch (error) {
      this.#fault = error;
      this.#socket.destroy();
    }
  }

  #onFrame(type: number, id: number, payload: Buffer): void {
    // What follows junk in the same read is junk.
    if (this.#socket.destroyed) return;
    const stream = this.#streams.get(id);
    if (!stream) {
      // On its way when the stream was stopped.
      if (type >= FRAME.head && type <= FRAME.cut) return;
      throw new RangeError(`A provider sends no frames of type ${type}.`);
    }
    stream.heardAt = this.turn;
    if (type === FRAME.data) stream.take(payload);
    else if (type === FRAME.end && stream.hasHead) {
      this.#forget(stream);
      stream.end();
    } else if (type === FRAME.head && !stream.hasHead) {
      stream.hasHead = true;
      stream.handler.onStreamHead(readHead(payload));
    } else if (type === FRAME.cut) {
      this.#forget(stream);
      stream.handler.onStreamError(failure("The provider broke off its answer."));
    } else throw new RangeError(`A provider sends no frames of type ${type} here.`);
  }

  #send(bytes: Buffer): boolean {
    if (this.#socket.destroyed) return true;
    this.#socket.write(bytes);
    return this.#socket.writableLength === 0;
  }

  #sweep(): void {
    this.turn++;
    for (const stream of this.#streams.all()) {
      const limit = stream.hasHead ? this.#turns.idle : this.#turns.firstByte;
      if (stream.isPaused || this.turn - stream.heardAt < limit) continue;
      stream.abort();
      stream.handler.onStreamError(
        new AimoError("timeout", { message: "The provider did not answer in time." }),
      );
    }
  }

  #onClose(): void {
    clearInterval(this.#clock);
    const streams = this.#streams.all();
    this.#streams.clear();
    for (const { handler } of streams)
      handler.onStreamError(failure("The connection to the provider failed.", this.#fault));
  }
}

const failure = (message: string, cause?: unknown) =>
  new AimoError("provider_unavailable", cause === undefined ? { message } : { message, cause });
