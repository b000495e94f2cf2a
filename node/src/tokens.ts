/** Token counts, all from the o200k_base vocabulary. */

import { decode, encode } from "gpt-tokenizer";

/** Text that looks like a control token is text: users may write it, and it must be counted. */
const AS_PLAIN_TEXT = { disallowedSpecial: new Set<string>() };

/** OpenAI's chat format: 3 tokens around each message, 1 more beside a name, 3 to open the reply. */
const TOKENS_PER_MESSAGE = 3;
const TOKENS_PER_NAME = 1;
const TOKENS_OPENING_REPLY = 3;

/**
 * The tokenizer's time grows with the square of an unbroken run (100,000 letters take seconds), so longer runs are cut
 * here first. A cut can add a token; ordinary text has no such runs and is counted exactly.
 */
const LONGEST_RUN = 512;
const LONG_RUNS = new RegExp(`(\\S{${LONGEST_RUN + 1},}|\\s{${LONGEST_RUN + 1},})`);
const RUN_PIECES = new RegExp(`[^]{1,${LONGEST_RUN}}`, "gu");

/** The part of a chat message that is counted. */
export type CountedMessage = { readonly role: string; readonly text: string; readonly name?: string };

/** The token ids of `text`. */
export function tokensOf(text: string): number[] {
  const parts = text.split(LONG_RUNS);
  if (parts.length === 1) return encode(text, AS_PLAIN_TEXT);
  return parts.flatMap((part, i) => {
    const pieces = i % 2 === 0 ? [part] : (part.match(RUN_PIECES) ?? []);
    return pieces.flatMap((piece) => encode(piece, AS_PLAIN_TEXT));
  });
}

/** The text of token ids. Ids outside the vocabulary throw. */
export function textOf(tokens: readonly number[]): string {
  return decode(tokens);
}

/** How many tokens `text` has. */
export function countText(text: string): number {
  return tokensOf(text).length;
}

/** How many prompt tokens a chat has, its overhead included. */
export function countChat(messages: readonly CountedMessage[]): number {
  let total = TOKENS_OPENING_REPLY;
  for (const { role, text, name } of messages) {
    total += TOKENS_PER_MESSAGE + countText(role) + countText(text);
    if (name !== undefined) total += TOKENS_PER_NAME + countText(name);
  }
  return total;
}
