import type { Address } from "viem";

/** What a relay tells of models and of who serves them. Prices are decimal strings of USD. */

/** Decimal strings of USD per unit. */
export type PricingJson = {
  readonly prompt: string;
  readonly completion: string;
  readonly input_cache_read: string;
  readonly image: string;
  readonly request: string;
  /** Of what is written: speech and moderation. */
  readonly character: string;
  /** Of what is heard. */
  readonly audio_millisecond: string;
};

export type ArchitectureJson = {
  readonly input_modalities: readonly string[];
  readonly output_modalities: readonly string[];
};

/** What a provider promises of a model; absent: nothing. */
export type ProviderClaims = {
  readonly quantization?: string;
  readonly supported_parameters?: readonly string[];
  readonly hidden_reasoning?: boolean;
  readonly zero_retention?: boolean;
  readonly collects_data?: boolean;
  readonly residency?: string;
};

export type ModelJson = {
  readonly id: string;
  readonly object: "model";
  readonly created: number;
  readonly owned_by: string;
  readonly name: string;
  readonly description: string;
  readonly context_length: number;
  readonly max_completion_tokens: number | null;
  readonly architecture: ArchitectureJson;
  /** What any of the providers says that it takes; empty when none says anything. */
  readonly supported_parameters: readonly string[];
  /** The lowest price of any provider, the relay's fee not included. */
  readonly pricing: PricingJson;
  readonly aimo: {
    readonly model_id: number;
    readonly route: string;
    readonly relay_fee_bps: number;
    readonly providers: readonly ({
      readonly id: number;
      readonly address: Address;
      readonly region: string;
      readonly pricing: PricingJson;
      readonly price_version: number;
      readonly context_length: number;
      readonly max_completion_tokens: number | null;
      readonly free_slots: number;
      readonly latency_ms: number;
    } & ProviderClaims)[];
  };
};

export type PercentilesJson = {
  readonly p50: number;
  readonly p75: number;
  readonly p90: number;
  readonly p99: number;
};
/** Requests of a window that went well and that failed, as this relay saw them. */
export type WindowJson = { readonly ok: number; readonly failed: number };

/** One provider of a model. What it announces of itself, and, apart from that, what this relay measured. */
export type EndpointJson = {
  readonly name: string;
  /** The provider's id, as the `provider` object of a request takes it. */
  readonly tag: string;
  readonly provider_name: string;
  readonly provider: { readonly id: number; readonly address: Address };
  readonly region: string;
  readonly context_length: number;
  readonly max_completion_tokens: number | null;
  readonly pricing: PricingJson;
  readonly price_version: number;
  /** Null: not announced. */
  readonly quantization: string | null;
  readonly zero_retention: boolean | null;
  readonly supported_parameters: readonly string[];
  readonly free_slots: number;
  /** 0: serves. -2: rests after failures. -5: all its slots are busy. */
  readonly status: 0 | -2 | -5;
  /** Shares from 0 to 1, null when nothing was seen. */
  readonly uptime_last_5m: number | null;
  readonly uptime_last_30m: number | null;
  readonly uptime_last_1d: number | null;
  readonly requests: {
    readonly last_5m: WindowJson;
    readonly last_30m: WindowJson;
    readonly last_1d: WindowJson;
  };
  /** Milliseconds to the first byte, and completion tokens per second of the whole request. */
  readonly latency_last_30m: PercentilesJson | null;
  readonly throughput_last_30m: PercentilesJson | null;
};
export type EndpointsJson = {
  readonly data: Omit<ModelJson, "object" | "owned_by" | "pricing" | "aimo"> & {
    readonly endpoints: readonly EndpointJson[];
  };
};

export type ProviderJson = {
  readonly id: number;
  readonly address: Address;
  /** As the `provider` object of a request takes it. */
  readonly slug: string;
  readonly name: string;
  readonly region: string;
  readonly models: readonly string[];
  readonly status: 0 | -2 | -5;
  readonly requests_last_1d: WindowJson;
  readonly uptime_last_1d: number | null;
};
