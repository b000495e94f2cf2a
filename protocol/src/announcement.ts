import type { Address, Hex } from "viem";
import { hash, toHex, utf8 } from "./bytes.ts";
import { type Deployment, PROTOCOL_VERSION } from "./deployment.ts";

/** What a model is for. Each route has its own units and its own hash of what was delivered. */
export const ROUTES = ["chat", "embeddings", "images", "transcriptions", "speech", "moderations"] as const;
export type Route = (typeof ROUTES)[number];

/** How a model's weights may be stored, as OpenRouter names it. */
export const QUANTIZATIONS = [
  "int4",
  "int8",
  "fp4",
  "mxfp4",
  "nvfp4",
  "fp6",
  "fp8",
  "mxfp8",
  "fp16",
  "bf16",
  "fp32",
] as const;
export type Quantization = (typeof QUANTIZATIONS)[number];

export function isQuantization(value: unknown): value is Quantization {
  return (QUANTIZATIONS as readonly unknown[]).includes(value);
}

/** One model that a provider can serve now. What is optional came later: where it is absent, nothing is promised. */
export type ModelOffer = {
  readonly modelId: number;
  readonly slug: string;
  readonly priceVersion: number;
  readonly route: Route;
  readonly contextTokens: number;
  readonly maxOutputTokens: number;
  readonly freeSlots: number;
  readonly queued: number;
  /** The provider's own median time to first token; 0 when not known yet. */
  readonly latencyMs: number;
  /** A sentence for people, shown in models lists. */
  readonly description: string;
  readonly quantization?: Quantization;
  /** Fields of a request, beyond the route's basic ones, that the model acts on: `tools`, `seed`, … */
  readonly supportedParameters?: readonly string[];
  /** The model thinks in tokens that are billed and not shown. */
  readonly hiddenReasoning?: boolean;
  /** Nothing of a prompt or an answer is kept once it was delivered. */
  readonly zeroRetention?: boolean;
  /** False: what may be kept is used for nothing but operating the service. */
  readonly collectsData?: boolean;
  /** Where prompts and answers are processed and kept; `region` says where the server is. */
  readonly residency?: string;
};

/** What a provider says of itself on the gossip topic. Times in wall-clock milliseconds. */
export type Announcement = {
  readonly version: number;
  readonly chainId: number;
  readonly settlement: Address;
  readonly providerId: number;
  /** Grows with every announcement of this provider, also over restarts (start from the clock). */
  readonly sequence: number;
  readonly issuedAt: number;
  readonly expiresAt: number;
  /** Base URL of the provider's server, e.g. `http://127.0.0.1:9001`. */
  readonly endpoint: string;
  readonly region: string;
  readonly models: readonly ModelOffer[];
};

export const MAX_ANNOUNCEMENT_BYTES = 32 * 1024;
export const MAX_ANNOUNCED_MODELS = 64;
export const MAX_ANNOUNCED_PARAMETERS = 48;
export const MAX_PARAMETER_CHARACTERS = 40;
export const MAX_ANNOUNCEMENT_LIFE_MS = 30_000;

/** Gossip topic of a deployment. */
export function offersTopic({ chainId, contracts }: Pick<Deployment, "chainId" | "contracts">): string {
  return `/aimo/${PROTOCOL_VERSION}/${chainId}/${contracts.settlement.toLowerCase()}/offers`;
}

/** What the provider's node key signs: keccak of a tag and the exact bytes that travel. */
export function announcementDigest(payload: Uint8Array): Hex {
  return toHex(hash(utf8("aimo-announcement-v1"), payload));
}
