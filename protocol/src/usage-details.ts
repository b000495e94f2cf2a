/**
 * What an inference server says of its token counts beyond those that are billed: information for the client. No money
 * hangs on it and no receipt has it, so it is only held to what is possible.
 */

/** Parts of the prompt's tokens. Those read from a cache are billed, and stand in a receipt's units. */
const PROMPT_FIELDS = [
  "cache_write_tokens",
  "audio_tokens",
  "image_tokens",
  "video_tokens",
  "text_tokens",
] as const;
/** Parts of the completion's tokens. */
const COMPLETION_FIELDS = [
  "reasoning_tokens",
  "audio_tokens",
  "image_tokens",
  "text_tokens",
  "accepted_prediction_tokens",
  "rejected_prediction_tokens",
] as const;

export type PromptDetails = { readonly [Field in (typeof PROMPT_FIELDS)[number]]?: number };
export type CompletionDetails = { readonly [Field in (typeof COMPLETION_FIELDS)[number]]?: number };
/** In OpenAI's words, as they stand in `usage`. */
export type UsageDetails = {
  readonly prompt_tokens_details?: PromptDetails;
  readonly completion_tokens_details?: CompletionDetails;
};

/** Nothing was said. */
export const NO_DETAILS: UsageDetails = {};

/**
 * The details in a `usage` object, or in what was made of one. Takes anything: unknown fields and numbers that are no
 * counts are left out, and a part is never more than the whole that it is of.
 */
export function readUsageDetails(
  usage: unknown,
  totals: { readonly prompt: number; readonly completion: number },
): UsageDetails {
  if (typeof usage !== "object" || usage === null) return NO_DETAILS;
  const { prompt_tokens_details: prompt, completion_tokens_details: completion } = usage as Json;
  const ofPrompt = readCounts(prompt, PROMPT_FIELDS, totals.prompt);
  const ofCompletion = readCounts(completion, COMPLETION_FIELDS, totals.completion);
  if (!ofPrompt && !ofCompletion) return NO_DETAILS;
  return {
    ...(ofPrompt ? { prompt_tokens_details: ofPrompt } : {}),
    ...(ofCompletion ? { completion_tokens_details: ofCompletion } : {}),
  };
}

type Json = Readonly<Record<string, unknown>>;

function readCounts<Field extends string>(
  details: unknown,
  fields: readonly Field[],
  most: number,
): { readonly [F in Field]?: number } | undefined {
  if (typeof details !== "object" || details === null || most === 0) return undefined;
  const counts: { [F in Field]?: number } = {};
  let isEmpty = true;
  for (const field of fields) {
    const value = Object.hasOwn(details, field) ? (details as Json)[field] : undefined;
    if (typeof value !== "number" || !Number.isInteger(value) || value < 0) continue;
    counts[field] = Math.min(value, most);
    isEmpty = false;
  }
  return isEmpty ? undefined : counts;
}
