import {
  type Dialect,
  isDeeper,
  type Json,
  listOf,
  objectOf,
  saidIn,
  textOf,
  toolCallOf,
} from "./dialect.ts";
import { chatOfMessages } from "./messages-request.ts";
import { MessageStream } from "./messages-stream.ts";
import { emptyMessage, stopOf, usageOf } from "./messages-words.ts";

/** Anthropic's `/v1/messages`. Source: its published API, version 2023-06-01. */
export const messagesDialect: Dialect = {
  toChat: chatOfMessages,
  reply: messageOf,
  stream: (asked) => new MessageStream(asked),
};

function messageOf(chat: Json, asked: Json): Json {
  const [choice = {}] = listOf(chat["choices"]);
  const { reasoning, text, refusal, calls } = saidIn(objectOf(choice["message"]));
  const content: Json[] = [];
  if (reasoning !== "") content.push({ type: "thinking", thinking: reasoning, signature: "" });
  if (text + refusal !== "") content.push({ type: "text", text: text + refusal });
  calls.forEach((call, index) => {
    const { id, name, arguments: input } = toolCallOf(call, `toolu_${textOf(chat["id"])}_${index}`);
    content.push({ type: "tool_use", id, name, input: parseInput(input) });
  });
  return {
    ...emptyMessage(chat),
    content,
    ...stopOf(choice, asked, refusal !== ""),
    usage: usageOf(chat["usage"]),
    aimo: chat["aimo"],
  };
}

/** What a model wrote as a tool's input is text and may be anything. */
function parseInput(text: string): unknown {
  try {
    const input: unknown = JSON.parse(text === "" ? "{}" : text);
    return isDeeper(input) ? { text } : objectOf(input);
  } catch {
    return { text };
  }
}
