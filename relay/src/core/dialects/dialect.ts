import { AimoError } from "@aimo/protocol/errors";

/**
 * Another API's form of a chat. Its requests become chat completions before anything is held, and its replies are made
 * from what a chat replied, so every route is routed, metered and billed by the same code.
 */
export interface Dialect {
  /** The chat completion that a request means. Throws `invalid_request` naming the client's own field. */
  toChat(body: Json): Json;
  /** A whole reply from a whole chat completion. `asked` is the client's body. */
  reply(chat: Json, asked: Json): Json;
  /** Begins one streamed reply. */
  stream(asked: Json): DialectStream;
}

/** Makes one streamed reply, chunk by chunk. */
export interface DialectStream {
  /** Server-sent events for one chunk of the chat; the relay's own last chunk and its error chunk come this way too. */
  chunk(chunk: Json): string;
  /** What ends the stream. */
  done(): string;
}

export type Json = Readonly<Record<string, unknown>>;

export const isObject = (value: unknown): value is Json =>
  typeof value === "object" && value !== null && !Array.isArray(value);
export const objectOf = (value: unknown): Json => (isObject(value) ? value : {});
export const listOf = (value: unknown): readonly Json[] =>
  Array.isArray(value) ? value.map((item) => objectOf(item)) : [];
export const textOf = (value: unknown): string => (typeof value === "string" ? value : "");
export const countOf = (value: unknown): number => (typeof value === "number" ? value : 0);

/** Without the fields that are not there, so that nothing is sent as null. */
export function withoutMissing(json: Json): Json {
  return Object.fromEntries(Object.entries(json).filter(([, value]) => value !== undefined));
}

/** `json` without some of its fields. */
export function without(json: Json, fields: ReadonlySet<string>): Json {
  return Object.fromEntries(Object.entries(json).filter(([name]) => !fields.has(name)));
}

export const invalid = (message: string, param: string): AimoError =>
  new AimoError("invalid_request", { message, param });

/** One server-sent event. */
export const eventOf = (name: string, data: Json): string =>
  `event: ${name}\ndata: ${JSON.stringify(data)}\n\n`;

/** Token counts of a chat's usage. */
export function countsOf(usage: unknown) {
  const counts = objectOf(usage);
  return {
    prompt: countOf(counts["prompt_tokens"]),
    cached: countOf(objectOf(counts["prompt_tokens_details"])["cached_tokens"]),
    completion: countOf(counts["completion_tokens"]),
    reasoning: countOf(objectOf(counts["completion_tokens_details"])["reasoning_tokens"]),
    cost: counts["cost"],
  };
}

/** A tool call of a chat, whole or as a delta. */
export function toolCallOf(call: Json) {
  const called = objectOf(call["function"]);
  return { id: textOf(call["id"]), name: textOf(called["name"]), arguments: textOf(called["arguments"]) };
}
