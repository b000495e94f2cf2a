import type { AimoMeta, UsageJson } from "@aimo/protocol/routes";
import { isObject, type Json } from "./dialects/dialect.ts";
import { usageJson } from "./reply.ts";
import { DONE_FRAME, dataFrame, readFrame } from "./sse.ts";
import type { Route } from "./types.ts";

/** Replies that are kept and given again, free: all of a reply stays, byte for byte, but what it said of its bill. */

/** What passed to a client, chunk by chunk. */
export type Recording = {
  readonly isStream: boolean;
  /** Undefined: that of its kind. */
  readonly contentType: string | undefined;
  readonly chunks: readonly Uint8Array[];
};

export type CachedReply = {
  /** The generation that it was billed as. */
  readonly sourceId: string;
  readonly isStream: boolean;
  readonly contentType: string | undefined;
  readonly bytes: Uint8Array;
  /** Where each chunk of a stream ends. */
  readonly ends: Uint32Array;
  /** What is said anew each time: the chunk that ends a chat, or the last fields of a JSON body. */
  readonly closing: Json | undefined;
  /** Bytes of memory, roughly. */
  readonly size: number;
};

const FREE: UsageJson = usageJson({ units: [0, 0, 0], cost: 0n, charge: 0n });
const COLON = 0x3a;
/** What an entry costs besides its bytes: its names, its lists, its closing words. */
const OVERHEAD_BYTES = 2_048;

/**
 * What can be kept of a reply that was billed. Undefined for one that broke off, or that the relay made shorter than was
 * asked: nobody else shall get that.
 */
export function cachedReplyOf(
  route: Route,
  sourceId: string,
  { isStream, contentType, chunks }: Recording,
): CachedReply | undefined {
  const about = { sourceId, isStream, contentType };
  if (isStream && route !== "speech") {
    const frames = chunks.filter((chunk) => chunk[0] !== COLON);
    const [last, done] = frames.slice(-2);
    const closing = last && readChunk(last);
    if (!done || !Buffer.from(done).equals(DONE_FRAME) || !closing || !isKept(closing)) return undefined;
    return packed(about, frames.slice(0, -2), closing);
  }
  if (isStream || contentType !== undefined) return packed(about, chunks, undefined);
  const body: unknown = JSON.parse(new TextDecoder().decode(joined(chunks)));
  if (!isObject(body) || !isKept(body)) return undefined;
  const { usage: _usage, aimo, ...rest } = body;
  const begun = JSON.stringify(rest).slice(0, -1) + (Object.keys(rest).length > 0 ? "," : "");
  return packed(about, [new TextEncoder().encode(begun)], { usage: FREE, aimo });
}

/** The chunks of a kept reply, in order. What is sent of a JSON body is all of them together. */
export function* chunksOf(
  reply: CachedReply,
  told: { readonly requestId: string; readonly ageSeconds: number },
): Generator<Uint8Array> {
  const { bytes, ends, closing, isStream } = reply;
  let start = 0;
  for (const end of ends) {
    yield bytes.subarray(start, end);
    start = end;
  }
  if (!closing) return;
  const aimo = freeMeta(closing["aimo"] as AimoMeta, told);
  if (isStream) {
    yield dataFrame({ ...closing, ...(closing["usage"] === undefined ? {} : { usage: FREE }), aimo });
    yield DONE_FRAME;
  } else yield new TextEncoder().encode(JSON.stringify({ ...closing, aimo }).slice(1));
}

/** Of what was said of the bill, what is still true: who made the answer. */
function freeMeta(
  { generation_id, relay, provider, model_id, price_version }: AimoMeta,
  { requestId, ageSeconds }: { readonly requestId: string; readonly ageSeconds: number },
): AimoMeta {
  return {
    ...{ request_id: requestId, generation_id, relay, provider, model_id, price_version },
    ...{ cost_pusd: "0", provider_cost_pusd: "0", relay_fee_pusd: "0" },
    ...{ attempts: [], latency_ms: 0, cached: true, cache_age: ageSeconds },
  };
}

/** Whole, and as long as was asked. */
function isKept({ aimo, error }: Json): boolean {
  return error === undefined && isObject(aimo) && aimo["max_tokens"] === undefined;
}

function readChunk(frame: Uint8Array): Json | undefined {
  const { data } = readFrame(frame);
  if (data === undefined || !data.startsWith("{")) return undefined;
  const chunk: unknown = JSON.parse(data);
  return isObject(chunk) ? chunk : undefined;
}

function packed(
  about: Pick<CachedReply, "sourceId" | "isStream" | "contentType">,
  chunks: readonly Uint8Array[],
  closing: Json | undefined,
): CachedReply {
  const ends = new Uint32Array(chunks.length);
  let end = 0;
  for (const [index, chunk] of chunks.entries()) {
    end += chunk.length;
    ends[index] = end;
  }
  // One piece of memory of its own: a chunk may be a small part of a large one.
  const bytes = joined(chunks);
  return { ...about, bytes, ends, closing, size: bytes.length + ends.byteLength + OVERHEAD_BYTES };
}

function joined(chunks: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(chunks.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.length;
  }
  return bytes;
}
