import { AimoError } from "@aimo/protocol/errors";
import type { UsageStatement } from "@aimo/protocol/session";
import { chargeBound } from "@aimo/protocol/units";
import type { Hex } from "viem";
import { type Judgement, judgeStatement } from "./judge.ts";
import type { Billing } from "./reply.ts";
import type { Attempt, Outcome } from "./types.ts";

/** What a request's end means for its client. */
export type Result = { readonly billing: Billing | undefined; readonly note: string | undefined };

export type OutcomeParameters = {
  readonly judgement: Judgement;
  /** The model that was asked for first. */
  readonly model: string;
  readonly nonce: Hex;
  readonly feeBps: number;
  readonly hold: bigint;
  readonly attempts: readonly Attempt[];
  readonly finishReason: string | null;
  readonly cancelled: boolean;
  readonly latencyMs: number;
  readonly generationMs: number;
};

/**
 * Turns a provider's statement into how the request ends: billed when it agrees with the relay's own count, at cost plus
 * fee and never above the hold; free for good otherwise. `why` says what is wrong with a rejected statement.
 */
export function outcomeOf(parameters: OutcomeParameters): { outcome: Outcome; result: Result; why?: string } {
  const { judgement, nonce, feeBps, hold, attempts, finishReason, cancelled } = parameters;
  const verdict = judgeStatement(judgement);
  if (!verdict.ok) {
    const note = `The provider's statement was rejected: ${verdict.why}`;
    return {
      outcome: { kind: "free", reason: "rejected", note, attempts },
      result: { billing: undefined, note },
      why: verdict.why,
    };
  }
  const { statement, offer, requestHash } = judgement;
  const { cost } = verdict;
  const bound = chargeBound(cost, feeBps);
  const charge = bound < hold ? bound : hold;
  const outcome: Outcome = {
    kind: "usage",
    providerId: offer.providerId,
    nonce,
    requestHash,
    modelId: offer.model.modelId,
    ...(offer.model.slug === parameters.model ? {} : { model: offer.model.slug }),
    priceVersion: offer.price.version,
    statement: signedOf(statement),
    charge,
    finishReason,
    cancelled,
    attempts,
    latencyMs: parameters.latencyMs,
    generationMs: parameters.generationMs,
  };
  const { units, receiptHash } = statement;
  return { outcome, result: { billing: { units, cost, charge, receiptHash }, note: undefined } };
}

/** What is kept of a statement: what a receipt will say, and nothing that a provider may have put beside it. */
function signedOf(statement: UsageStatement): UsageStatement {
  const { attempt, issuedAt, units, cost, responseHash, receiptHash } = statement;
  return { attempt, issuedAt, units, cost, responseHash, receiptHash };
}

/** What a client is told whom none of the providers served. */
export function failureOf(generationId: string, attempts: readonly Attempt[]): AimoError {
  const codes = new Set(attempts.map(({ error }) => error));
  const [only] = codes;
  const code =
    codes.size === 1 && (only === "timeout" || only === "overloaded") ? only : "provider_unavailable";
  return new AimoError(code, {
    details: {
      generation_id: generationId,
      attempts: attempts.map(({ providerId, error }) => `${providerId}: ${error}`),
    },
    ...(code === "overloaded" ? { retryAfterSeconds: 1 } : {}),
  });
}
