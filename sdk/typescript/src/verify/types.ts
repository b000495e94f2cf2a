import type { PriceTerm, ReceiptFacts, SignerTerm } from "@aimo/protocol/judgement";
import type { PostHeader } from "@aimo/protocol/rows";
import type { Price } from "@aimo/protocol/units";
import type { Hex } from "viem";

/**
 * What can be wrong with a bill:
 * `altered` what the relay shows is not what was signed or committed; `dropped` an interval without its receipt;
 * `duplicated` a receipt or interval billed twice; `unsigned` no valid provider signature; `overcharged` more than the
 * registered price and fee allow; `unproven` the relay does not show what the chain says it must have;
 * `incomplete` the chain's own numbers do not add up to what was read (an RPC endpoint that leaves things out).
 */
export type ProblemKind =
  | "altered"
  | "dropped"
  | "duplicated"
  | "unsigned"
  | "overcharged"
  | "unproven"
  | "incomplete";

export type Problem = {
  readonly kind: ProblemKind;
  /** Generation id, where the client's records or the relay name one. */
  readonly id?: string;
  readonly batchNo?: bigint;
  /** Index of the user's row in the batch. */
  readonly row?: number;
  /** Index of the receipt under the user's leaf. */
  readonly leaf?: number;
  /** Cumulative spending of the channel's epoch, pUSD: after the first up to the second. */
  readonly interval?: readonly [bigint, bigint];
  /** A sentence for people. */
  readonly detail: string;
};

/** One applied or skipped row of the user, as its post on the chain has it. Times in protocol seconds. */
export type PostedRow = {
  readonly batchNo: bigint;
  readonly transaction: Hex;
  readonly postedAt: number;
  readonly header: PostHeader;
  readonly rowIndex: number;
  readonly cumEnd: bigint;
  readonly delta: bigint;
  /** Of the channel when the batch was posted. */
  readonly epoch: number;
  /** When that epoch began, where the chain still knows it. */
  readonly openedAt?: number;
  readonly isSkipped: boolean;
};

/** What the chain says of one user's account at one relay. */
export type AccountOnChain = {
  readonly rows: readonly PostedRow[];
  readonly channel: { readonly epoch: number; readonly spent: bigint };
  /** Batches whose rows could not be read, or are not what the event says. */
  readonly problems: readonly Problem[];
};

export type SignerOnChain = SignerTerm;
export type PriceOnChain = PriceTerm & { readonly kinds: Price["kinds"] };

/** What receipts are checked against: all of it from the chain. */
export type ChainFacts = {
  readonly relayId: number;
  /** EIP-712 separator of the settlement contract. */
  readonly separator: Uint8Array;
  /** T_POST, seconds. */
  readonly postWindow: number;
  /** Highest fee that the relay may add to a request accepted then, basis points. */
  feeBoundAt(issuedAt: number): number;
  /** Undefined: not registered. */
  providerOf(providerId: number): Promise<ReceiptFacts["provider"]>;
  /** Whether the provider had the minimum stake at some time from the first second to the second. */
  wasStaked(providerId: number, from: number, to: number): Promise<boolean>;
  /** Every key the provider had; empty: not registered. */
  signersOf(providerId: number): Promise<readonly SignerOnChain[]>;
  /** Undefined: no such version. */
  priceOf(providerId: number, modelId: number, version: number): Promise<PriceOnChain | undefined>;
};
