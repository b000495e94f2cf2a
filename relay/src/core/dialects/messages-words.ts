import { ERRORS, type ErrorCode } from "@aimo/protocol/errors";
import { countsOf, type Json, textOf } from "./dialect.ts";

/** What a chat and an error are called in Anthropic's words. */

/** A message before anything is said. */
export const emptyMessage = (chat: Json): Json => ({
  ...{ id: textOf(chat["id"]), type: "message", role: "assistant", model: textOf(chat["model"]) },
  ...{ content: [], stop_reason: null, stop_sequence: null, usage: usageOf(undefined) },
});

/** Anthropic counts prompt tokens that were read from a cache, or written to one, apart from the others. */
export function usageOf(usage: unknown): Json {
  const { prompt, cached, written, completion, cost } = countsOf(usage);
  // The first is billed, and the second only said: together they may be more than there are.
  const created = Math.min(written, prompt - cached);
  return {
    input_tokens: prompt - cached - created,
    cache_creation_input_tokens: created,
    cache_read_input_tokens: cached,
    output_tokens: completion,
    ...(cost === undefined ? {} : { cost }),
  };
}

const STOP_REASONS = new Map([
  ["stop", "end_turn"],
  ["length", "max_tokens"],
  ["tool_calls", "tool_use"],
  ["function_call", "tool_use"],
  ["content_filter", "refusal"],
]);

/** Why a choice ended; nulls while it has not. Some servers say at which sequence they stopped. */
export function stopOf(choice: Json, asked: Json, refused: boolean): Json {
  const { finish_reason: finish, stop_reason: matched } = choice;
  if (typeof finish !== "string") return { stop_reason: null, stop_sequence: null };
  const { stop_sequences: sequences } = asked;
  if (finish === "stop" && Array.isArray(sequences) && sequences.includes(matched))
    return { stop_reason: "stop_sequence", stop_sequence: matched };
  const reason = refused ? "refusal" : (STOP_REASONS.get(finish) ?? "end_turn");
  return { stop_reason: reason, stop_sequence: null };
}

const ERROR_TYPES = new Map([
  [401, "authentication_error"],
  [402, "billing_error"],
  [403, "permission_error"],
  [404, "not_found_error"],
  [413, "request_too_large"],
  [429, "rate_limit_error"],
  [503, "overloaded_error"],
  [504, "timeout_error"],
]);

const typeOf = (status: number): string =>
  ERROR_TYPES.get(status) ?? (status < 500 ? "invalid_request_error" : "api_error");

const isCode = (code: unknown): code is ErrorCode => typeof code === "string" && Object.hasOwn(ERRORS, code);

/** An error body of ours in Anthropic's form. Our own fields stay beside its. */
export function messagesError({ error }: { readonly error: object }, requestId?: string): Json {
  const { code } = error as Json;
  const type = typeOf(isCode(code) ? ERRORS[code].status : 500);
  return { type: "error", error: { ...error, type }, ...(requestId ? { request_id: requestId } : {}) };
}
