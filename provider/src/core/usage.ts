import { type Answered, mostOutput } from "@aimo/protocol/unit-bounds";
import { MAX_U32, type Units } from "@aimo/protocol/units";
import { NO_DETAILS, readUsageDetails, type UsageDetails } from "@aimo/protocol/usage-details";
import { kindsOf } from "./prices.ts";
import type { Model } from "./types.ts";
import { type Ask, worstUnits } from "./worst-case.ts";

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

/** Units of a text response, as they were counted. */
export function textUnits({ prompt, cached, completion }: ReportedUsage): Units {
  return [prompt - cached, cached, completion];
}

/** What was counted of an answer, and what was delivered of it. */
export type Counted = { readonly units: Units; readonly delivered: Answered };

/**
 * Units as a receipt may state them: what was counted, held to what the request can cost and the delivered answer bears
 * out. The relay rejects more, and a rejected statement is paid by nobody. Cached tokens stay: they are the cheaper ones.
 */
export function statedUnits({ units, delivered }: Counted, model: Model, ask: Ask): Units {
  if (delivered.bytes === 0) return [0, 0, 0];
  const [prompt, , output] = worstUnits(model, ask);
  const cached = Math.min(units[1], prompt);
  const seen = mostOutput(kindsOf(model.route)[2], delivered, model.claims?.hiddenReasoning === true);
  return [Math.min(units[0], prompt - cached), cached, Math.min(units[2], output, seen)];
}
