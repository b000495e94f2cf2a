import {
  invalid,
  isMissing,
  isObject,
  type Json,
  objectOf,
  refuseChoices,
  refuseDepth,
  refuseFields,
  textIn,
  textOf,
  tokensIn,
  without,
  withoutMissing,
} from "./dialect.ts";
import { messagesOfInput } from "./responses-input.ts";

/** Requests of OpenAI's `/v1/responses` as chat completions. Nothing is stored: each request brings its whole input. */

const WHOLE_INPUT = ": this relay keeps no responses; send the whole input";
/** What a chat has no word for, and an answer without it would not be what was asked. */
const NOT_OFFERED = new Map([
  ["previous_response_id", WHOLE_INPUT],
  ["conversation", WHOLE_INPUT],
  ["prompt", ": this relay keeps no prompts; send the text"],
  ["context_management", ": send the items that shall count"],
  ["background", ": keep the connection open"],
  ["messages", "; /v1/chat/completions takes them"],
]);
/** Translated here, or without meaning where nothing is stored; all others pass as they are. */
const TRANSLATED = new Set([
  ...[
    "input",
    "instructions",
    "max_output_tokens",
    "max_tokens",
    "tools",
    "tool_choice",
    "text",
    "reasoning",
  ],
  ...["stream", "stream_options", "include", "truncation", "top_logprobs", "parallel_tool_calls"],
  ...["store", "metadata", "max_tool_calls", ...NOT_OFFERED.keys()],
]);

export function chatOfResponses(body: Json): Json {
  refuseDepth(body);
  refuseFields(body, NOT_OFFERED);
  refuseChoices(body);
  const { instructions, stream, text, reasoning, truncation } = body;
  if (!isMissing(instructions) && typeof instructions !== "string")
    throw invalid("instructions must be a string.", "instructions");
  if (!isMissing(truncation) && truncation !== "disabled")
    throw invalid('truncation must be "disabled": this relay drops no part of an input.', "truncation");
  const system = instructions ? [{ role: "system", content: instructions }] : [];
  const tools = toolsOf(body["tools"]);
  const { verbosity } = objectOf(text);
  return withoutMissing({
    ...without(body, TRANSLATED),
    messages: [...system, ...messagesOfInput(body["input"])],
    max_completion_tokens: tokensIn(body, "max_output_tokens"),
    // servers refuse these two where there are no tools
    ...(tools && {
      tools,
      tool_choice: toolChoiceOf(body["tool_choice"]),
      parallel_tool_calls: body["parallel_tool_calls"],
    }),
    response_format: formatOf(text),
    reasoning_effort: objectOf(reasoning)["effort"],
    verbosity,
    ...logprobsOf(body),
    stream,
    stream_options: stream === true ? { include_usage: true } : undefined,
  });
}

function logprobsOf({ include, top_logprobs: top }: Json): Json {
  const isWanted = Array.isArray(include) && include.includes("message.output_text.logprobs");
  if (isMissing(top) && !isWanted) return {};
  return { logprobs: true, top_logprobs: top };
}

function toolsOf(tools: unknown): readonly Json[] | undefined {
  if (isMissing(tools)) return undefined;
  if (!Array.isArray(tools)) throw invalid("tools must be an array.", "tools");
  if (tools.length === 0) return undefined;
  return tools.map((tool: unknown, index) => {
    const at = `tools[${index}]`;
    if (!isObject(tool)) throw invalid(`${at} must be an object.`, at);
    const { type, description, parameters, strict } = tool;
    if (type !== "function")
      throw invalid(
        `${at}.type: tools of type "${textOf(type)}" are not offered here; functions are.`,
        `${at}.type`,
      );
    const called = { name: textIn(tool, "name", at), description, parameters, strict };
    return { type: "function", function: withoutMissing(called) };
  });
}

function toolChoiceOf(choice: unknown): unknown {
  if (isMissing(choice) || typeof choice === "string") return choice;
  if (!isObject(choice) || choice["type"] !== "function")
    throw invalid('tool_choice must be "auto", "required", "none" or name a function.', "tool_choice");
  return { type: "function", function: { name: textIn(choice, "name", "tool_choice") } };
}

function formatOf(text: unknown): Json | undefined {
  const format = objectOf(text)["format"];
  if (!isObject(format) || format["type"] === "text") return undefined;
  if (format["type"] !== "json_schema") return format;
  const { name, description, schema, strict } = format;
  return { type: "json_schema", json_schema: withoutMissing({ name, description, schema, strict }) };
}
