import type { AimoMeta } from "@aimo/protocol/routes";
import { AimoError, errorFromAnswer } from "./errors.ts";
import { readEvents } from "./sse.ts";
import { type Answer, chunksOf } from "./transport.ts";

/** Chunks of a streamed answer, to be read once with `for await`. Leaving the loop cancels the rest, unpaid. */
export type AimoStream<T> = AsyncIterable<T> & {
  /** Cancels the stream: what was delivered is paid, no more. */
  abort(): void;
  /** The relay's `aimo` object, once the stream is read to its end. */
  aimo(): AimoMeta | undefined;
  readonly requestId: string | undefined;
  readonly generationId: string | undefined;
};

/**
 * Reads an answer as a stream of JSON chunks up to `[DONE]`. Throws AimoError: the relay's own when it sends one in the
 * middle, `relay_unavailable` when it breaks off, `timeout`, `cancelled`.
 */
export function streamOf<T>(
  answer: Answer,
  onEnd: (aimo: AimoMeta | undefined) => Promise<void>,
): AimoStream<T> {
  const { deadline, requestId } = answer;
  let aimo: AimoMeta | undefined;
  let isTaken = false;

  async function* chunks(): AsyncGenerator<T> {
    if (isTaken)
      throw new AimoError("invalid_request", {
        message: "A stream can be read once; keep its chunks.",
        status: 0,
      });
    isTaken = true;
    try {
      for await (const { data } of readEvents(activeChunks(answer))) {
        if (data === "[DONE]") return;
        const chunk = parseChunk(data, requestId);
        aimo = chunk.aimo ?? aimo;
        if (chunk.error !== undefined) throw errorFromAnswer(chunk, { requestId });
        yield chunk as T;
      }
      throw new AimoError("relay_unavailable", {
        message: "The relay broke off the stream before its end.",
        status: 0,
        requestId,
      });
    } finally {
      deadline.release();
      await onEnd(aimo);
    }
  }

  return {
    [Symbol.asyncIterator]: chunks,
    abort: () => deadline.abort(),
    aimo: () => aimo,
    requestId,
    generationId: answer.generationId,
  };
}

async function* activeChunks({ response, deadline, requestId }: Answer): AsyncGenerator<Uint8Array> {
  try {
    for await (const chunk of chunksOf(response.body)) {
      deadline.extend();
      yield chunk;
    }
  } catch (cause) {
    const message = "The relay broke off the stream.";
    throw (
      deadline.errorFor(cause) ?? new AimoError("relay_unavailable", { message, status: 0, requestId, cause })
    );
  }
}

function parseChunk(data: string, requestId: string | undefined): { aimo?: AimoMeta; error?: unknown } {
  try {
    const chunk: unknown = JSON.parse(data);
    if (typeof chunk === "object" && chunk !== null) return chunk;
  } catch {
    // Falls through: not JSON, or JSON that is no object.
  }
  throw new AimoError("relay_unavailable", {
    message: "The relay sent a chunk that is not JSON.",
    status: 0,
    requestId,
  });
}
