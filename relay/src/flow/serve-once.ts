import { errorBody } from "@aimo/protocol/error-body";
import { AimoError } from "@aimo/protocol/errors";
import type { Idempotency, IdempotentReply } from "./ports.ts";
import { Recorder } from "./recorder.ts";
import type { Serving } from "./serve.ts";
import type { ReplySink, ServeRequest } from "./serve-ports.ts";

const EVENT_STREAM = "text/event-stream; charset=utf-8";
const JSON_TYPE = "application/json; charset=utf-8";

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
  let left = maxKeptBytes;
  const recorder = new Recorder(sink, (bytes) => {
    left -= bytes;
    return left >= 0;
  });
  let kept: IdempotentReply | undefined;
  try {
    const { generationId, billed, rest } = await serving.serve(request, translate(recorder));
    // Written together with the bill: after a crash the request is not served, and billed, a second time.
    if (rest && billed) {
      kept = unkept(generationId, "its reply was not kept: the relay stopped before a hook gave it back.");
      idempotency.settle(caller, name, kept, "running");
    }
    await rest;
    if (billed) kept = replyOf(recorder, generationId, maxKeptBytes);
  } finally {
    idempotency.settle(caller, name, kept);
  }
  return undefined;
}

/** What to send again. A reply above the limit becomes a refusal that names the generation: it was billed once. */
function replyOf(
  { chunks, isStream, contentType }: Recorder,
  generationId: string,
  maxKeptBytes: number,
): IdempotentReply {
  if (chunks) {
    const type = contentType ?? (isStream ? EVENT_STREAM : JSON_TYPE);
    return { status: 200, contentType: type, body: Buffer.concat(chunks), generationId };
  }
  return unkept(generationId, `its reply is above ${maxKeptBytes} bytes and was not kept.`);
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
