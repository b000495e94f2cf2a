import { invalid, isObject, type Json, textOf, without, withoutMissing } from "./dialect.ts";

/** Requests of Anthropic's `/v1/messages` as chat completions. */

/** Fields that are translated here; all others pass as they are. */
const TRANSLATED = new Set([
  ...["messages", "system", "stop_sequences", "tools", "tool_choice", "metadata", "thinking", "stream"],
]);

export function chatOfMessages(body: Json): Json {
  const { max_tokens: maxTokens, messages, system, stop_sequences: stop, metadata, thinking, stream } = body;
  if (maxTokens === undefined) throw invalid("max_tokens is required.", "max_tokens");
  if (!Array.isArray(messages)) throw invalid("messages must be an array.", "messages");
  const tools = body["tools"] === undefined ? undefined : toolsOf(body["tools"]);
  const user = isObject(metadata) ? metadata["user_id"] : undefined;
  const budget = isObject(thinking) && thinking["type"] === "enabled" ? thinking["budget_tokens"] : undefined;
  return withoutMissing({
    ...without(body, TRANSLATED),
    messages: [...systemOf(system), ...messages.flatMap((message, index) => chatMessages(message, index))],
    ...{ stop, tools, ...toolChoiceOf(body["tool_choice"]) },
    user: typeof user === "string" ? user : undefined,
    reasoning: budget === undefined ? undefined : { max_tokens: budget },
    ...(stream === undefined ? {} : { stream }),
    ...(stream === true ? { stream_options: { include_usage: true } } : {}),
  });
}

function systemOf(system: unknown): readonly Json[] {
  if (system === undefined) return [];
  if (typeof system === "string") return [{ role: "system", content: system }];
  if (!Array.isArray(system)) throw invalid("system must be a string or an array of text blocks.", "system");
  const texts = system.map((block: unknown, index) => {
    if (isObject(block) && typeof block["text"] === "string") return block["text"];
    throw invalid(`system[${index}] must be a text block.`, `system[${index}]`);
  });
  return texts.length === 0 ? [] : [{ role: "system", content: texts.join("\n\n") }];
}

/** One message is several where tools have answered: each answer is a message of a chat. */
function chatMessages(message: unknown, index: number): readonly Json[] {
  const at = `messages[${index}]`;
  if (!isObject(message)) throw invalid(`${at} must be an object.`, at);
  const { role, content } = message;
  if (role !== "user" && role !== "assistant")
    throw invalid(`${at}.role must be "user" or "assistant".`, `${at}.role`);
  if (typeof content === "string") return [{ role, content }];
  if (!Array.isArray(content))
    throw invalid(`${at}.content must be a string or an array of blocks.`, `${at}.content`);
  const blocks = content.map((block: unknown, place) => {
    if (isObject(block) && typeof block["type"] === "string") return block;
    throw invalid(`${at}.content[${place}] must be a block with a type.`, `${at}.content[${place}]`);
  });
  return role === "assistant" ? [assistantOf(blocks, at)] : userOf(blocks, at);
}

function assistantOf(blocks: readonly Json[], at: string): Json {
  const texts: string[] = [];
  const calls: Json[] = [];
  blocks.forEach((block, place) => {
    if (block["type"] === "text") texts.push(textOf(block["text"]));
    else if (block["type"] === "tool_use") {
      const called = { name: textOf(block["name"]), arguments: JSON.stringify(block["input"] ?? {}) };
      calls.push({ id: textOf(block["id"]), type: "function", function: called });
    } else if (block["type"] !== "thinking" && block["type"] !== "redacted_thinking")
      throw unknownBlock(block, `${at}.content[${place}]`);
  });
  const content = texts.length > 0 ? texts.join("") : null;
  return { role: "assistant", content, ...(calls.length > 0 ? { tool_calls: calls } : {}) };
}

function userOf(blocks: readonly Json[], at: string): readonly Json[] {
  const answers: Json[] = [];
  const parts: Json[] = [];
  blocks.forEach((block, place) => {
    const here = `${at}.content[${place}]`;
    if (block["type"] === "tool_result") {
      const content = resultText(block["content"], here);
      answers.push({ role: "tool", tool_call_id: textOf(block["tool_use_id"]), content });
    } else parts.push(partOf(block, here));
  });
  return parts.length > 0 ? [...answers, { role: "user", content: parts }] : answers;
}

function partOf(block: Json, at: string): Json {
  if (block["type"] === "text") return { type: "text", text: textOf(block["text"]) };
  if (block["type"] !== "image") throw unknownBlock(block, at);
  const source = isObject(block["source"]) ? block["source"] : {};
  if (source["type"] === "url") return { type: "image_url", image_url: { url: textOf(source["url"]) } };
  if (source["type"] !== "base64")
    throw invalid(`${at}.source.type must be "base64" or "url".`, `${at}.source.type`);
  const url = `data:${textOf(source["media_type"])};base64,${textOf(source["data"])}`;
  return { type: "image_url", image_url: { url } };
}

/** What a tool answered. A chat's tool message is text. */
function resultText(content: unknown, at: string): string {
  if (content === undefined) return "";
  if (typeof content === "string") return content;
  if (!Array.isArray(content)) throw invalid(`${at}.content must be a string or an array.`, `${at}.content`);
  return content
    .map((block: unknown, place) => {
      if (isObject(block) && block["type"] === "text") return textOf(block["text"]);
      throw unknownBlock(isObject(block) ? block : {}, `${at}.content[${place}]`);
    })
    .join("\n");
}

function toolsOf(tools: unknown): readonly Json[] {
  if (!Array.isArray(tools)) throw invalid("tools must be an array.", "tools");
  return tools.map((tool: unknown, index) => {
    const at = `tools[${index}]`;
    if (!isObject(tool) || typeof tool["name"] !== "string")
      throw invalid(`${at} must be a tool with a name.`, at);
    if (!isObject(tool["input_schema"]))
      throw invalid(`${at}.input_schema must be an object; tools that a server runs are not offered.`, at);
    const { name, description, input_schema: parameters } = tool;
    return { type: "function", function: withoutMissing({ name, description, parameters }) };
  });
}

const CHOICES: Readonly<Record<string, string>> = { auto: "auto", any: "required", none: "none" };

function toolChoiceOf(choice: unknown): Json {
  if (choice === undefined) return {};
  if (!isObject(choice)) throw invalid("tool_choice must be an object.", "tool_choice");
  const { type, name, disable_parallel_tool_use: isSerial } = choice;
  const named = type === "tool" ? { type: "function", function: { name } } : CHOICES[textOf(type)];
  if (named === undefined)
    throw invalid('tool_choice.type must be "auto", "any", "tool" or "none".', "tool_choice.type");
  return { tool_choice: named, ...(isSerial === true ? { parallel_tool_calls: false } : {}) };
}

const unknownBlock = (block: Json, at: string) =>
  invalid(`${at}: blocks of type "${textOf(block["type"])}" are not offered here.`, `${at}.type`);
