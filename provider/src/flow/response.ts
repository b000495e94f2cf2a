import { utf8Length } from "@aimo/protocol/bytes";
import { binaryResponseHash, textResponseHash } from "@aimo/protocol/receipts";
import type { UsageDetails } from "@aimo/protocol/usage-details";
import type { Hex } from "viem";
import { ChatRecord } from "../core/chat-record.ts";
import type { Route } from "../core/types.ts";
import { type Counted, type ReportedUsage, readUsage, textUnits, withCompletion } from "../core/usage.ts";

/** What a whole JSON answer of an upstream holds, as far as receipts go. */
export type JsonAnswer = Counted & {
  readonly responseHash: Hex;
  /** What the upstream said of its counts, where the answer does not say it itself. */
  readonly details?: UsageDetails;
};

/** Counts what the upstream did not. */
export type Counter = {
  /** Tokens of the request's prompt. */
  prompt(): number;
  /** Tokens of a delivered text. */
  text(delivered: string): number;
  /** Characters or milliseconds of the request's input; the upstream may have measured the seconds of a recording. */
  input(seconds: number | undefined): number;
};

type Fields = Readonly<Record<string, unknown>>;

/** Reads a parsed JSON answer of a route. Throws a RangeError when it is no such answer. */
export function readAnswer(route: Route, body: unknown, count: Counter): JsonAnswer {
  if (route === "chat") return readChat(body, count);
  const { data, usage, results, text, duration } = Object(body) as Fields;
  if (route === "transcriptions") {
    if (typeof text !== "string") throw new RangeError("The reply has no text.");
    return heardAnswer(text, count.input(secondsOf(usage, duration)));
  }
  if (route === "moderations") {
    if (!Array.isArray(results) || results.length === 0) throw new RangeError("The reply has no results.");
    const items = results.map((result) => Buffer.from(JSON.stringify(result)));
    return ofItems([count.input(undefined), 0, 1], items);
  }
  if (!Array.isArray(data)) throw new RangeError("The reply has no data.");
  if (route === "images") {
    const images = data.map(imageBytes);
    return ofItems([0, 0, images.length], images);
  }
  const prompt = readUsage(usage)?.prompt ?? count.prompt();
  return ofItems([prompt, 0, 0], data.map(vectorBytes));
}

function ofItems(units: Counted["units"], items: readonly Uint8Array[]): JsonAnswer {
  const bytes = items.reduce((sum, item) => sum + item.length, 0);
  return { units, delivered: { bytes, count: items.length }, responseHash: binaryResponseHash(items) };
}

/** A transcription. One without a word is free: nothing was delivered. */
export function heardAnswer(text: string, ms: number): JsonAnswer {
  const delivered = { bytes: utf8Length(text), count: 1 };
  return { units: [ms, 0, 0], delivered, responseHash: textResponseHash([{ text }]) };
}

/** Seconds of a recording as the upstream counted them: OpenAI's `usage`, or `duration` of its verbose answers. */
function secondsOf(usage: unknown, duration: unknown): number | undefined {
  const { type, seconds } = Object(usage) as Fields;
  const stated = Number(type === "duration" ? seconds : duration);
  return Number.isFinite(stated) && stated > 0 ? stated : undefined;
}

function readChat(body: unknown, count: Counter): JsonAnswer {
  const record = new ChatRecord();
  record.addBody(body);
  const { details: _inTheBody, ...answer } = textAnswer(record, record.frames, count);
  return answer;
}

/** Units, hash and details of the first `frames` content frames of a chat. */
export function textAnswer(record: ChatRecord, frames: number, count: Counter): JsonAnswer {
  const { choices, bytes, text, usage, uncounted } = record.deliveredUpTo(frames);
  const stated = usage
    ? withUncounted(usage, record.final, uncounted === "" ? 0 : count.text(uncounted))
    : countedUsage(record.final, text, count);
  const delivered = { bytes, count: choices.length };
  const { details } = stated;
  const responseHash = textResponseHash(choices);
  return { units: textUnits(stated), delivered, responseHash, ...(details ? { details } : {}) };
}

/** Of part of an answer: the prompt as the upstream counted it if it did, and never more completion than in all. */
function countedUsage(final: ReportedUsage | undefined, text: string, count: Counter): ReportedUsage {
  const completion = count.text(text);
  if (!final) return { prompt: count.prompt(), cached: 0, completion };
  return withCompletion(final, Math.min(final.completion, completion));
}

/** A running count, and what came after it; never more than in all. */
function withUncounted(
  usage: ReportedUsage,
  final: ReportedUsage | undefined,
  tokens: number,
): ReportedUsage {
  const completion = usage.completion + tokens;
  return { ...usage, completion: final ? Math.min(final.completion, completion) : completion };
}

/** The picture itself where the answer holds it; of one that lies elsewhere, its address. */
function imageBytes(item: unknown): Uint8Array {
  const { b64_json: base64, url } = Object(item) as Fields;
  if (typeof base64 === "string") return Buffer.from(base64, "base64");
  if (typeof url !== "string") throw new RangeError("An image of the reply has neither b64_json nor url.");
  const inline = /^data:[^,]*;base64,/.exec(url);
  return inline ? Buffer.from(url.slice(inline[0].length), "base64") : Buffer.from(url);
}

/** float32 little-endian, which is also what base64 embeddings hold. */
function vectorBytes(item: unknown): Uint8Array {
  const { embedding } = Object(item) as Fields;
  if (typeof embedding === "string") return Buffer.from(embedding, "base64");
  if (!Array.isArray(embedding) || !embedding.every((value) => typeof value === "number"))
    throw new RangeError("An embedding of the reply is no list of numbers.");
  const bytes = Buffer.alloc(4 * embedding.length);
  embedding.forEach((value, index) => bytes.writeFloatLE(value, 4 * index));
  return bytes;
}
