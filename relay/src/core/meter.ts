import { hash, toHex, utf8, utf8Length } from "@aimo/protocol/bytes";
import { otherContent, tokenDetailBytes } from "@aimo/protocol/chat-content";
import {
  binaryResponseHash,
  embeddingsResponseHash,
  type TextChoice,
  textResponseHash,
} from "@aimo/protocol/receipts";
import type { Hex } from "viem";
import { readFrame } from "./sse.ts";

/** The relay's own count of what passes through it: bytes, choices, and the hash of the content. */

/** More than any model writes in one answer; above it an upstream is broken, and the hash's text would grow without end. */
export const MAX_CONTENT_BYTES = 16 * 1024 * 1024;
/** OpenAI's own limit; a choice index above it is junk. */
export const MAX_CHOICES = 128;

type Tool = { name: string; arguments: string };
type Choice = { text: string; readonly tools: Map<number, Tool>; finishReason: string | null };
type Json = Readonly<Record<string, unknown>>;

/** What a frame is for. `usage`: the upstream's totals only. `error`: the upstream failed in the stream. */
export type FrameKind = "content" | "usage" | "error" | "none";

/** What was delivered, as the judge of a provider's statement needs it. */
export type Delivered = {
  /** UTF-8 bytes of all that an answer says, and bytes of what it shows or sounds; bytes of items for other routes. */
  readonly bytes: number;
  /** Choices, images or vectors. */
  readonly count: number;
  readonly responseHash: Hex;
};

const asObject = (value: unknown): Json =>
  typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Json) : {};
const asText = (value: unknown): string => (typeof value === "string" ? value : "");

/** Meters one chat response, streamed or whole. Throws a RangeError on junk. */
export class ChatMeter {
  readonly #choices = new Map<number, Choice>();
  /** Delivered, and in no hash. */
  #unhashed = "";
  /** Content frames so far. */
  frames = 0;
  /** Of text, tool calls and all else that a tokenizer can count. */
  bytes = 0;
  /** Of sound, pictures and what is said of tokens. They are not kept, so that nothing grows with them. */
  opaqueBytes = 0;
  /** Of the first chunk, for the chunk that the relay adds. */
  created: number | undefined;
  model: string | undefined;

  /** Takes in a whole frame of a stream. */
  addFrame(frame: Uint8Array): FrameKind {
    const { data } = readFrame(frame);
    if (data === undefined) return "none";
    const chunk = asObject(parseJson(data));
    if (chunk["error"]) return "error";
    const { choices } = chunk;
    if (!Array.isArray(choices)) throw new RangeError("A chunk of the stream has no choices.");
    if (choices.length === 0) return "usage";
    if (this.frames === 0) this.#keepHead(chunk);
    this.frames++;
    this.opaqueBytes += tokenDetailBytes(chunk);
    for (const choice of choices) this.#add(asObject(choice), "delta");
    return "content";
  }

  /** Takes in a whole body. */
  addBody(body: unknown): void {
    const whole = asObject(body);
    const { choices } = whole;
    if (!Array.isArray(choices) || choices.length === 0) throw new RangeError("The reply has no choices.");
    this.frames++;
    this.opaqueBytes += tokenDetailBytes(whole);
    for (const choice of choices) this.#add(asObject(choice), "message");
  }

  get finishReason(): string | null {
    return this.#choices.values().next().value?.finishReason ?? null;
  }

  /** The text that was delivered, for a tokenizer: of each choice apart, as the model wrote them, and what is in no hash. */
  texts(): string[] {
    const texts = Array.from(this.#choices.values(), ({ text, tools }) => {
      let all = text;
      for (const tool of tools.values()) all += tool.name + tool.arguments;
      return all;
    });
    return [...texts, this.#unhashed].filter((text) => text !== "");
  }

  /** Counts and hashes everything so far. */
  delivered(): Delivered {
    const choices: TextChoice[] = [...this.#choices]
      .sort(([a], [b]) => a - b)
      .map(([, { text, tools }]) => ({
        text,
        tools: [...tools].sort(([a], [b]) => a - b).map(([, tool]) => tool),
      }));
    return {
      bytes: this.bytes + this.opaqueBytes,
      count: choices.length,
      responseHash: textResponseHash(choices),
    };
  }

  #keepHead(chunk: Json): void {
    if (typeof chunk["created"] === "number") this.created = chunk["created"];
    if (typeof chunk["model"] === "string") this.model = chunk["model"];
  }

  #add(json: Json, field: "delta" | "message"): void {
    const index = typeof json["index"] === "number" ? json["index"] : 0;
    if (!Number.isInteger(index) || index < 0 || index >= MAX_CHOICES)
      throw new RangeError(`A choice has index ${index}; at most ${MAX_CHOICES} are served.`);
    let choice = this.#choices.get(index);
    if (!choice) {
      choice = { text: "", tools: new Map(), finishReason: null };
      this.#choices.set(index, choice);
    }
    const content = asObject(json[field]);
    const text = asText(content["content"]);
    choice.text += text;
    this.#count(text);
    const other = otherContent(content);
    this.#unhashed += other.text;
    this.#count(other.text);
    this.opaqueBytes += other.opaqueBytes + tokenDetailBytes(json);
    const calls = content["tool_calls"];
    if (Array.isArray(calls))
      for (const [at, call] of calls.entries()) this.#addTool(choice, asObject(call), at);
    if (typeof json["finish_reason"] === "string") choice.finishReason = json["finish_reason"];
  }

  #addTool(choice: Choice, call: Json, position: number): void {
    const { name, arguments: args } = asObject(call["function"]);
    const index = typeof call["index"] === "number" ? call["index"] : position;
    const tool = choice.tools.get(index) ?? { name: "", arguments: "" };
    tool.name += asText(name);
    tool.arguments += asText(args);
    choice.tools.set(index, tool);
    this.#count(asText(name));
    this.#count(asText(args));
  }

  #count(text: string): void {
    if (text === "") return;
    this.bytes += utf8Length(text);
    if (this.bytes > MAX_CONTENT_BYTES)
      throw new RangeError(`The reply is longer than ${MAX_CONTENT_BYTES} bytes of content.`);
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new RangeError("A chunk of the stream is not JSON.", { cause });
  }
}

/** Meters a reply of images or embeddings. `decodeBase64` is the runtime's own. Throws a RangeError on junk. */
export function meterItems(
  route: "embeddings" | "images",
  body: unknown,
  decodeBase64: (text: string) => Uint8Array,
): Delivered {
  const { data } = asObject(body);
  if (!Array.isArray(data) || data.length === 0) throw new RangeError("The reply has no data.");
  const items = data.map(asObject);
  if (route === "images") return metered(items.map((item) => imageBytes(item, decodeBase64)));
  const vectors = items.map(({ embedding }) => embedding);
  const isNumeric = (vector: unknown): vector is number[] =>
    Array.isArray(vector) && vector.every((value) => typeof value === "number");
  if (vectors.every(isNumeric)) {
    const bytes = vectors.reduce((sum, vector) => sum + 4 * vector.length, 0);
    return { bytes, count: vectors.length, responseHash: embeddingsResponseHash(vectors) };
  }
  // Base64 of the vector's float32 little-endian bytes: the very bytes that are hashed.
  return metered(vectors.map((vector) => decodeBase64(textOf(vector, "embedding"))));
}

function metered(items: readonly Uint8Array[]): Delivered {
  const bytes = items.reduce((sum, item) => sum + item.length, 0);
  return { bytes, count: items.length, responseHash: binaryResponseHash(items) };
}

const DATA_URL = /^data:[^,]*;base64,/;

/** Bytes of an image, or of its address where the reply holds only that. */
function imageBytes(item: Json, decodeBase64: (text: string) => Uint8Array): Uint8Array {
  if (typeof item["b64_json"] === "string") return decodeBase64(item["b64_json"]);
  const url = textOf(item["url"], "url");
  const head = DATA_URL.exec(url);
  return head ? decodeBase64(url.slice(head[0].length)) : utf8(url);
}

function textOf(value: unknown, name: string): string {
  if (typeof value !== "string") throw new RangeError(`An item of the reply has no ${name}.`);
  return value;
}

/** keccak of the client's body, as it stands in the bill. */
export const hashBody = (body: Uint8Array): Hex => toHex(hash(body));
