import type { CountFlag } from "./types.ts";

/** Source: protocol section 12, Counting: a count above 1.25 x the relay's own and 16 is flagged. */
const SLACK_TOKENS = 16;

/**
 * Whether a provider's count is so far above this relay's own that somebody should look at it. Tokenizers differ, so it
 * is no proof of anything: what bounds the bill is the bytes that were delivered.
 */
export function isFlagged({ stated, counted }: CountFlag): boolean {
  // 1.25 x, in integers.
  return 4 * stated > 5 * counted + 4 * SLACK_TOKENS;
}
