import type { Address } from "viem";

/** What an account may use at once and per minute. An operator says who is in which tier. */

export const TIERS = ["free", "pro", "enterprise"] as const;
export type Tier = (typeof TIERS)[number];

export type TierLimits = {
  readonly requestsPerMinute: number;
  /** Prompt and completion together. */
  readonly tokensPerMinute: number;
  /** Requests in flight. */
  readonly concurrency: number;
};

export type TiersParameters = {
  readonly limits: Readonly<Record<Tier, TierLimits>>;
  readonly defaultTier: Tier;
  /** Owners of accounts by tier; who is in none has the default. */
  readonly members: Readonly<Record<Tier, readonly string[]>>;
};

/** Tiers by account. A lookup is one map access. */
export class Tiers {
  readonly #parameters: TiersParameters;
  readonly #byOwner = new Map<string, Tier>();

  constructor(parameters: TiersParameters) {
    this.#parameters = parameters;
    for (const tier of TIERS)
      for (const owner of parameters.members[tier]) this.#byOwner.set(owner.toLowerCase(), tier);
  }

  tierOf(owner: Address): Tier {
    if (this.#byOwner.size === 0) return this.#parameters.defaultTier;
    return this.#byOwner.get(owner.toLowerCase()) ?? this.#parameters.defaultTier;
  }

  limitsOf(tier: Tier): TierLimits {
    return this.#parameters.limits[tier];
  }
}

/** Milliseconds that a request of a tier is treated as having waited already, and so comes before others. */
export const HEAD_START_MS: Readonly<Record<Tier, number>> = { free: 0, pro: 2_000, enterprise: 4_000 };
