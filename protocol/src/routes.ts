import type { Address, Hex } from "viem";
import type { CompletionDetails, PromptDetails } from "./usage-details.ts";

/**
 * What a relay's HTTP interface says beyond OpenAI's own shapes. Amounts named `…_pusd` are exact decimal strings of
 * pUSD; a `cost` is a JSON number of USD, for clients that know it from other gateways. Times are as named.
 */

/** Headers of every reply of an inference route. */
export const ROUTE_HEADERS = {
  requestId: "x-request-id",
  generationId: "x-generation-id",
  /** The client's own name for a request: sent back, and kept with the generation. */
  clientRequestId: "x-client-request-id",
  idempotencyKey: "idempotency-key",
  replayed: "idempotent-replayed",
  /** "false" of a refusal: the request may have been carried out, so no client repeats it by itself. OpenAI's know it. */
  shouldRetry: "x-should-retry",
  /** What pays for a request on a SIGNED channel: `formatVoucher`. */
  voucher: "aimo-voucher",
  /** "true": the answer may be one that was kept, and is kept. The next two: for how long, and forget what is kept. */
  cache: "x-aimo-cache",
  cacheTtl: "x-aimo-cache-ttl",
  cacheClear: "x-aimo-cache-clear",
  /** Of the reply: HIT or MISS, seconds since it was kept, and the generation that it came from. */
  cacheStatus: "x-aimo-cache-status",
  cacheAge: "x-aimo-cache-age",
  cacheSourceId: "x-aimo-cache-source-id",
} as const;

export type AttemptJson = {
  readonly provider: number;
  readonly status: "ok" | "failed";
  readonly error?: string;
  readonly latency_ms: number;
};

/** The channel's totals after this request. Provisional until the provider's signed group is verified. */
export type ProvisionalTotals = {
  readonly charged_pusd: string;
  readonly pending_pusd: string;
  readonly free_pusd: string;
  /** SIGNED channels: what this request was held for, at most. */
  readonly hold_pusd?: string;
};

/** The additive `aimo` object of a reply: what a client needs to check its bill later. */
export type AimoMeta = {
  readonly request_id: string;
  readonly generation_id: string;
  readonly relay: number;
  readonly provider: { readonly id: number; readonly address: Address };
  readonly model_id: number;
  readonly price_version: number;
  /** Absent when the request is free. */
  readonly receipt_hash?: Hex;
  /** These three are absent from an answer that was kept: nothing was sent for this request. */
  readonly request_hash?: Hex;
  /** 16 bytes, drawn for this attempt: with `channel` and the body's hash they give `request_hash`. */
  readonly nonce?: Hex;
  readonly channel?: { readonly user: number; readonly epoch: number };
  /** What the request is charged. */
  readonly cost_pusd: string;
  readonly provider_cost_pusd: string;
  readonly relay_fee_pusd: string;
  readonly provisional?: ProvisionalTotals;
  readonly attempts: readonly AttemptJson[];
  readonly latency_ms: number;
  /** Completion tokens per choice at most, where the relay lowered the client's limit to what the channel covers. */
  readonly max_tokens?: number;
  /** Why a request that was served is free. */
  readonly note?: string;
  /** Set on an answer that was kept: it is free, and `generation_id` is the request that it was made and billed for. */
  readonly cached?: true;
  readonly cache_age?: number;
};

export type UsageJson = {
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  readonly total_tokens: number;
  readonly prompt_tokens_details: PromptDetails & { readonly cached_tokens: number };
  readonly completion_tokens_details?: CompletionDetails;
  readonly cost: number;
  readonly cost_details: { readonly upstream_inference_cost: number; readonly relay_fee: number };
  readonly is_byok: false;
};

export type WellKnown = {
  readonly protocol_version: number;
  readonly relay: {
    readonly id: number;
    readonly owner: Address;
    readonly signer: Address;
    readonly fee_bps: number;
    readonly bond_pusd: string;
  };
  readonly chain: {
    readonly id: number;
    readonly genesis_hash: Hex;
    readonly profile: string;
    readonly deployed_at_block: number;
  };
  readonly contracts: Readonly<Record<string, Address>>;
};

export type KeyJson = {
  readonly hash: string;
  readonly label: string;
  readonly name: string;
  readonly disabled: boolean;
  /** USD. */
  readonly limit: number | null;
  readonly limit_remaining: number | null;
  readonly limit_reset: "daily" | "weekly" | "monthly" | null;
  readonly usage: number;
  readonly usage_daily: number;
  readonly usage_weekly: number;
  readonly usage_monthly: number;
  readonly models: readonly string[] | null;
  /** The key's own limits, below its account's; null: only the account's. */
  readonly requests_per_minute?: number | null;
  /** Prompt and completion together. */
  readonly tokens_per_minute?: number | null;
  /** Requests in flight. */
  readonly max_in_flight?: number | null;
  /** Addresses and networks that may use it; null: any. */
  readonly allowed_ips?: readonly string[] | null;
  /** Whether streams end with their usage always, or where `stream_options.include_usage` asks for it. */
  readonly show_usage?: "always" | "asked";
  /** ISO 8601. */
  readonly created_at: string;
  readonly expires_at: string | null;
};

export type ChannelJson = {
  readonly relay: number;
  readonly user: number;
  readonly epoch: number;
  readonly mode: "metered" | "signed";
  readonly limit_pusd: string;
  readonly charged_pusd: string;
  readonly pending_pusd: string;
  readonly held_pusd: string;
  readonly free_pusd: string;
  readonly settled_pusd: string;
  /** What the user asked back and no request can use; not part of the limit. */
  readonly thawing_pusd?: string;
  /** When the user can have it, protocol seconds; 0 without a thaw. */
  readonly thaw_end?: number;
  /** Protocol seconds. */
  readonly settle_by?: number;
  readonly expiry?: number;
  /** SIGNED channels: the highest voucher that the relay has; it collects no more. */
  readonly voucher_pusd?: string;
  /** Why the relay charges this epoch no more (`channel_retired`); absent while it does. */
  readonly retired?: string;
};

export type CreditsJson = {
  readonly data: { readonly total_credits: number; readonly total_usage: number };
  readonly aimo: { readonly credits_pusd: string; readonly channel: ChannelJson | null };
};
