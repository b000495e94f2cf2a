import { promptTextOf } from "../core/client-body.ts";
import type { CountTokens } from "./ports.ts";
import type { Counter } from "./response.ts";

/** OpenAI's chat format: 3 tokens around each message and 3 to open the reply. */
const TOKENS_PER_MESSAGE = 3;
const TOKENS_OPENING_REPLY = 3;
/** Beyond this many characters the count is carried forward: exact counting would hold up every other stream. */
const COUNTED_CHARS = 64 * 1024;

/**
 * Counts the prompt in `body` and delivered texts, for the rare answer whose upstream did not (a cut stream). `forget`
 * lets go of the body, which may be megabytes, when the request has ended; a prompt counted before stays known.
 */
export function createCounter(
  body: string,
  contextTokens: number,
  countTokens: CountTokens,
  input: Counter["input"] = () => 0,
): Counter & { readonly forget: () => void } {
  let held: string | undefined = body;
  let counted: number | undefined;
  return {
    prompt: () => {
      if (counted === undefined && held !== undefined)
        counted = Math.min(countChat(held, countTokens), contextTokens);
      return counted ?? 0;
    },
    text: countTokens,
    input,
    forget: () => {
      held = undefined;
    },
  };
}

function countChat(body: string, countTokens: CountTokens): number {
  const { text, messages } = promptTextOf(body);
  const head = text.slice(0, COUNTED_CHARS);
  const tokens = head === "" ? 0 : Math.floor((countTokens(head) * text.length) / head.length);
  return tokens + TOKENS_PER_MESSAGE * messages + TOKENS_OPENING_REPLY;
}
