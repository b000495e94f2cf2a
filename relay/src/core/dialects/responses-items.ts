import { countsOf, type Json, objectOf, textOf, type toolCallOf } from "./dialect.ts";

/** What a response of `/v1/responses` is made of. */

/** The response object around some output. `finish` undefined: still in progress. */
export function responseWith(
  chat: Json,
  asked: Json,
  { output, finish }: { readonly output: readonly Json[]; readonly finish: unknown },
): Json {
  const why =
    finish === "length" ? "max_output_tokens" : finish === "content_filter" ? "content_filter" : undefined;
  const { instructions, max_output_tokens, temperature, top_p, tools, tool_choice, text, metadata, user } =
    asked;
  return {
    ...{ id: responseId(textOf(chat["id"])), object: "response", created_at: chat["created"] ?? 0 },
    status: finish === undefined ? "in_progress" : why ? "incomplete" : "completed",
    ...{ error: null, incomplete_details: why ? { reason: why } : null },
    ...{ instructions: instructions ?? null, max_output_tokens: max_output_tokens ?? null },
    ...{ model: textOf(chat["model"]), output, parallel_tool_calls: asked["parallel_tool_calls"] ?? true },
    ...{ previous_response_id: null, store: false, truncation: "disabled", background: false },
    ...{ reasoning: { effort: objectOf(asked["reasoning"])["effort"] ?? null, summary: null } },
    ...{ temperature: temperature ?? 1, top_p: top_p ?? 1, text: text ?? { format: { type: "text" } } },
    ...{
      tools: tools ?? [],
      tool_choice: tool_choice ?? "auto",
      metadata: metadata ?? {},
      user: user ?? null,
    },
    usage: chat["usage"] === undefined ? null : usageOf(chat["usage"]),
    aimo: chat["aimo"],
  };
}

function usageOf(usage: unknown): Json {
  const { prompt, cached, completion, reasoning, cost } = countsOf(usage);
  return {
    ...{ input_tokens: prompt, input_tokens_details: { cached_tokens: cached } },
    ...{ output_tokens: completion, output_tokens_details: { reasoning_tokens: reasoning } },
    total_tokens: prompt + completion,
    ...(cost === undefined ? {} : { cost }),
  };
}

export const responseId = (id: string): string => `resp_${id}`;
export const messageId = (id: string): string => `msg_${id}`;
export const callId = (id: string, index: number): string => `fc_${id}_${index}`;

export function messageItem(id: string, { text, refusal }: { text: string; refusal: string }): Json {
  const content = [
    ...(text === "" ? [] : [{ type: "output_text", text, annotations: [] }]),
    ...(refusal === "" ? [] : [{ type: "refusal", refusal }]),
  ];
  return { id: messageId(id), type: "message", status: "completed", role: "assistant", content };
}

export function callItem(id: string, index: number, call: ReturnType<typeof toolCallOf>): Json {
  const { id: call_id, name, arguments: args } = call;
  return {
    ...{ id: callId(id, index), type: "function_call", status: "completed", call_id, name },
    arguments: args,
  };
}

export const reasoningItem = (id: string, text: string): Json => ({
  ...{ id: `rs_${id}`, type: "reasoning", summary: [] },
  content: [{ type: "reasoning_text", text }],
});
