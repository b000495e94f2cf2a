import type { CountedBy } from "./running-usage.ts";

/** What an OpenAI-compatible server understands beyond the common ground. One row per vendor. */
export type Vendor = {
  /** `stream_options.include_usage`: a last chunk with the totals. */
  readonly includeUsage: boolean;
  /** `stream_options.continuous_usage_stats`: counts so far in every chunk, so that a cut is counted exactly. */
  readonly continuousUsage: CountedBy | "none";
  /** Names of the completion limit it obeys, the preferred one first. */
  readonly limitFields: readonly ("max_tokens" | "max_completion_tokens")[];
};

export const VENDORS = {
  generic: {
    includeUsage: true,
    continuousUsage: "none",
    limitFields: ["max_tokens", "max_completion_tokens"],
  },
  openai: {
    includeUsage: true,
    continuousUsage: "none",
    limitFields: ["max_completion_tokens", "max_tokens"],
  },
  vllm: {
    includeUsage: true,
    continuousUsage: "per_choice",
    limitFields: ["max_tokens", "max_completion_tokens"],
  },
  sglang: {
    includeUsage: true,
    continuousUsage: "per_choice",
    limitFields: ["max_tokens", "max_completion_tokens"],
  },
  /** The built-in server. */
  demo: {
    includeUsage: true,
    continuousUsage: "per_choice",
    limitFields: ["max_tokens", "max_completion_tokens"],
  },
  ollama: { includeUsage: true, continuousUsage: "none", limitFields: ["max_tokens"] },
  "llama.cpp": { includeUsage: true, continuousUsage: "none", limitFields: ["max_tokens"] },
} as const satisfies Record<string, Vendor>;

export type VendorName = keyof typeof VENDORS;
