import type { ModelOffer, Route } from "@aimo/protocol/announcement";
import type { GenerationState } from "@aimo/protocol/bill";
import type { ErrorCode } from "@aimo/protocol/errors";
import type { ReceiptGroup } from "@aimo/protocol/groups";
import type { UsageReceipt } from "@aimo/protocol/receipts";
import type { UsageStatement } from "@aimo/protocol/session";
import type { Price } from "@aimo/protocol/units";
import type { Address, Hex } from "viem";

export type { Route } from "@aimo/protocol/announcement";

/** A live, checked offer of one provider for one model. `price` is the registered version it announced. */
export type Offer = {
  readonly providerId: number;
  readonly signer: Address;
  readonly endpoint: string;
  readonly region: string;
  readonly model: ModelOffer;
  readonly price: Price;
  /** Wall-clock milliseconds. */
  readonly expiresAt: number;
};

/** A user's channel to this relay as the chain's safe block has it. pUSD; times in protocol seconds. */
export type ChannelOnChain = {
  readonly userId: number;
  readonly owner: Address;
  readonly epoch: number;
  readonly mode: number;
  readonly available: bigint;
  readonly spent: bigint;
  readonly settleBy: number;
  readonly expiry: number;
  readonly thawAmount: bigint;
  readonly thawEnd: number;
  /** When this epoch began. */
  readonly openedAt: number;
  /** When its session key was revoked; 0 if it was not. */
  readonly revokedAt: number;
  /** Whose vouchers a SIGNED channel pays; zero on a METERED one. */
  readonly sessionKey: Address;
};

/** What a channel covers now. `free = limit - charged - pending - held`, never negative by construction of holds. pUSD. */
export type ChannelBalance = {
  readonly userId: number;
  readonly epoch: number;
  /** On-chain `available + spent` of this epoch, less what is thawing. */
  readonly limit: bigint;
  /** Billed with a verified provider signature; the channel's running total of this epoch. */
  readonly charged: bigint;
  /** Charged provisionally; waits for the provider's signed group. */
  readonly pending: bigint;
  readonly held: bigint;
  readonly free: bigint;
  /** Already settled on-chain, as this relay last saw it. */
  readonly posted: bigint;
  /** What the user asked back, as far as it is there. */
  readonly thawing: bigint;
  /** When it can have it, protocol seconds; 0 without a thaw. */
  readonly thawEnd: number;
  /** SIGNED channels: the highest voucher, 0 without one. */
  readonly voucher?: bigint;
  /** Why this epoch is charged no more. */
  readonly retired?: string;
};

/** Who calls: the account, the key and what the key may do. Made once by authentication. */
export type Caller = {
  readonly userId: number;
  readonly owner: Address;
  /** SHA-256 of the key, hex; names the key everywhere but at its creation. */
  readonly keyHash: string;
  readonly models: readonly string[] | undefined;
  /** pUSD per reset period; undefined: only the channel limits it. */
  readonly limit: bigint | undefined;
  readonly limitReset: "daily" | "weekly" | "monthly" | undefined;
} & Pick<KeyLimits, "tokensPerMinute" | "maxInFlight" | "showUsage">;

/** A key's own limits, below its account's, and how it is answered. */
export type KeyLimits = {
  readonly requestsPerMinute?: number | undefined;
  readonly tokensPerMinute?: number | undefined;
  /** Requests in flight. */
  readonly maxInFlight?: number | undefined;
  /** Addresses and networks (CIDR) that may use it. */
  readonly allowedIps?: readonly string[] | undefined;
  /** Whether streams end with their usage always, or where the client asks for it. */
  readonly showUsage?: "always" | "asked" | undefined;
};

/** What is known of a request before it is sent. */
export type GenerationStart = {
  readonly id: string;
  readonly userId: number;
  readonly keyHash: string;
  readonly epoch: number;
  readonly model: string;
  readonly route: Route;
  readonly streamed: boolean;
  /** Wall-clock milliseconds. */
  readonly createdAt: number;
  readonly bodyHash: Hex;
  /** What the client said of it: JSON, see `labels.ts`. */
  readonly labels?: string | undefined;
};

/** One try at one provider. Failed ones cost 0 and are listed. */
export type Attempt = {
  readonly providerId: number;
  readonly nonce: Hex;
  readonly status: "ok" | "failed";
  readonly error?: ErrorCode;
  readonly latencyMs: number;
};

/** How a request ended. `usage`: the provider stated usage that the relay's own count bears out. */
export type Outcome =
  | {
      readonly kind: "usage";
      readonly providerId: number;
      readonly nonce: Hex;
      readonly requestHash: Hex;
      readonly modelId: number;
      /** Its name, where a fallback served and not the model that was asked for first. */
      readonly model?: string;
      readonly priceVersion: number;
      readonly statement: UsageStatement;
      /** pUSD: at most cost plus the relay's fee, and at most the hold. */
      readonly charge: bigint;
      readonly finishReason: string | null;
      readonly cancelled: boolean;
      readonly attempts: readonly Attempt[];
      readonly latencyMs: number;
      readonly generationMs: number;
    }
  | {
      readonly kind: "free";
      /** `rejected`: served, but the provider's statement does not agree with the relay's own count. */
      readonly reason: ErrorCode | "cancelled" | "rejected";
      /** For people: becomes the generation's note. */
      readonly note?: string;
      readonly attempts: readonly Attempt[];
    };

/** All that is kept of a request. */
export type Generation = GenerationStart & {
  readonly state: GenerationState;
  readonly held: bigint;
  readonly outcome?: Outcome;
  /** Set when billed. */
  readonly userCumulative?: bigint;
  readonly batchNo?: bigint;
  /** Why a request that was served is not billed, for people. */
  readonly note?: string;
  /** Set where the provider's count of completion tokens is far above this relay's own. */
  readonly flag?: CountFlag;
};

/** Completion tokens as the provider signed them, and as this relay counts what was delivered. */
export type CountFlag = { readonly stated: number; readonly counted: number };

/** A provider as its session knows it. */
export type ProviderKey = { readonly id: number; readonly signer: Address };
/** What this relay signs that it owes a provider over all time, pUSD. */
export type SignedDebt = { readonly cumulative: bigint; readonly signature: Hex };

/** A receipt that is about to be billed. */
export type ReceiptCase = {
  readonly receipt: UsageReceipt;
  readonly group: ReceiptGroup;
  /** Whose signature the group has. */
  readonly signer: Address;
  /** pUSD. */
  readonly charge: bigint;
};

/** pUSD charged (provisionally too) by a key: in all, and in the current UTC day, week (from Monday) and month. */
export type KeyUsage = {
  readonly total: bigint;
  readonly daily: bigint;
  readonly weekly: bigint;
  readonly monthly: bigint;
  readonly held: bigint;
};

/** A user's leave to open a channel for it, as protocol section 4 has it. */
export type SignedSpendAuthorization = {
  readonly user: Address;
  readonly relayId: number;
  readonly sessionKey: Address;
  readonly amount: bigint;
  readonly expiry: number;
  readonly mode: number;
  readonly nonce: bigint;
  readonly deadline: number;
  readonly signature: Hex;
};
