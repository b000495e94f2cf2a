import {
  invalid,
  isMissing,
  isObject,
  type Json,
  objectOf,
  textIn,
  textOf,
  withoutMissing,
} from "./dialect.ts";

/** The input of `/v1/responses`, a text or a list of items, as messages of a chat. */

/** As many as a chat may have messages. */
const MAX_ITEMS = 10_000;

export function messagesOfInput(input: unknown): readonly Json[] {
  if (typeof input === "string" && input !== "") return [{ role: "user", content: input }];
  if (!Array.isArray(input) || input.length === 0 || input.length > MAX_ITEMS)
    throw invalid(`input must be a non-empty string, or an array of 1 to ${MAX_ITEMS} items.`, "input");
  const messages: Json[] = [];
  // The answer of a tool is text in a chat: its pictures come from the user, once all tools of a turn have answered.
  let pictures: readonly Json[] = [];
  input.forEach((item: unknown, index) => {
    const at = `input[${index}]`;
    if (!isObject(item)) throw invalid(`${at} must be an object.`, at);
    if (item["type"] === "function_call_output") {
      const { text, images } = outputOf(item["output"], `${at}.output`);
      messages.push({ role: "tool", tool_call_id: textIn(item, "call_id", at), content: text });
      pictures = [...pictures, ...images];
      return;
    }
    if (pictures.length > 0) messages.push({ role: "user", content: pictures });
    pictures = [];
    addItem(messages, item, at);
  });
  return pictures.length > 0 ? [...messages, { role: "user", content: pictures }] : messages;
}

function addItem(messages: Json[], item: Json, at: string): void {
  const type = item["type"] ?? "message";
  if (type === "message") addMessage(messages, item, at);
  else if (type === "function_call") addCall(messages, item, at);
  // What a model thought stays with whoever asked: models do not read it again.
  else if (type !== "reasoning")
    throw invalid(`${at}.type: items of type "${textOf(type)}" are not offered here.`, `${at}.type`);
}

/** Older servers know no developer. */
const ROLES = new Map([
  ["user", "user"],
  ["assistant", "assistant"],
  ["system", "system"],
  ["developer", "system"],
]);

function addMessage(messages: Json[], item: Json, at: string): void {
  const role = ROLES.get(textOf(item["role"]));
  if (role === undefined)
    throw invalid(`${at}.role must be "user", "assistant", "system" or "developer".`, `${at}.role`);
  const content = contentOf(item["content"], role, `${at}.content`);
  const last = messages.at(-1);
  // A turn that called a tool and spoke afterwards is one message of a chat.
  if (role === "assistant" && last?.["role"] === "assistant" && last["content"] === null)
    messages[messages.length - 1] = { ...last, content };
  else messages.push({ role, content });
}

function contentOf(content: unknown, role: string, at: string): unknown {
  if (typeof content === "string") return content;
  if (!Array.isArray(content)) throw invalid(`${at} must be a string or an array of parts.`, at);
  const parts = content.map((part: unknown, place) => partOf(objectOf(part), `${at}[${place}]`));
  // Only users send pictures; what the others say is plain text to every server.
  const isText = role !== "user" && parts.every(({ type }) => type === "text");
  return isText ? parts.map(({ text }) => text).join("") : parts;
}

function partOf(part: Json, at: string): Json {
  const { type, image_url: url, detail } = part;
  if (type === "input_text" || type === "output_text")
    return { type: "text", text: textIn(part, "text", at) };
  if (type === "refusal") return { type: "text", text: textIn(part, "refusal", at) };
  if (type !== "input_image")
    throw invalid(`${at}.type: parts of type "${textOf(type)}" are not offered here.`, `${at}.type`);
  if (!isMissing(part["file_id"]))
    throw invalid(`${at}.file_id is not offered here; send image_url.`, `${at}.file_id`);
  if (typeof url !== "string") throw invalid(`${at}.image_url must be a string.`, `${at}.image_url`);
  return { type: "image_url", image_url: withoutMissing({ url, detail }) };
}

/** Calls of one turn stand in one message of a chat. */
function addCall(messages: Json[], item: Json, at: string): void {
  const called = { name: textIn(item, "name", at), arguments: textIn(item, "arguments", at) };
  const call = { id: textIn(item, "call_id", at), type: "function", function: called };
  const last = messages.at(-1);
  if (last?.["role"] !== "assistant") {
    messages.push({ role: "assistant", content: null, tool_calls: [call] });
    return;
  }
  const calls: unknown = last["tool_calls"];
  messages[messages.length - 1] = { ...last, tool_calls: [...(Array.isArray(calls) ? calls : []), call] };
}

function outputOf(output: unknown, at: string): { text: string; images: readonly Json[] } {
  if (typeof output === "string") return { text: output, images: [] };
  if (!Array.isArray(output)) throw invalid(`${at} must be a string or an array of parts.`, at);
  const parts = output.map((part: unknown, place) => partOf(objectOf(part), `${at}[${place}]`));
  const texts = parts.filter(({ type }) => type === "text").map(({ text }) => text);
  return { text: texts.join("\n"), images: parts.filter(({ type }) => type !== "text") };
}
