import { countsOf, isDeeper, type Json, objectOf, type ToolCall, textOf } from "./dialect.ts";

/** What a response of `/v1/responses` is made of. */

/** What is said in an item, and of which kind it is. */
export type Said = { readonly text: string; readonly refusal: string; readonly logprobs: readonly unknown[] };

/** The response object around some output. `finish` undefined: still in progress. */
export function responseWith(
  chat: Json,
  asked: Json,
  { output, finish }: { readonly output: readonly Json[]; readonly finish: unknown },
): Json {
  const why = reasonOf(finish);
  const { reasoning, text, tools, tool_choice: toolChoice } = asked;
  return {
    ...{ id: `resp_${textOf(chat["id"])}`, object: "response", created_at: chat["created"] ?? 0 },
    status: finish === undefined ? "in_progress" : why ? "incomplete" : "completed",
    ...{ error: null, incomplete_details: why ? { reason: why } : null },
    ...{ model: textOf(chat["model"]), output, background: false, store: false, truncation: "disabled" },
    ...{ previous_response_id: null, max_output_tokens: asked["max_output_tokens"] ?? null },
    ...{ instructions: asked["instructions"] ?? null, metadata: asked["metadata"] ?? {} },
    ...{ parallel_tool_calls: asked["parallel_tool_calls"] ?? true, tools: tools ?? [] },
    tool_choice: toolChoice ?? "auto",
    reasoning: { effort: objectOf(reasoning)["effort"] ?? null, summary: null },
    text: { format: { type: "text" }, ...objectOf(text) },
    ...{ temperature: asked["temperature"] ?? 1, top_p: asked["top_p"] ?? 1, user: asked["user"] ?? null },
    usage: chat["usage"] === undefined ? null : usageOf(chat["usage"]),
    aimo: chat["aimo"],
  };
}

const reasonOf = (finish: unknown): string | undefined =>
  finish === "length" ? "max_output_tokens" : finish === "content_filter" ? "content_filter" : undefined;

/** How the last item stands when a choice ends so. */
export const statusOf = (finish: unknown): string =>
  reasonOf(finish) === undefined ? "completed" : "incomplete";

function usageOf(usage: unknown): Json {
  const { prompt, cached, completion, reasoning, cost } = countsOf(usage);
  return {
    ...{ input_tokens: prompt, input_tokens_details: { cached_tokens: cached } },
    ...{ output_tokens: completion, output_tokens_details: { reasoning_tokens: reasoning } },
    total_tokens: prompt + completion,
    ...(cost === undefined ? {} : { cost }),
  };
}

export const textPart = (text: string, logprobs: readonly unknown[]): Json => ({
  ...{ type: "output_text", text, annotations: [], logprobs },
});

export const refusalPart = (refusal: string): Json => ({ type: "refusal", refusal });

/** Log probabilities of a chat's tokens; none unless asked for, and none of junk that could not be written again. */
export function logprobsOf(choice: Json): readonly unknown[] {
  const { content } = objectOf(choice["logprobs"]);
  return Array.isArray(content) && !isDeeper(content) ? content : [];
}

export const messageItem = (id: string, status: string, content: readonly Json[]): Json => ({
  ...{ id, type: "message", status, role: "assistant", content },
});

export const callItem = (id: string, status: string, call: ToolCall): Json => ({
  ...{ id, type: "function_call", status, call_id: call.id, name: call.name, arguments: call.arguments },
});

export const reasoningItem = (id: string, status: string, content: readonly Json[]): Json => ({
  ...{ id, type: "reasoning", status, summary: [], content },
});
