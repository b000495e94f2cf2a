import type { AimoMeta, AttemptJson, UsageJson } from "@aimo/protocol/routes";
import { PUSD_PER_USD, type Units } from "@aimo/protocol/units";
import { readUsageDetails } from "@aimo/protocol/usage-details";
import type { Hex } from "viem";
import type { Attempt, ChannelBalance, Offer } from "./types.ts";

/** What the relay adds to a provider's reply. */

/** USD as a JSON number: for reading, never for sums. */
export function toUsdNumber(pusd: bigint): number {
  return Number(pusd) / Number(PUSD_PER_USD);
}

export type Billing = {
  readonly units: Units;
  readonly cost: bigint;
  readonly charge: bigint;
  readonly receiptHash: Hex;
};

/** Usage as it is billed. `stated`: where the inference server's own details are, if there are any. */
export function usageJson(
  { units, cost, charge }: Pick<Billing, "units" | "cost" | "charge">,
  stated?: unknown,
): UsageJson {
  const prompt = units[0] + units[1];
  const details = readUsageDetails(stated, { prompt, completion: units[2] });
  const { completion_tokens_details } = details;
  return {
    prompt_tokens: prompt,
    completion_tokens: units[2],
    total_tokens: prompt + units[2],
    prompt_tokens_details: { ...details.prompt_tokens_details, cached_tokens: units[1] },
    ...(completion_tokens_details ? { completion_tokens_details } : {}),
    cost: toUsdNumber(charge),
    cost_details: { upstream_inference_cost: toUsdNumber(cost), relay_fee: toUsdNumber(charge - cost) },
    is_byok: false,
  };
}

export function attemptsJson(attempts: readonly Attempt[]): AttemptJson[] {
  return attempts.map(({ providerId, status, error, latencyMs }) => ({
    provider: providerId,
    status,
    ...(error ? { error } : {}),
    latency_ms: latencyMs,
  }));
}

export type MetaParameters = {
  readonly requestId: string;
  readonly generationId: string;
  readonly relayId: number;
  readonly offer: Offer;
  readonly requestHash: Hex;
  readonly nonce: Hex;
  readonly userId: number;
  readonly epoch: number;
  /** Undefined: free. */
  readonly billing: Billing | undefined;
  readonly balance: ChannelBalance | undefined;
  /** What the request was held for, pUSD. */
  readonly hold: bigint;
  readonly attempts: readonly Attempt[];
  readonly latencyMs: number;
  /** Set when the relay lowered the client's limit. */
  readonly maxTokens: number | undefined;
  readonly note: string | undefined;
};

export function metaJson(parameters: MetaParameters): AimoMeta {
  const { offer, billing, balance, maxTokens, note } = parameters;
  const cost = billing?.cost ?? 0n;
  const charge = billing?.charge ?? 0n;
  return {
    request_id: parameters.requestId,
    generation_id: parameters.generationId,
    relay: parameters.relayId,
    provider: { id: offer.providerId, address: offer.signer },
    model_id: offer.model.modelId,
    price_version: offer.price.version,
    ...(billing ? { receipt_hash: billing.receiptHash } : {}),
    request_hash: parameters.requestHash,
    nonce: parameters.nonce,
    channel: { user: parameters.userId, epoch: parameters.epoch },
    cost_pusd: charge.toString(),
    provider_cost_pusd: cost.toString(),
    relay_fee_pusd: (charge - cost).toString(),
    ...(balance
      ? {
          provisional: {
            charged_pusd: balance.charged.toString(),
            pending_pusd: balance.pending.toString(),
            free_pusd: balance.free.toString(),
            ...(balance.voucher === undefined ? {} : { hold_pusd: parameters.hold.toString() }),
          },
        }
      : {}),
    attempts: attemptsJson(parameters.attempts),
    latency_ms: parameters.latencyMs,
    ...(maxTokens === undefined ? {} : { max_tokens: maxTokens }),
    ...(note === undefined ? {} : { note }),
  };
}

export type LastChunk = {
  readonly id: string;
  readonly created: number;
  readonly model: string;
  readonly usage: UsageJson | undefined;
  readonly aimo: AimoMeta;
};

/** The chunk that ends a stream: no choices, as OpenAI's usage chunk has none. */
export function lastChunk({ id, created, model, usage, aimo }: LastChunk): object {
  return {
    id,
    object: "chat.completion.chunk",
    created,
    model,
    choices: [],
    ...(usage ? { usage } : {}),
    aimo,
  };
}

/** The chunk that tells a client that its stream was cut. */
export function errorChunk(chunk: Omit<LastChunk, "usage">, error: object): object {
  return {
    id: chunk.id,
    object: "chat.completion.chunk",
    created: chunk.created,
    model: chunk.model,
    error,
    choices: [{ index: 0, delta: { content: "" }, finish_reason: "error" }],
    aimo: chunk.aimo,
  };
}

export type ReplyAdditions = {
  readonly usage: UsageJson;
  readonly aimo: AimoMeta;
  /** Token counts are the billed ones; otherwise the provider's own words stay and only the cost is added. */
  readonly replaceCounts: boolean;
};

/** A whole body with `usage.cost` and `aimo` in it. */
export function withAdditions(body: object, { usage, aimo, replaceCounts }: ReplyAdditions): object {
  const stated: object = usageIn(body) ?? {};
  const { cost, cost_details, is_byok } = usage;
  if (!replaceCounts) return { ...body, usage: { ...stated, cost, cost_details, is_byok }, aimo };
  const { completion_tokens_details: _stated, ...others } = stated as Readonly<Record<string, unknown>>;
  return { ...body, usage: { ...others, ...usage }, aimo };
}

/** What the inference server says of usage in its body. */
export function usageIn(body: object): object | undefined {
  return "usage" in body && typeof body.usage === "object" && body.usage !== null ? body.usage : undefined;
}
