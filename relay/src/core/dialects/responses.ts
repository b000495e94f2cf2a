import { type Dialect, type Json, listOf, objectOf, textOf, toolCallOf } from "./dialect.ts";
import { callItem, messageItem, reasoningItem, responseWith } from "./responses-items.ts";
import { chatOfResponses } from "./responses-request.ts";
import { ResponseStream } from "./responses-stream.ts";

/** OpenAI's `/v1/responses`, without a store. */
export const responsesDialect: Dialect = {
  toChat: chatOfResponses,
  reply: responseOf,
  stream: (asked) => new ResponseStream(asked),
};

function responseOf(chat: Json, asked: Json): Json {
  const [choice = {}] = listOf(chat["choices"]);
  const message = objectOf(choice["message"]);
  const id = textOf(chat["id"]);
  const output: Json[] = [];
  const reasoning = textOf(message["reasoning_content"]) || textOf(message["reasoning"]);
  if (reasoning !== "") output.push(reasoningItem(id, reasoning));
  const text = textOf(message["content"]);
  const refusal = textOf(message["refusal"]);
  if (text !== "" || refusal !== "") output.push(messageItem(id, { text, refusal }));
  listOf(message["tool_calls"]).forEach((call, index) => {
    output.push(callItem(id, index, toolCallOf(call)));
  });
  return responseWith(chat, asked, { output, finish: choice["finish_reason"] });
}
