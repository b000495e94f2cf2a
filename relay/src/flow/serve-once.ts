import { errorBody } from "@aimo/protocol/error-body";
import { AimoError } from "@aimo/protocol/errors";
import type { Idempotency, IdempotentReply } from "./ports.ts";
import type { Serving } from "./serve.ts";
import type { ReplySink, ServeRequest } from "./serve-ports.ts";

const EVENT_STREAM = "text/event-stream; charset=utf-8";
const JSON_TYPE = "application/json; charset=utf-8";

/** Copies what passes to a sink, up to a limit, so that it can be sent again. It goes on when the reader is gone. */
class Recorder implements ReplySink {
  readonly closed = false;
  readonly #sink: ReplySink;
  readonly #maxBytes: number;
  #chunks: Uint8Array[] = [];
  #bytes = 0;
  #contentType = JSON_TYPE;

  constructor(sink: ReplySink, maxBytes: number) {
    this.#sink = sink;
    this.#maxBytes = maxBytes;
  }

  get onClose() {
    return this.#sink.onClose;
  }
  set onClose(listener: (() => void) | undefined) {
    this.#sink.onClose = listener;
    if (this.#sink.closed) listener?.();
  }
  get onDrain() {
    return this.#sink.onDrain;
  }
  set onDrain(listener: (() => void) | undefined) {
    this.#sink.onDrain = listener;
  }

  startStream(generationId: string, contentType?: string): void {
    this.#contentType = contentType ?? EVENT_STREAM;
    if (!this.#sink.closed) this.#sink.startStream(generationId, contentType);
  }

  write(chunk: Uint8Array): boolean {
    this.#keep(chunk);
    return this.#sink.closed || this.#sink.write(chunk);
  }

  end(): void {
    if (!this.#sink.closed) this.#sink.end();
  }

  cut(): void {
    if (!this.#sink.closed) this.#sink.cut();
  }

  sendJson(generationId: string, body: string, contentType?: string): void {
    this.#contentType = contentType ?? JSON_TYPE;
    this.#keep(Buffer.from(body));
    if (!this.#sink.closed) this.#sink.sendJson(generationId, body, contentType);
  }

  /** What to send again. A reply above the limit becomes a refusal that names the generation: it was billed once. */
  reply(generationId: string): IdempotentReply {
    if (this.#bytes <= this.#maxBytes) {
      const body = Buffer.concat(this.#chunks);
      return { status: 200, contentType: this.#contentType, body, generationId };
    }
    return unkept(generationId, `its reply is above ${this.#maxBytes} bytes and was not kept.`);
  }

  #keep(chunk: Uint8Array): void {
    this.#bytes += chunk.length;
    if (this.#bytes <= this.#maxBytes) this.#chunks.push(chunk);
    else this.#chunks = [];
  }
}

/** Stands for a reply that is billed and not there. */
function unkept(generationId: string, why: string): IdempotentReply {
  const error = new AimoError("idempotency_conflict", {
    message: `The request with this key is done and billed; ${why}`,
    details: { generation_id: generationId },
  });
  const body = Buffer.from(JSON.stringify(errorBody(error)));
  return { status: error.status, contentType: JSON_TYPE, body, generationId };
}

export type ServeOnceDependencies = {
  readonly serving: Pick<Serving, "serve">;
  readonly idempotency: Idempotency;
  /** Largest reply that is kept, bytes. */
  readonly maxKeptBytes: number;
};

export type ServeOnceRequest = {
  readonly request: ServeRequest;
  /** The client's key, and the route that it was used on. */
  readonly name: string;
  readonly sink: ReplySink;
  /** What stands between the reply of a model and what is sent, and kept. */
  readonly translate: (inner: ReplySink) => ReplySink;
};

/**
 * Serves a request under an Idempotency-Key: the first time into the sink, afterwards by returning the reply of the
 * first. What is billed is kept; what was free may be tried again. Throws `request_in_progress` and
 * `idempotency_conflict`, and what `Serving.serve` throws.
 */
export async function serveOnce(
  { serving, idempotency, maxKeptBytes }: ServeOnceDependencies,
  { request, name, sink, translate }: ServeOnceRequest,
): Promise<IdempotentReply | undefined> {
  const { caller, bodyHash, contentHash } = request;
  const claimed = await idempotency.claim(caller, name, contentHash ?? bodyHash);
  if (claimed === "running") throw new AimoError("request_in_progress", { retryAfterSeconds: 1 });
  if (claimed === "conflict") throw new AimoError("idempotency_conflict");
  if (claimed !== "new") return claimed;
  const recorder = new Recorder(sink, maxKeptBytes);
  let kept: IdempotentReply | undefined;
  try {
    const { generationId, billed, rest } = await serving.serve(request, translate(recorder));
    // Written together with the bill: after a crash the request is not served, and billed, a second time.
    if (rest && billed) {
      kept = unkept(generationId, "its reply was not kept: the relay stopped before a hook gave it back.");
      idempotency.settle(caller, name, kept, "running");
    }
    await rest;
    if (billed) kept = recorder.reply(generationId);
  } finally {
    idempotency.settle(caller, name, kept);
  }
  return undefined;
}
