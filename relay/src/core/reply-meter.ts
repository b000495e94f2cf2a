import { AudioHash } from "@aimo/protocol/audio";
import { utf8, utf8Length } from "@aimo/protocol/bytes";
import { binaryResponseHash, textResponseHash } from "@aimo/protocol/receipts";
import { isDeeper } from "./dialects/dialect.ts";
import { type Delivered, type FrameKind, meterItems } from "./meter.ts";
import type { Route } from "./types.ts";

/** The relay's own count of replies that are no chat: whole bodies, and audio as it streams. */

/** A whole reply, read: JSON that the relay adds the bill to, or a text that passes as it is. */
export type ReadReply = { readonly delivered: Delivered; readonly body: object | string };

/** Throws a RangeError or a SyntaxError on junk. */
export function readReply(
  route: Exclude<Route, "chat" | "speech">,
  { contentType, text }: { contentType: string; text: string },
  decodeBase64: (text: string) => Uint8Array,
): ReadReply {
  const isJson = contentType.startsWith("application/json");
  if (route === "transcriptions" && !isJson) return { delivered: heard(text), body: text };
  const body = parseReply(text);
  if (route === "transcriptions") {
    if (!("text" in body) || typeof body.text !== "string") throw new RangeError("The reply has no text.");
    return { delivered: heard(body.text), body };
  }
  if (route === "moderations") return { delivered: judged(body), body };
  return { delivered: meterItems(route, body, decodeBase64), body };
}

/** A reply's JSON, which the relay can write again. Throws a RangeError or a SyntaxError on junk. */
export function parseReply(text: string): object {
  const body: unknown = JSON.parse(text);
  if (typeof body !== "object" || body === null) throw new RangeError("The reply is no JSON object.");
  if (isDeeper(body)) throw new RangeError("The reply is nested too deep.");
  return body;
}

function heard(text: string): Delivered {
  return { bytes: utf8Length(text), count: 1, responseHash: textResponseHash([{ text }]) };
}

/** Each result as JSON without space: what the provider hashes too, because both read the same text. */
function judged(body: object): Delivered {
  const results: unknown = "results" in body ? body.results : undefined;
  if (!Array.isArray(results) || results.length === 0) throw new RangeError("The reply has no results.");
  const items = results.map((result) => utf8(JSON.stringify(result)));
  const bytes = items.reduce((sum, item) => sum + item.length, 0);
  return { bytes, count: items.length, responseHash: binaryResponseHash(items) };
}

/** Meters audio as it is forwarded. A frame is a whole block of it: what a provider can sign for when it is cut. */
export class AudioMeter {
  readonly #hash = new AudioHash();
  readonly finishReason = null;
  readonly created = undefined;
  readonly model = undefined;

  get frames(): number {
    return this.#hash.blocks;
  }

  addFrame(chunk: Uint8Array): FrameKind {
    this.#hash.push(chunk);
    return "content";
  }

  /** The whole blocks so far. */
  delivered(): Delivered {
    const { blocks, bytes } = this.#hash;
    return { bytes, count: 1, responseHash: this.#hash.hashOfBlocks(blocks) };
  }

  /** All of it. */
  whole(): Delivered {
    return { bytes: this.#hash.bytes, count: 1, responseHash: this.#hash.hashOfAll() };
  }
}
