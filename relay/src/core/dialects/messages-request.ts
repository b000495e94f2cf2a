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
import { assistantOf, textBlocks, userOf } from "./messages-blocks.ts";

/** Requests of Anthropic's `/v1/messages` as chat completions. */

/** What a chat has no word for, and an answer without it would not be what was asked. */
const NOT_OFFERED = new Map([
  ["container", ""],
  ["mcp_servers", ": tools run at the client"],
  ["inference_geo", "; name providers in `provider`"],
  ["context_management", ": send the messages that shall count"],
]);
/** Translated here, or a hint of Anthropic's own servers; all others pass as they are. */
const TRANSLATED = new Set([
  ...["messages", "system", "stop_sequences", "tools", "tool_choice", "metadata", "thinking", "stream"],
  ...["max_tokens", "output_config", "output_format", "service_tier", "stream_options"],
  ...["cache_control", "speed", "diagnostics", "betas", ...NOT_OFFERED.keys()],
]);

export function chatOfMessages(body: Json, isLimited = false): Json {
  refuseDepth(body);
  refuseFields(body, NOT_OFFERED);
  refuseChoices(body);
  const { messages, system, stop_sequences: stop, metadata, stream } = body;
  const maxTokens = tokensIn(body, "max_tokens");
  if (maxTokens === undefined && !isLimited) throw invalid("max_tokens is required.", "max_tokens");
  if (!Array.isArray(messages)) throw invalid("messages must be an array.", "messages");
  if (!isMissing(stop) && !(Array.isArray(stop) && stop.every((each) => typeof each === "string")))
    throw invalid("stop_sequences must be an array of strings.", "stop_sequences");
  return withoutMissing({
    ...without(body, TRANSLATED),
    messages: [...systemOf(system), ...messages.flatMap((message, index) => chatMessages(message, index))],
    max_tokens: maxTokens,
    stop: Array.isArray(stop) && stop.length > 0 ? stop : undefined,
    tools: isMissing(body["tools"]) ? undefined : toolsOf(body["tools"]),
    ...toolChoiceOf(body["tool_choice"]),
    user: objectOf(metadata)["user_id"],
    ...outputOf(body),
    stream,
    stream_options: stream === true ? { include_usage: true } : undefined,
  });
}

function systemOf(system: unknown): readonly Json[] {
  if (isMissing(system)) return [];
  const text = typeof system === "string" ? system : textBlocks(system, "system");
  return text === "" ? [] : [{ role: "system", content: text }];
}

/** One message is several where tools have answered: each answer is a message of a chat. */
function chatMessages(message: unknown, index: number): readonly Json[] {
  const at = `messages[${index}]`;
  if (!isObject(message)) throw invalid(`${at} must be an object.`, at);
  const { role, content } = message;
  if (role !== "user" && role !== "assistant" && role !== "system")
    throw invalid(`${at}.role must be "user", "assistant" or "system".`, `${at}.role`);
  if (typeof content === "string") return [{ role, content }];
  if (!Array.isArray(content))
    throw invalid(`${at}.content must be a string or an array of blocks.`, `${at}.content`);
  if (role === "system") return [{ role, content: textBlocks(content, `${at}.content`) }];
  const blocks = content.map((block: unknown, place) => {
    if (isObject(block) && typeof block["type"] === "string") return block;
    throw invalid(`${at}.content[${place}] must be a block with a type.`, `${at}.content[${place}]`);
  });
  if (role === "assistant") return [assistantOf(blocks, at)];
  if (blocks.length === 0) throw invalid(`${at}.content must not be empty.`, `${at}.content`);
  return userOf(blocks, at);
}

function toolsOf(tools: unknown): readonly Json[] | undefined {
  if (!Array.isArray(tools)) throw invalid("tools must be an array.", "tools");
  if (tools.length === 0) return undefined;
  return tools.map((tool: unknown, index) => {
    const at = `tools[${index}]`;
    if (!isObject(tool)) throw invalid(`${at} must be an object.`, at);
    const { type, description, input_schema: parameters, strict } = tool;
    if (!isMissing(type) && type !== "custom")
      throw invalid(
        `${at}.type: tools of type "${textOf(type)}", which a server runs, are not offered here.`,
        `${at}.type`,
      );
    const name = textIn(tool, "name", at);
    if (!isObject(parameters)) throw invalid(`${at}.input_schema must be an object.`, `${at}.input_schema`);
    return { type: "function", function: withoutMissing({ name, description, parameters, strict }) };
  });
}

const CHOICES = new Map([
  ["auto", "auto"],
  ["any", "required"],
  ["none", "none"],
]);

function toolChoiceOf(choice: unknown): Json {
  if (isMissing(choice)) return {};
  if (!isObject(choice)) throw invalid("tool_choice must be an object.", "tool_choice");
  const { type, disable_parallel_tool_use: isSerial } = choice;
  const named =
    type === "tool"
      ? { type: "function", function: { name: textIn(choice, "name", "tool_choice") } }
      : CHOICES.get(textOf(type));
  if (named === undefined)
    throw invalid('tool_choice.type must be "auto", "any", "tool" or "none".', "tool_choice.type");
  return { tool_choice: named, ...(isSerial === true ? { parallel_tool_calls: false } : {}) };
}

/** How to think, and in what form to answer. A budget of thought passes as the field that OpenRouter has for it. */
function outputOf({ thinking, output_config: config, output_format: older, service_tier: tier }: Json): Json {
  const { type, budget_tokens: budget } = objectOf(thinking);
  const { effort, format = older } = objectOf(config);
  return {
    reasoning: type === "enabled" && typeof budget === "number" ? { max_tokens: budget } : undefined,
    reasoning_effort: type === "disabled" ? undefined : effort,
    response_format: formatOf(format),
    service_tier: tier === "standard_only" ? "default" : tier,
  };
}

function formatOf(format: unknown): Json | undefined {
  if (isMissing(format)) return undefined;
  const { type, schema } = objectOf(format);
  if (type !== "json_schema" || !isObject(schema))
    throw invalid(
      'output_config.format must be of type "json_schema", with a schema.',
      "output_config.format",
    );
  return { type: "json_schema", json_schema: { name: "output", schema, strict: true } };
}
