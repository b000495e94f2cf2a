import {
  countOf,
  countsOf,
  type Dialect,
  type DialectStream,
  eventOf,
  type Json,
  listOf,
  objectOf,
  textOf,
  toolCallOf,
} from "./dialect.ts";
import { chatOfMessages } from "./messages-request.ts";

/** Anthropic's `/v1/messages`. Source: its published API, version 2023-06-01. */
export const messagesDialect: Dialect = {
  toChat: chatOfMessages,
  reply: (chat) => messageOf(chat),
  stream: () => new MessageStream(),
};

const STOP_REASONS: Readonly<Record<string, string>> = {
  stop: "end_turn",
  length: "max_tokens",
  tool_calls: "tool_use",
  function_call: "tool_use",
  content_filter: "refusal",
};

const stopReasonOf = (finish: unknown): string | null =>
  typeof finish === "string" ? (STOP_REASONS[finish] ?? "end_turn") : null;

function messageOf(chat: Json): Json {
  const [choice = {}] = listOf(chat["choices"]);
  const message = objectOf(choice["message"]);
  const thinking = textOf(message["reasoning_content"]) || textOf(message["reasoning"]);
  const text = textOf(message["content"]) || textOf(message["refusal"]);
  const content: Json[] = [];
  if (thinking !== "") content.push({ type: "thinking", thinking, signature: "" });
  if (text !== "") content.push({ type: "text", text });
  for (const call of listOf(message["tool_calls"])) {
    const { id, name, arguments: input } = toolCallOf(call);
    content.push({ type: "tool_use", id, name, input: parseInput(input) });
  }
  return {
    ...emptyMessage(chat),
    content,
    stop_reason: stopReasonOf(choice["finish_reason"]),
    usage: usageOf(chat["usage"]),
    aimo: chat["aimo"],
  };
}

const emptyMessage = (chat: Json): Json => ({
  ...{
    id: textOf(chat["id"]),
    type: "message",
    role: "assistant",
    model: textOf(chat["model"]),
    content: [],
  },
  ...{ stop_reason: null, stop_sequence: null, usage: usageOf(undefined) },
});

/** Anthropic counts cached prompt tokens apart from the others. */
function usageOf(usage: unknown): Json {
  const { prompt, cached, completion, cost } = countsOf(usage);
  return {
    input_tokens: prompt - cached,
    cache_creation_input_tokens: 0,
    cache_read_input_tokens: cached,
    output_tokens: completion,
    ...(cost === undefined ? {} : { cost }),
  };
}

/** What a model wrote as a tool's input is text and may be anything. */
function parseInput(text: string): unknown {
  try {
    return objectOf(JSON.parse(text === "" ? "{}" : text));
  } catch {
    return { text };
  }
}

const ERROR_TYPES: Readonly<Record<number, string>> = {
  400: "invalid_request_error",
  401: "authentication_error",
  402: "billing_error",
  403: "permission_error",
  404: "not_found_error",
  413: "request_too_large",
  429: "rate_limit_error",
  503: "overloaded_error",
  504: "timeout_error",
};

/** An error body of ours in Anthropic's form. Our own fields stay beside it. */
export function messagesError(body: { readonly error: object }, status: number, requestId: string): Json {
  const { error } = body;
  return {
    type: "error",
    error: { ...error, type: ERROR_TYPES[status] ?? "api_error" },
    request_id: requestId,
  };
}

type Block = "thinking" | "text" | number;

/** Chunks as events: blocks are opened and closed as their kind changes. */
class MessageStream implements DialectStream {
  #index = -1;
  #open: Block | undefined;
  #hasBegun = false;
  #stopReason: string | null = null;
  #failed = false;

  chunk(chunk: Json): string {
    if (chunk["error"]) return this.#fail(objectOf(chunk["error"]));
    let out = this.#begin(chunk);
    const [choice] = listOf(chunk["choices"]);
    if (!choice) return out + this.#end(chunk);
    const delta = objectOf(choice["delta"]);
    const thinking = textOf(delta["reasoning_content"]) || textOf(delta["reasoning"]);
    if (thinking !== "") out += this.#say("thinking", { type: "thinking_delta", thinking });
    const text = textOf(delta["content"]) || textOf(delta["refusal"]);
    if (text !== "") out += this.#say("text", { type: "text_delta", text });
    for (const call of listOf(delta["tool_calls"])) out += this.#call(call);
    this.#stopReason = stopReasonOf(choice["finish_reason"]) ?? this.#stopReason;
    return out;
  }

  done(): string {
    return this.#failed ? "" : eventOf("message_stop", { type: "message_stop" });
  }

  #begin(chunk: Json): string {
    if (this.#hasBegun) return "";
    this.#hasBegun = true;
    return eventOf("message_start", { type: "message_start", message: emptyMessage(chunk) });
  }

  #call(call: Json): string {
    const place = countOf(call["index"]);
    const { id, name, arguments: input } = toolCallOf(call);
    const opened = this.#enter(place, { type: "tool_use", id, name, input: {} });
    return input === "" ? opened : opened + this.#delta({ type: "input_json_delta", partial_json: input });
  }

  #say(block: "thinking" | "text", delta: Json): string {
    const empty = block === "text" ? { text: "" } : { thinking: "", signature: "" };
    return this.#enter(block, { type: block, ...empty }) + this.#delta(delta);
  }

  #enter(block: Block, content_block: Json): string {
    if (this.#open === block) return "";
    const closed = this.#close();
    this.#open = block;
    this.#index++;
    const start = { type: "content_block_start", index: this.#index, content_block };
    return closed + eventOf("content_block_start", start);
  }

  #close(): string {
    if (this.#open === undefined) return "";
    this.#open = undefined;
    return eventOf("content_block_stop", { type: "content_block_stop", index: this.#index });
  }

  #delta(delta: Json): string {
    return eventOf("content_block_delta", { type: "content_block_delta", index: this.#index, delta });
  }

  #end(chunk: Json): string {
    const delta = { stop_reason: this.#stopReason, stop_sequence: null };
    const { usage, aimo } = chunk;
    const event = { type: "message_delta", delta, usage: usageOf(usage), aimo };
    return this.#close() + eventOf("message_delta", event);
  }

  #fail(error: Json): string {
    this.#failed = true;
    return eventOf("error", { type: "error", error: { ...error, type: "api_error" } });
  }
}
