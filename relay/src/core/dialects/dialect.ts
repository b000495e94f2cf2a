import { AimoError } from "@aimo/protocol/errors";

/**
 * Another API's form of a chat. Its requests become chat completions before anything is held, and its replies are made
 * from what a chat replied, so every route is routed, metered and billed by the same code.
 */
export interface Dialect {
  /**
   * The chat completion that a request means. `isLimited`: its limit of tokens comes from elsewhere if it has none.
   * Throws `invalid_request` naming the client's own field.
   */
  toChat(body: Json, isLimited?: boolean): Json;
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
export const isMissing = (value: unknown): value is undefined | null => value === undefined || value === null;

/** Without the fields that are not there, so that nothing is sent as null. */
export function withoutMissing(json: Json): Json {
  return Object.fromEntries(Object.entries(json).filter(([, value]) => !isMissing(value)));
}

/** `json` without some of its fields. */
export function without(json: Json, fields: ReadonlySet<string>): Json {
  return Object.fromEntries(Object.entries(json).filter(([name]) => !fields.has(name)));
}

export const invalid = (message: string, param: string): AimoError =>
  new AimoError("invalid_request", { message, param });

/** A text that must be there. Throws `invalid_request`. */
export function textIn(json: Json, field: string, at: string): string {
  const value = json[field];
  if (typeof value === "string") return value;
  throw invalid(`${at}.${field} must be a string.`, `${at}.${field}`);
}

/** Refuses what cannot be said in a chat, rather than leave it out in silence. Values: what to do instead. */
export function refuseFields(body: Json, refused: ReadonlyMap<string, string>): void {
  for (const [field, advice] of refused) {
    const value = body[field];
    if (!isMissing(value) && value !== false && value !== "")
      throw invalid(`${field} is not offered here${advice}.`, field);
  }
}

/** As much of a wrong name as is told. */
const MAX_NAME_LENGTH = 64;

/** Refuses a field of an object that nobody knows: a slip of the pen must not look like a wish that was met. */
export function refuseUnknown(json: Json, known: ReadonlySet<string>, at: string): void {
  const field = Object.keys(json).find((each) => !known.has(each));
  if (field === undefined) return;
  const name = `${at}.${field.slice(0, MAX_NAME_LENGTH)}`;
  throw invalid(`${name} is not a field that is known. There are ${[...known].join(", ")}.`, name);
}

/** No program nests its bodies so deep, and what writes JSON fails far beyond. */
const MAX_LEVELS = 128;

/** Refuses a body that could be read and not be written again. */
export function refuseDepth(body: Json): void {
  for (const [field, value] of Object.entries(body))
    if (isDeeper(value)) throw invalid(`${field} is nested deeper than ${MAX_LEVELS} levels.`, field);
}

/** Whether a value is nested deeper than may be. */
export function isDeeper(value: unknown, levels = MAX_LEVELS): boolean {
  if (typeof value !== "object" || value === null) return false;
  const values: readonly unknown[] = Array.isArray(value) ? value : Object.values(value);
  return levels === 0 || values.some((each) => isDeeper(each, levels - 1));
}

/** The other forms have one answer; a chat would be billed for all of its choices. */
export function refuseChoices({ n }: Json): void {
  if (!isMissing(n) && n !== 1) throw invalid("n must be 1: this form of reply holds one answer.", "n");
}

/** The largest that `readAsk` takes. It would name the chat's field, and the client has written another. */
const MAX_TOKENS = 10_000_000;

/** A limit of tokens, under the client's name for it. */
export function tokensIn(body: Json, field: string): number | undefined {
  const value = body[field];
  if (isMissing(value)) return undefined;
  if (typeof value === "number" && Number.isInteger(value) && value >= 1 && value <= MAX_TOKENS) return value;
  throw invalid(`${field} must be an integer from 1 to ${MAX_TOKENS}.`, field);
}

/** One server-sent event. */
export const eventOf = (name: string, data: Json): string =>
  `event: ${name}\ndata: ${JSON.stringify(data)}\n\n`;

/** Token counts of a chat's usage. */
export function countsOf(usage: unknown) {
  const counts = objectOf(usage);
  return {
    prompt: countOf(counts["prompt_tokens"]),
    cached: countOf(objectOf(counts["prompt_tokens_details"])["cached_tokens"]),
    written: countOf(objectOf(counts["prompt_tokens_details"])["cache_write_tokens"]),
    completion: countOf(counts["completion_tokens"]),
    reasoning: countOf(objectOf(counts["completion_tokens_details"])["reasoning_tokens"]),
    /** USD; absent from what the relay has not billed. */
    cost: counts["cost"],
  };
}

/** What a message of a chat, or a delta of one, says. Reasoning goes by two names. */
export function saidIn(message: Json) {
  return {
    reasoning: textOf(message["reasoning_content"]) || textOf(message["reasoning"]),
    text: textOf(message["content"]),
    refusal: textOf(message["refusal"]),
    calls: listOf(message["tool_calls"]),
  };
}

export type ToolCall = { id: string; name: string; arguments: string };

/** A tool call of a chat, whole or as a delta. Some servers give no id: the answer to a call needs one. */
export function toolCallOf(call: Json, fallbackId: string): ToolCall {
  const called = objectOf(call["function"]);
  const id = textOf(call["id"]) || fallbackId;
  return { id, name: textOf(called["name"]), arguments: textOf(called["arguments"]) };
}
