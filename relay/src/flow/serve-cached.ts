import { hash } from "node:crypto";
import { cachedReplyOf, chunksOf } from "../core/cached-reply.ts";
import type { CacheHit, CacheRecording, ReplyCache } from "./cache-ports.ts";
import { refuseOtherModels } from "./choosing.ts";
import { Recorder } from "./recorder.ts";
import type { Serving } from "./serve.ts";
import type { ReplySink, Served, ServeRequest } from "./serve-ports.ts";

export type CacheWish = {
  readonly ttlSeconds: number;
  /** Forgets what is kept before it asks. */
  readonly clear: boolean;
  /** All that makes the answer what it is; equal for requests that are alike. */
  readonly content: string;
};

export type ServeCachedParameters = {
  readonly serving: Pick<Serving, "serve">;
  readonly cache: ReplyCache;
  readonly wish: CacheWish;
  /** Told before anything is sent. */
  readonly onFound: (hit: CacheHit | undefined) => void;
};

/**
 * Serves a request from what is kept of its account, free and without a hold, or serves it and keeps the reply. Of
 * several alike at once each is served: none waits for another, so none is hurt when another one's client leaves.
 * Throws what `Serving.serve` throws, and `permission_denied` for a key that may not use the model.
 */
export async function serveCached(
  { serving, cache, wish, onFound }: ServeCachedParameters,
  request: ServeRequest,
  sink: ReplySink,
): Promise<Served> {
  const { caller, route, ask, requestId } = request;
  refuseOtherModels(caller, ask.wanted);
  const contentHash = hash("sha256", `${route}\n${wish.content}`, "hex");
  const name = { userId: caller.userId, contentHash };
  if (wish.clear) cache.clear(name);
  const hit = cache.find(name);
  onFound(hit);
  if (hit) {
    await play(hit, requestId, sink);
    return { generationId: hit.reply.sourceId, billed: false };
  }
  return serveAndKeep({ serving, recording: cache.begin(name), wish }, request, sink);
}

type Keeping = Pick<ServeCachedParameters, "serving" | "wish"> & { readonly recording: CacheRecording };

async function serveAndKeep(
  { serving, recording, wish }: Keeping,
  request: ServeRequest,
  sink: ReplySink,
): Promise<Served> {
  const recorder = new Recorder(sink, recording.take);
  const end = ({ billed, generationId }: Served) => {
    const { chunks, isStream, contentType, wasCut } = recorder;
    const isWhole = billed && chunks !== undefined && !wasCut;
    const kept = isWhole
      ? cachedReplyOf(request.route, generationId, { isStream, contentType, chunks })
      : undefined;
    recording.end(kept, wish.ttlSeconds);
  };
  let served: Served;
  try {
    served = await serving.serve(request, recorder);
  } catch (error) {
    recording.end(undefined, wish.ttlSeconds);
    throw error;
  }
  const { rest } = served;
  if (!rest) {
    end(served);
    return served;
  }
  // A hook has the reply still.
  return { ...served, rest: rest.finally(() => end(served)) };
}

/** Sends a kept reply, no faster than it is read. */
async function play({ reply, ageSeconds }: CacheHit, requestId: string, sink: ReplySink): Promise<void> {
  if (sink.closed) return;
  const { sourceId, contentType, isStream } = reply;
  const chunks = chunksOf(reply, { requestId, ageSeconds });
  if (!isStream) {
    sink.sendJson(sourceId, Buffer.concat([...chunks]).toString(), contentType);
    return;
  }
  sink.startStream(sourceId, contentType);
  try {
    for (const chunk of chunks) {
      if (sink.closed) return;
      if (!sink.write(chunk)) await drained(sink);
    }
  } finally {
    sink.onClose = undefined;
    sink.onDrain = undefined;
  }
  sink.end();
}

async function drained(sink: ReplySink): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  sink.onDrain = resolve;
  sink.onClose = resolve;
  if (sink.closed) resolve();
  await promise;
}
