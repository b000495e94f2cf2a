import {
  type Dialect,
  type DialectStream,
  invalid,
  isObject,
  type Json,
  listOf,
  objectOf,
  textOf,
  without,
  withoutMissing,
} from "./dialect.ts";

/** OpenAI's older `/v1/completions`: one prompt, and text that goes on from it. Models here are asked by a chat. */
export const completionsDialect: Dialect = {
  toChat: chatOfPrompt,
  reply: (chat) => ({
    ...chat,
    object: "text_completion",
    choices: listOf(chat["choices"]).map((choice) => textChoice(choice, objectOf(choice["message"]))),
  }),
  stream: () => new CompletionStream(),
};

/** What a chat cannot do. */
const NOT_OFFERED = ["suffix", "echo", "logprobs"] as const;
const TRANSLATED = new Set<string>(["prompt", "best_of", ...NOT_OFFERED]);

function chatOfPrompt(body: Json): Json {
  const { prompt, best_of: bestOf, n } = body;
  const text = Array.isArray(prompt) && prompt.length === 1 ? prompt[0] : prompt;
  if (typeof text !== "string" || text === "")
    throw invalid("prompt must be a non-empty string, or an array with one.", "prompt");
  for (const field of NOT_OFFERED)
    if (body[field]) throw invalid(`${field} is not offered: models are asked by a chat.`, field);
  if (typeof bestOf === "number" && bestOf > (typeof n === "number" ? n : 1))
    throw invalid("best_of above n is not offered: every choice is returned.", "best_of");
  return withoutMissing({ ...without(body, TRANSLATED), messages: [{ role: "user", content: text }] });
}

const textChoice = (choice: Json, from: Json): Json => ({
  text: textOf(from["content"]),
  index: choice["index"] ?? 0,
  logprobs: null,
  finish_reason: choice["finish_reason"] ?? null,
});

class CompletionStream implements DialectStream {
  chunk(chunk: Json): string {
    const choices = listOf(chunk["choices"]).map((choice) => textChoice(choice, objectOf(choice["delta"])));
    const isError = isObject(chunk["error"]);
    return `data: ${JSON.stringify({ ...chunk, object: "text_completion", choices: isError ? [] : choices })}\n\n`;
  }

  done(): string {
    return "data: [DONE]\n\n";
  }
}
