import type { ModelOffer, Route } from "@aimo/protocol/announcement";
import type { Prices } from "@aimo/protocol/units";

export type { Route };

/** What relays filter by, as the operator states it. What is absent is not promised. */
export type Claims = Pick<
  ModelOffer,
  "quantization" | "supportedParameters" | "hiddenReasoning" | "zeroRetention" | "collectsData" | "residency"
>;

/** A model that this provider serves, as the operator configured it. */
export type Model = {
  /** Public name; registered on-chain in lower case. */
  readonly slug: string;
  readonly route: Route;
  /** Name of the `[[upstreams]]` entry that serves it. */
  readonly upstream: string;
  /** The model's name at the upstream. */
  readonly upstreamModel: string;
  readonly contextTokens: number;
  readonly maxOutputTokens: number;
  readonly description: string;
  readonly claims?: Claims;
  /** pUSD per unit, as the operator wants them on-chain. */
  readonly prices: Prices;
};

/** A version of a model's price as the chain has it. `effectiveFrom` in protocol seconds. */
export type PriceVersion = {
  readonly version: number;
  readonly prices: Prices;
  readonly effectiveFrom: number;
};

/** A model with its registry id and all its price versions, oldest first. */
export type ServedModel = Model & { readonly modelId: number; readonly versions: readonly PriceVersion[] };
