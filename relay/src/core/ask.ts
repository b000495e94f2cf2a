import { charactersOf, countCharacters } from "@aimo/protocol/audio";
import { AimoError } from "@aimo/protocol/errors";
import { isMediaPart, isOwnTemplate } from "@aimo/protocol/unit-bounds";
import { refuseDepth } from "./dialects/dialect.ts";
import { readUsd } from "./max-price.ts";
import {
  type Preferences,
  readModels,
  readPreferences,
  readSession,
  steeringFields,
  type Wanted,
} from "./preferences.ts";
import type { Route } from "./types.ts";

/** What a request asks for, as far as its route, its price and its form go. The rest of a body is the model's business. */
export type Ask = {
  readonly route: Route;
  /** Lower case, as models are registered. */
  readonly model: string;
  readonly stream: boolean;
  readonly includeUsage: boolean;
  /** Completion tokens per choice, as the client limits them. */
  readonly maxTokens: number | undefined;
  /** Choices of a chat, images, or 1. */
  readonly count: number;
  readonly bodyBytes: number;
  /** The prompt has parts that are not text, whose tokens the bytes do not bound. */
  readonly hasMedia: boolean;
  /** Characters or milliseconds of the input at most, where a route is priced by them. */
  readonly inputUnits?: number;
  /** What may serve, by priority: `model` first. */
  readonly wanted: readonly [Wanted, ...Wanted[]];
  readonly preferences: Preferences;
  /** Fields that change the answer's form: providers that name them come first. */
  readonly steering: readonly string[];
  /** The conversation, where the client names it. */
  readonly sessionId: string | undefined;
  /** What the client lets it cost at most, with the relay's fee; pUSD. */
  readonly maxCost: bigint | undefined;
};

/** OpenAI's own limits. */
const MAX_CHOICES = 128;
const MAX_IMAGES = 10;
/** Above every model's context, and small enough that choices x tokens fits u32. */
const MAX_TOKENS = 10_000_000;
const MAX_MESSAGES = 10_000;

type Json = Readonly<Record<string, unknown>>;

/**
 * Reads a parsed body, and the session that a header names. Throws `invalid_request` naming the field. Fields it does
 * not know are left to the provider.
 */
export function readAsk(route: Route, body: unknown, bodyBytes: number, sessionHeader?: unknown): Ask {
  if (!isObject(body)) throw invalid("The body must be a JSON object.");
  refuseDepth(body);
  const wanted = readModels(body);
  const stream = readFlag(body, "stream");
  const base = {
    ...{ route, model: wanted[0].model, wanted, stream, bodyBytes },
    preferences: readPreferences(body),
    steering: steeringFields(body),
    sessionId: readSession(body, sessionHeader),
    maxCost: readMaxCost(body["aimo"]),
  };
  if (route === "chat") return { ...base, ...readChat(body) };
  if (stream) throw invalid(`stream is not offered for ${route}.`, "stream");
  const plain = { includeUsage: false, maxTokens: undefined, hasMedia: false };
  // The reply is audio as it is made: a stream, though not of events.
  if (route === "speech") return { ...base, ...plain, stream: true, count: 1, inputUnits: readSpeech(body) };
  if (route === "images") {
    readText(body, "prompt");
    return { ...base, ...plain, count: readInteger(body, "n", 1, MAX_IMAGES) ?? 1 };
  }
  const { input } = body;
  const isInput = typeof input === "string" || (Array.isArray(input) && input.length > 0);
  if (!isInput) throw invalid("input must be a string or a non-empty array.", "input");
  if (route === "moderations") return { ...base, ...plain, count: 1, inputUnits: charactersOf(input) };
  return { ...base, ...plain, count: 1 };
}

/** Of the `aimo` object. A limit that the relay does not know is refused: to ignore it would be to break it. */
export function readMaxCost(aimo: unknown): bigint | undefined {
  if (aimo === undefined || aimo === null) return undefined;
  if (!isObject(aimo)) throw invalid("aimo must be an object.", "aimo");
  for (const name in aimo)
    if (name !== "max_cost") throw invalid(`aimo.${name} is not offered; aimo has max_cost.`, `aimo.${name}`);
  return readUsd(aimo["max_cost"], "aimo.max_cost");
}

/** Characters to be spoken. */
function readSpeech(body: Json): number {
  readText(body, "input");
  const { stream_format: format } = body;
  if (format !== undefined && format !== null && format !== "audio")
    throw invalid('stream_format must be "audio".', "stream_format");
  return countCharacters(body["input"] as string);
}

function readChat(body: Json): Pick<Ask, "includeUsage" | "maxTokens" | "count" | "hasMedia"> {
  const { messages } = body;
  if (!Array.isArray(messages) || messages.length === 0 || messages.length > MAX_MESSAGES)
    throw invalid(`messages must be an array of 1 to ${MAX_MESSAGES} messages.`, "messages");
  let hasMedia = isOwnTemplate(body["chat_template"]);
  messages.forEach((message: unknown, index) => {
    const at = `messages[${index}]`;
    if (!isObject(message)) throw invalid(`${at} must be an object.`, at);
    if (typeof message["role"] !== "string") throw invalid(`${at}.role must be a string.`, `${at}.role`);
    if (readContent(message["content"], `${at}.content`)) hasMedia = true;
  });
  const wanted = readInteger(body, "max_completion_tokens", 1, MAX_TOKENS);
  const older = readInteger(body, "max_tokens", 1, MAX_TOKENS);
  return {
    includeUsage: readUsageWish(body),
    maxTokens: wanted ?? older,
    count: readInteger(body, "n", 1, MAX_CHOICES) ?? 1,
    hasMedia,
  };
}

/** Whether the client wants to see usage in a stream: OpenAI's field, or OpenRouter's. Both are judged. */
function readUsageWish(body: Json): boolean {
  const inOptions = readFlagOf(body, "stream_options", "include_usage");
  return readFlagOf(body, "usage", "include") || inOptions;
}

function readFlagOf(body: Json, field: string, flag: string): boolean {
  const value = body[field];
  if (value === undefined || value === null) return false;
  if (!isObject(value)) throw invalid(`${field} must be an object.`, field);
  return readFlag(value, flag, `${field}.${flag}`);
}

/** True when a message's content has a part that is not text. */
function readContent(content: unknown, at: string): boolean {
  if (content === undefined || content === null || typeof content === "string") return false;
  if (!Array.isArray(content)) throw invalid(`${at} must be a string or an array of parts.`, at);
  return content.some((part: unknown, index) => {
    if (!isObject(part) || typeof part["type"] !== "string")
      throw invalid(`${at}[${index}] must be an object with a type.`, `${at}[${index}]`);
    return isMediaPart(part);
  });
}

function readText(body: Json, field: string): void {
  const value = body[field];
  if (typeof value !== "string" || value.length === 0)
    throw invalid(`${field} must be a non-empty string.`, field);
}

function readFlag(json: Json, field: string, name = field): boolean {
  const value = json[field];
  if (value === undefined || value === null) return false;
  if (typeof value !== "boolean") throw invalid(`${name} must be true or false.`, name);
  return value;
}

function readInteger(json: Json, field: string, from: number, to: number): number | undefined {
  const value = json[field];
  if (value === undefined || value === null) return undefined;
  if (typeof value !== "number" || !Number.isInteger(value) || value < from || value > to)
    throw invalid(`${field} must be an integer from ${from} to ${to}.`, field);
  return value;
}

function isObject(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

const invalid = (message: string, param?: string) =>
  new AimoError("invalid_request", param === undefined ? { message } : { message, param });
