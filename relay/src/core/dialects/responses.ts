import { type Dialect, type Json, listOf, objectOf, saidIn, textOf, toolCallOf } from "./dialect.ts";
import {
  callItem,
  logprobsOf,
  messageItem,
  reasoningItem,
  refusalPart,
  responseWith,
  statusOf,
  textPart,
} from "./responses-items.ts";
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
  const { reasoning, text, refusal, calls } = saidIn(objectOf(choice["message"]));
  const id = textOf(chat["id"]);
  const finish = choice["finish_reason"] ?? "stop";
  const status = statusOf(finish);
  const content: Json[] = [];
  if (text !== "") content.push(textPart(text, logprobsOf(choice)));
  if (refusal !== "") content.push(refusalPart(refusal));
  const output: Json[] = [];
  if (reasoning !== "")
    output.push(reasoningItem(`rs_${id}_0`, "completed", [{ type: "reasoning_text", text: reasoning }]));
  if (content.length > 0) output.push(messageItem(`msg_${id}_${output.length}`, status, content));
  calls.forEach((call, place) => {
    output.push(callItem(`fc_${id}_${output.length}`, status, toolCallOf(call, `call_${id}_${place}`)));
  });
  return responseWith(chat, asked, { output, finish });
}
