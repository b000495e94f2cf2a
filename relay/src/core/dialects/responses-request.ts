import { invalid, isObject, type Json, objectOf, textOf, without, withoutMissing } from "./dialect.ts";

/** Requests of OpenAI's `/v1/responses` as chat completions. Nothing is stored: each request brings its whole input. */

/** Fields that are translated here, or mean nothing without a store; all others pass as they are. */
const TRANSLATED = new Set([
  ...["input", "instructions", "max_output_tokens", "tools", "tool_choice", "text", "stream", "reasoning"],
  ...[
    "store",
    "previous_response_id",
    "background",
    "conversation",
    "include",
    "truncation",
    "stream_options",
  ],
]);
/** What needs a store of earlier responses. */
const NEEDS_STORE = ["previous_response_id", "conversation"] as const;

export function chatOfResponses(body: Json): Json {
  for (const field of NEEDS_STORE)
    if (body[field] !== undefined && body[field] !== null)
      throw invalid(`${field} is not offered: this relay keeps no responses. Send the whole input.`, field);
  if (body["background"] === true)
    throw invalid("background is not offered; the batch routes run later.", "background");
  const { instructions, max_output_tokens: maxTokens, stream, reasoning } = body;
  const messages: Json[] = [];
  if (typeof instructions === "string" && instructions !== "")
    messages.push({ role: "system", content: instructions });
  messages.push(...inputOf(body["input"]));
  const tools = toolsOf(body["tools"]);
  const effort = isObject(reasoning) ? reasoning["effort"] : undefined;
  return withoutMissing({
    ...without(body, TRANSLATED),
    ...{ messages, tools, max_completion_tokens: maxTokens ?? undefined },
    tool_choice: toolChoiceOf(body["tool_choice"]),
    response_format: formatOf(body["text"]),
    reasoning_effort: effort ?? undefined,
    ...(stream === undefined ? {} : { stream }),
    ...(stream === true ? { stream_options: { include_usage: true } } : {}),
  });
}

function inputOf(input: unknown): readonly Json[] {
  if (typeof input === "string" && input !== "") return [{ role: "user", content: input }];
  if (!Array.isArray(input) || input.length === 0)
    throw invalid("input must be a non-empty string or array.", "input");
  const messages: Json[] = [];
  input.forEach((item: unknown, index) => {
    const at = `input[${index}]`;
    if (!isObject(item)) throw invalid(`${at} must be an object.`, at);
    const type = item["type"] ?? "message";
    if (type === "message") messages.push(messageOf(item, at));
    else if (type === "function_call") addCall(messages, item);
    else if (type === "function_call_output")
      messages.push({
        role: "tool",
        tool_call_id: textOf(item["call_id"]),
        content: outputOf(item["output"]),
      });
    // reasoning of an earlier turn is for whoever stored it
    else if (type !== "reasoning")
      throw invalid(`${at}: items of type "${textOf(type)}" are not offered here.`, `${at}.type`);
  });
  return messages;
}

const ROLES: Readonly<Record<string, string>> = {
  user: "user",
  assistant: "assistant",
  system: "system",
  // older servers know no developer
  developer: "system",
};

function messageOf(item: Json, at: string): Json {
  const role = ROLES[textOf(item["role"])];
  if (role === undefined)
    throw invalid(`${at}.role must be "user", "assistant", "system" or "developer".`, `${at}.role`);
  const { content } = item;
  if (typeof content === "string") return { role, content };
  if (!Array.isArray(content))
    throw invalid(`${at}.content must be a string or an array of parts.`, `${at}.content`);
  const parts = content.map((part: unknown, place) => partOf(objectOf(part), `${at}.content[${place}]`));
  const isText = parts.every(({ type }) => type === "text");
  // only users send pictures; the other roles are text in every server
  return { role, content: isText && role !== "user" ? parts.map(({ text }) => text).join("") : parts };
}

function partOf(part: Json, at: string): Json {
  const { type } = part;
  if (type === "input_text" || type === "output_text") return { type: "text", text: textOf(part["text"]) };
  if (type === "refusal") return { type: "text", text: textOf(part["refusal"]) };
  if (type !== "input_image" || typeof part["image_url"] !== "string")
    throw invalid(`${at}: parts of type "${textOf(type)}" are not offered here.`, `${at}.type`);
  const { image_url: url, detail } = part;
  return { type: "image_url", image_url: withoutMissing({ url, detail }) };
}

/** Calls of one turn stand in one message of a chat. */
function addCall(messages: Json[], item: Json): void {
  const called = { name: textOf(item["name"]), arguments: textOf(item["arguments"]) };
  const call = { id: textOf(item["call_id"]), type: "function", function: called };
  const last = messages.at(-1);
  const calls = last?.["role"] === "assistant" ? last["tool_calls"] : undefined;
  if (last?.["role"] !== "assistant") messages.push({ role: "assistant", content: null, tool_calls: [call] });
  else
    messages[messages.length - 1] = { ...last, tool_calls: [...(Array.isArray(calls) ? calls : []), call] };
}

const outputOf = (output: unknown): string =>
  typeof output === "string" ? output : JSON.stringify(output ?? "");

function toolsOf(tools: unknown): readonly Json[] | undefined {
  if (tools === undefined || tools === null) return undefined;
  if (!Array.isArray(tools)) throw invalid("tools must be an array.", "tools");
  if (tools.length === 0) return undefined;
  return tools.map((tool: unknown, index) => {
    const { type, name, description, parameters, strict } = objectOf(tool);
    if (type !== "function" || typeof name !== "string")
      throw invalid(
        `tools[${index}] must be a function with a name; no other tools are offered.`,
        `tools[${index}]`,
      );
    const called = { name, description, parameters, strict: strict ?? undefined };
    return { type: "function", function: withoutMissing(called) };
  });
}

function toolChoiceOf(choice: unknown): unknown {
  if (!isObject(choice)) return choice ?? undefined;
  if (choice["type"] !== "function") throw invalid("tool_choice must name a function.", "tool_choice");
  return { type: "function", function: { name: choice["name"] } };
}

function formatOf(text: unknown): Json | undefined {
  const format = isObject(text) ? text["format"] : undefined;
  if (!isObject(format) || format["type"] === "text") return undefined;
  if (format["type"] !== "json_schema") return format;
  const { name, description, schema, strict } = format;
  return { type: "json_schema", json_schema: withoutMissing({ name, description, schema, strict }) };
}
