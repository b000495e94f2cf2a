import { invalid, isMissing, isObject, type Json, objectOf, textIn, textOf } from "./dialect.ts";

/** The content blocks of Anthropic's messages as messages of a chat. */

/** Texts of blocks that may be nothing else. */
export function textBlocks(content: unknown, at: string): string {
  if (!Array.isArray(content)) throw invalid(`${at} must be a string or an array of text blocks.`, at);
  return content
    .map((block: unknown, index) => textIn(objectOf(block), "text", `${at}[${index}]`))
    .join("\n\n");
}

/** One turn of the model. What it thought stays with whoever asked: models do not read it again. */
export function assistantOf(blocks: readonly Json[], at: string): Json {
  let text = "";
  const calls: Json[] = [];
  blocks.forEach((block, place) => {
    const here = `${at}.content[${place}]`;
    const { type } = block;
    if (type === "text") text += textIn(block, "text", here);
    else if (type === "tool_use") {
      const called = { name: textIn(block, "name", here), arguments: JSON.stringify(block["input"] ?? {}) };
      calls.push({ id: textIn(block, "id", here), type: "function", function: called });
    } else if (type !== "thinking" && type !== "redacted_thinking") throw unknownBlock(block, here);
  });
  if (calls.length === 0) return { role: "assistant", content: text };
  return { role: "assistant", content: text === "" ? null : text, tool_calls: calls };
}

/** What the user says, after what the tools have answered. */
export function userOf(blocks: readonly Json[], at: string): readonly Json[] {
  const answers: Json[] = [];
  const parts: Json[] = [];
  blocks.forEach((block, place) => {
    const here = `${at}.content[${place}]`;
    if (block["type"] !== "tool_result") parts.push(partOf(block, here));
    else {
      const id = textIn(block, "tool_use_id", here);
      const { text, images } = resultOf(block["content"], `${here}.content`);
      answers.push({ role: "tool", tool_call_id: id, content: text });
      // The answer of a tool is text in a chat: its pictures come right after, from the user.
      parts.push(...images);
    }
  });
  return parts.length > 0 ? [...answers, { role: "user", content: parts }] : answers;
}

function resultOf(content: unknown, at: string): { text: string; images: readonly Json[] } {
  if (isMissing(content)) return { text: "", images: [] };
  if (typeof content === "string") return { text: content, images: [] };
  if (!Array.isArray(content)) throw invalid(`${at} must be a string or an array of blocks.`, at);
  const parts = content.map((block: unknown, place) => partOf(objectOf(block), `${at}[${place}]`));
  const texts = parts.filter(({ type }) => type === "text").map(({ text }) => text);
  return { text: texts.join("\n"), images: parts.filter(({ type }) => type !== "text") };
}

function partOf(block: Json, at: string): Json {
  if (block["type"] === "text") return { type: "text", text: textIn(block, "text", at) };
  if (block["type"] !== "image") throw unknownBlock(block, at);
  return { type: "image_url", image_url: { url: imageUrl(block["source"], `${at}.source`) } };
}

function imageUrl(source: unknown, at: string): string {
  if (!isObject(source)) throw invalid(`${at} must be an object.`, at);
  if (source["type"] === "url") return textIn(source, "url", at);
  if (source["type"] !== "base64") throw invalid(`${at}.type must be "base64" or "url".`, `${at}.type`);
  return `data:${textIn(source, "media_type", at)};base64,${textIn(source, "data", at)}`;
}

const unknownBlock = (block: Json, at: string) =>
  invalid(`${at}.type: blocks of type "${textOf(block["type"])}" are not offered here.`, `${at}.type`);
