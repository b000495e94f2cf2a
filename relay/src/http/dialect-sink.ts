import { errorBody } from "@aimo/protocol/error-body";
import { AimoError } from "@aimo/protocol/errors";
import type { Dialect, DialectStream, Json } from "../core/dialects/dialect.ts";
import { readFrame } from "../core/sse.ts";
import type { ReplySink } from "../flow/serve-ports.ts";

/** A sink that says in another API's words what a chat replies. It stands before the socket, so billing sees the chat. */
export class DialectSink implements ReplySink {
  readonly #inner: ReplySink;
  readonly #dialect: Dialect;
  readonly #asked: Json;
  #stream: DialectStream | undefined;
  #failed = false;

  constructor(inner: ReplySink, dialect: Dialect, asked: Json) {
    this.#inner = inner;
    this.#dialect = dialect;
    this.#asked = asked;
  }

  get closed(): boolean {
    return this.#inner.closed;
  }
  get onClose() {
    return this.#inner.onClose;
  }
  set onClose(listener: (() => void) | undefined) {
    this.#inner.onClose = listener;
  }
  get onDrain() {
    return this.#inner.onDrain;
  }
  set onDrain(listener: (() => void) | undefined) {
    this.#inner.onDrain = listener;
  }

  startStream(generationId: string): void {
    this.#stream = this.#dialect.stream(this.#asked);
    this.#inner.startStream(generationId);
  }

  /** Takes whole frames, as the relay forwards them. */
  write(frame: Uint8Array): boolean {
    const { data } = readFrame(frame);
    // a comment that keeps the connection open
    if (data === undefined || !this.#stream) return this.#inner.write(frame);
    const text = this.#failed ? "" : this.#translate(this.#stream, data);
    return text === "" || this.#inner.write(Buffer.from(text));
  }

  #translate(stream: DialectStream, data: string): string {
    try {
      return data === "[DONE]" ? stream.done() : stream.chunk(JSON.parse(data) as Json);
    } catch (cause) {
      // Nothing follows it, so that no reader takes the rest for the whole.
      this.#failed = true;
      return stream.chunk({ error: errorBody(unsayable(cause)).error });
    }
  }

  end(): void {
    this.#inner.end();
  }

  cut(): void {
    this.#inner.cut();
  }

  sendJson(generationId: string, body: string): void {
    this.#inner.sendJson(generationId, this.#rewrite(body));
  }

  #rewrite(body: string): string {
    try {
      return JSON.stringify(this.#dialect.reply(JSON.parse(body) as Json, this.#asked));
    } catch (cause) {
      throw unsayable(cause);
    }
  }
}

/** JSON can be read at any depth, and written only down to some. */
function unsayable(cause: unknown): AimoError {
  if (!(cause instanceof RangeError)) throw cause;
  return new AimoError("provider_unavailable", {
    message: "The provider's reply cannot be said in this form.",
    cause,
  });
}
