import {
  type Dialect,
  type DialectStream,
  invalid,
  isMissing,
  isObject,
  type Json,
  listOf,
  objectOf,
  refuseDepth,
  refuseFields,
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
    choices: listOf(chat["choices"]).map((choice) =>
      textChoice(choice, objectOf(choice["message"]), new TextPlace()),
    ),
  }),
  stream: () => new CompletionStream(),
};

/** As OpenAI has it: without a limit this route writes a line, not an essay. */
const DEFAULT_MAX_TOKENS = 16;
const NOT_OFFERED = new Map([
  ["suffix", ": models are asked by a chat"],
  ["echo", ": models are asked by a chat"],
  ["messages", "; /v1/chat/completions takes them"],
  ["tools", "; /v1/chat/completions takes them"],
  ["functions", "; /v1/chat/completions takes them"],
]);
const TRANSLATED = new Set(["prompt", "best_of", "logprobs", "max_tokens", ...NOT_OFFERED.keys()]);

function chatOfPrompt(body: Json): Json {
  refuseDepth(body);
  refuseFields(body, NOT_OFFERED);
  const { prompt, best_of: bestOf, n, max_tokens: maxTokens, max_completion_tokens: newer, logprobs } = body;
  const text = Array.isArray(prompt) && prompt.length === 1 ? prompt[0] : prompt;
  if (typeof text !== "string" || text === "")
    throw invalid("prompt must be a non-empty string, or an array with one.", "prompt");
  if (typeof bestOf === "number" && bestOf > (typeof n === "number" ? n : 1))
    throw invalid("best_of above n is not offered: every choice is returned.", "best_of");
  if (!isMissing(logprobs) && typeof logprobs !== "number")
    throw invalid("logprobs must be a number.", "logprobs");
  return withoutMissing({
    ...without(body, TRANSLATED),
    messages: [{ role: "user", content: text }],
    max_tokens: maxTokens ?? (isMissing(newer) ? DEFAULT_MAX_TOKENS : undefined),
    ...(isMissing(logprobs) ? {} : { logprobs: true, top_logprobs: logprobs }),
  });
}

/** How far the text of a choice has come, in characters: this route gives each token's place. */
class TextPlace {
  offset = 0;
}

const textChoice = (choice: Json, from: Json, place: TextPlace): Json => ({
  text: textOf(from["content"]),
  index: choice["index"] ?? 0,
  logprobs: logprobsOf(choice["logprobs"], place),
  finish_reason: choice["finish_reason"] ?? null,
});

/** A chat's log probabilities in the columns of this route. */
function logprobsOf(logprobs: unknown, place: TextPlace): Json | null {
  if (!isObject(logprobs) || !Array.isArray(logprobs["content"])) return null;
  const tokens = listOf(logprobs["content"]);
  return {
    tokens: tokens.map(({ token }) => textOf(token)),
    token_logprobs: tokens.map(({ logprob }) => logprob ?? null),
    top_logprobs: tokens.map(({ top_logprobs: top }) =>
      Object.fromEntries(listOf(top).map(({ token, logprob }) => [textOf(token), logprob])),
    ),
    text_offset: tokens.map(({ token }) => {
      const at = place.offset;
      place.offset += textOf(token).length;
      return at;
    }),
  };
}

class CompletionStream implements DialectStream {
  readonly #places = new Map<unknown, TextPlace>();

  chunk(chunk: Json): string {
    const isError = isObject(chunk["error"]);
    const choices = isError ? [] : listOf(chunk["choices"]).map((choice) => this.#choice(choice));
    return `data: ${JSON.stringify({ ...chunk, object: "text_completion", choices })}\n\n`;
  }

  done(): string {
    return "data: [DONE]\n\n";
  }

  #choice(choice: Json): Json {
    const place = this.#places.get(choice["index"]) ?? new TextPlace();
    this.#places.set(choice["index"], place);
    return textChoice(choice, objectOf(choice["delta"]), place);
  }
}
