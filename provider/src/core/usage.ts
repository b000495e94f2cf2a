import { MAX_U32, type Units } from "@aimo/protocol/units";
import { NO_DETAILS, readUsageDetails, type UsageDetails } from "@aimo/protocol/usage-details";

/**
 * A receipt may state at most one completion token per delivered UTF-8 byte, plus this many per choice for tokens
 * that print nothing. Source: protocol section 12; the relay rejects more, so the provider never signs it.
 */
export const SILENT_TOKENS_PER_CHOICE = 8;

/** What the upstream itself counted. */
export type ReportedUsage = {
  readonly prompt: number;
  readonly cached: number;
  readonly completion: number;
  /** For the client only. */
  readonly details?: UsageDetails;
};

/** Reads OpenAI's `usage` object; undefined when it is absent or its numbers make no sense. */
export function readUsage(value: unknown): ReportedUsage | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const usage = value as Record<string, unknown>;
  const prompt = usage["prompt_tokens"];
  const completion = usage["completion_tokens"] ?? 0;
  if (!isCount(prompt) || !isCount(completion)) return undefined;
  const details = usage["prompt_tokens_details"] as Record<string, unknown> | null | undefined;
  const cached = details?.["cached_tokens"];
  const counted = { prompt, completion, cached: isCount(cached) ? Math.min(cached, prompt) : 0 };
  const said = readUsageDetails(usage, counted);
  return said === NO_DETAILS ? counted : { ...counted, details: said };
}

/** The same with another count of the completion, to which its details do not belong. */
export function withCompletion(usage: ReportedUsage, completion: number): ReportedUsage {
  const { details, ...counted } = usage;
  const { prompt_tokens_details } = details ?? NO_DETAILS;
  return {
    ...counted,
    ...(prompt_tokens_details ? { details: { prompt_tokens_details } } : {}),
    completion,
  };
}

function isCount(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) >= 0 && (value as number) <= MAX_U32;
}

/** Units of a text response, completion tokens held to what the delivered bytes bear out. */
export function textUnits(
  usage: ReportedUsage,
  delivered: { readonly bytes: number; readonly choices: number },
): Units {
  if (delivered.bytes === 0) return [0, 0, 0];
  const bound = delivered.bytes + SILENT_TOKENS_PER_CHOICE * delivered.choices;
  return [usage.prompt - usage.cached, usage.cached, Math.min(usage.completion, bound)];
}
