/** Reads the body of a chat completion. Fields it does not know are ignored. */

import type { CountedMessage } from "@aimo/node/tokens";
import { RequestError } from "./errors.ts";
import { type Fields, flag, integerIn, isObject, numberIn } from "./fields.ts";
import { type AnswerForm, readForm } from "./form-request.ts";
import { checkSampling } from "./sampling.ts";

/** Long enough to try long contexts, short enough to count in milliseconds. */
export const MAX_PROMPT_TOKENS = 32_768;
const MAX_COMPLETION_TOKENS = 16_384;
const DEFAULT_COMPLETION_TOKENS = 1_024;
const MAX_MESSAGES = 2_048;
const MAX_CHOICES = 8;
/** As OpenAI. */
const MAX_STOPS = 4;
const MAX_STOP_LENGTH = 256;
/** As OpenAI. */
const ROLES: ReadonlySet<unknown> = new Set(["system", "developer", "user", "assistant", "tool", "function"]);

/** What an assistant may have done without saying anything. */
const INSTEAD_OF_CONTENT = ["tool_calls", "function_call", "refusal"] as const;

export type ChatRequest = {
  readonly messages: readonly CountedMessage[];
  readonly maxTokens: number;
  readonly stops: readonly string[];
  readonly choices: number;
  readonly temperature: number;
  /** Absent: another text each time. */
  readonly seed: number | undefined;
  readonly stream: boolean;
  readonly includeUsage: boolean;
  /** As in vLLM: each chunk has the tokens of its choice so far. */
  readonly continuousUsage: boolean;
  /** As in vLLM: write on until `max_tokens`. For load tests. */
  readonly endless: boolean;
  readonly form: AnswerForm;
};

/** The checked request. */
export function readChatRequest(body: Fields): ChatRequest {
  const stream = flag(body, "stream");
  const { messages, stop, stream_options: given } = body;
  const options = given ?? {};
  if (!isObject(options)) throw new RequestError("'stream_options' must be an object.", "stream_options");
  const counted = readMessages(messages);
  checkSampling(body);
  const tokenRange = { from: 1, to: MAX_COMPLETION_TOKENS };
  const older = integerIn(body, "max_tokens", tokenRange, DEFAULT_COMPLETION_TOKENS);
  return {
    messages: counted,
    maxTokens: integerIn(body, "max_completion_tokens", tokenRange, older),
    stops: readStops(stop),
    choices: integerIn(body, "n", { from: 1, to: MAX_CHOICES }, 1),
    temperature: numberIn(body, "temperature", { from: 0, to: 2 }, 1),
    seed: integerIn(body, "seed", { from: Number.MIN_SAFE_INTEGER, to: Number.MAX_SAFE_INTEGER }, undefined),
    stream,
    includeUsage: stream && flag(options, "include_usage"),
    continuousUsage: stream && flag(options, "include_usage") && flag(options, "continuous_usage_stats"),
    endless: flag(body, "ignore_eos"),
    form: readForm(body, counted.at(-1)),
  };
}

function readMessages(value: unknown): CountedMessage[] {
  if (!Array.isArray(value) || value.length === 0 || value.length > MAX_MESSAGES) {
    throw new RequestError(`'messages' must be an array of 1 to ${MAX_MESSAGES} messages.`, "messages");
  }
  return value.map((message: unknown, i) => {
    const at = `messages[${i}]`;
    if (!isObject(message)) throw new RequestError(`'${at}' must be an object.`, at);
    const { role, content, name } = message;
    if (typeof role !== "string" || !ROLES.has(role))
      throw new RequestError(`'${at}.role' must be one of ${[...ROLES].join(", ")}.`, `${at}.role`);
    const isSilent = role === "assistant" && INSTEAD_OF_CONTENT.some((field) => message[field] != null);
    if (content == null && !isSilent) throw new RequestError(`'${at}.content' is missing.`, `${at}.content`);
    const text = readContent(content ?? "", `${at}.content`);
    return typeof name === "string" ? { role, text, name } : { role, text };
  });
}

function readContent(content: unknown, at: string): string {
  if (typeof content === "string") return content;
  if (!Array.isArray(content))
    throw new RequestError(`'${at}' must be a string or an array of text parts.`, at);
  return content
    .map((part: unknown, i) => {
      const { type, text }: Fields = isObject(part) ? part : {};
      if (type === "text" && typeof text === "string") return text;
      throw new RequestError(`'${at}[${i}]' must be a text part: this model reads text only.`, `${at}[${i}]`);
    })
    .join("");
}

function readStops(value: unknown): string[] {
  const stops: unknown[] = Array.isArray(value)
    ? value
    : value === undefined || value === null
      ? []
      : [value];
  const good = (stop: unknown): stop is string =>
    typeof stop === "string" && stop.length > 0 && stop.length <= MAX_STOP_LENGTH;
  if (stops.length > MAX_STOPS || !stops.every(good)) {
    throw new RequestError(
      `'stop' must be up to ${MAX_STOPS} strings of 1 to ${MAX_STOP_LENGTH} characters.`,
      "stop",
    );
  }
  return stops;
}
