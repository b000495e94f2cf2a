import type { CountTokens } from "./ports.ts";

/** OpenAI's chat format: 3 tokens around each message and 3 to open the reply. */
const TOKENS_PER_MESSAGE = 3;
const TOKENS_OPENING_REPLY = 3;
/** Beyond this many characters the count is carried forward: exact counting would hold up every other stream. */
const COUNTED_CHARS = 64 * 1024;

/** Prompt tokens of a chat, for the rare answer whose upstream did not count (a cut stream). */
export function countChat(
  { text, messages }: { readonly text: string; readonly messages: number },
  countTokens: CountTokens,
): number {
  const head = text.slice(0, COUNTED_CHARS);
  const counted = countTokens(head);
  const tokens = head.length === 0 ? 0 : Math.floor((counted * text.length) / head.length);
  return tokens + TOKENS_PER_MESSAGE * messages + TOKENS_OPENING_REPLY;
}
