import type { Hex } from "viem";
import type { GenerationState } from "./bill.ts";
import type { AttemptJson } from "./routes.ts";

/** What `/v1/generation` says of one request. */
export type GenerationJson = {
  readonly data: {
    readonly id: string;
    readonly model: string;
    readonly route: string;
    readonly streamed: boolean;
    /** ISO 8601. */
    readonly created_at: string;
    readonly state: GenerationState;
    readonly total_cost: number;
    readonly usage: number;
    readonly tokens_prompt: number;
    readonly tokens_completion: number;
    readonly provider_name: string | null;
    readonly finish_reason: string | null;
    readonly cancelled: boolean;
    readonly latency: number | null;
    readonly generation_time: number | null;
    /** What the client said of the request. */
    readonly metadata?: Readonly<Record<string, string>> | null;
    readonly external_user?: string | null;
    readonly http_referer?: string | null;
    readonly app_title?: string | null;
    readonly client_request_id?: string | null;
    readonly aimo: {
      readonly cost_pusd: string;
      readonly held_pusd: string;
      readonly user_cumulative_pusd: string | null;
      readonly batch_no: string | null;
      readonly receipt_hash: Hex | null;
      readonly nonce: Hex | null;
      readonly body_hash: Hex;
      readonly epoch: number;
      readonly attempts: readonly AttemptJson[];
      readonly note: string | null;
      /** Set where the provider's completion tokens are far above the relay's own count; relays of before do not say. */
      readonly count_flag?: { readonly stated_tokens: number; readonly counted_tokens: number } | null;
    };
  };
};
