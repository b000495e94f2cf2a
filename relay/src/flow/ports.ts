import type { BillPage, GenerationProof, SettlementBill } from "@aimo/protocol/bill";
import type { AimoError } from "@aimo/protocol/errors";
import type { ReceiptGroup } from "@aimo/protocol/groups";
import type { answerArguments } from "@aimo/protocol/proofs";
import type { UsageReceipt } from "@aimo/protocol/receipts";
import type { Price } from "@aimo/protocol/units";
import type { Address, Hex } from "viem";
import type { Batch, BilledLeaf, OpenBatch, PostedBatch, PreparedBatch } from "../core/batch.ts";
import type { CreditClaim } from "../core/credits.ts";
import type { UnpostedTotals } from "../core/due.ts";
import type { SignedGroup } from "../core/signed-group.ts";
import type {
  Caller,
  ChannelBalance,
  ChannelOnChain,
  CountFlag,
  Generation,
  GenerationStart,
  KeyLimits,
  KeyUsage,
  Offer,
  Outcome,
  ProviderKey,
  ReceiptCase,
  Route,
  SignedDebt,
  SignedSpendAuthorization,
} from "../core/types.ts";
import type { VoucherBook } from "../core/vouchers.ts";

/**
 * What the flow needs from the rooms around it. Each is implemented by one room (named in its comment) and passed in
 * by `node.ts`; nothing in `flow` or `http` knows a driver.
 */

/** store/: balances, holds and generations. Everything but `flushed` is synchronous: memory rules, a journal follows. */
export interface Ledger {
  /** Takes in what the chain says of a channel. An epoch above the known one starts from zero. */
  setChannel(channel: ChannelOnChain): void;
  balanceOf(userId: number): ChannelBalance | undefined;
  /**
   * Sets `amount` pUSD aside and writes the generation down. Throws AimoError: `channel_exhausted` (no open channel),
   * `channel_retired`, `insufficient_credits` (with `needed`, `free`), `voucher_too_low`, `key_limit_reached`.
   */
  hold(start: GenerationStart, caller: Caller, amount: bigint): void;
  /** Ends a hold, exactly once: charges provisionally, or frees all of it. Throws a RangeError on an unknown hold. */
  commit(id: string, outcome: Outcome): void;
  generationOf(id: string): Promise<Generation | undefined>;
  /** Notes that the provider's count of this request is far above the relay's own. Changes no charge. */
  flag(id: string, flag: CountFlag): void;
  /** What a key has used at this relay; zeros for an unknown key. Synchronous: the maximum output is clamped by it. */
  usageOfKey(keyHash: string): KeyUsage;
  /** Requests that are charged provisionally: their providers' signed groups have not come yet. */
  provisionalCount(): number;
  /** Resolves when everything said so far is on disk (group commit). */
  flushed(): Promise<void>;
}

/** What an owner may set on a key. pUSD; times in wall-clock milliseconds. */
export type KeySettings = {
  readonly name: string;
  readonly limit: bigint | undefined;
  readonly limitReset: Caller["limitReset"];
  readonly expiresAt: number | undefined;
  readonly models: readonly string[] | undefined;
  readonly disabled: boolean;
} & KeyLimits;
export type KeyRecord = KeySettings & {
  /** SHA-256 of the key, hex without prefix. */
  readonly hash: string;
  /** The first and last characters, for people. */
  readonly label: string;
  readonly userId: number;
  readonly owner: Address;
  readonly createdAt: number;
};

/** store/: API keys. Lookups are synchronous; changes resolve when they are on disk. */
export interface Keys {
  /** The record of a key as it was sent. Throws `authentication_failed` when unknown, disabled or expired. */
  authenticate(key: string): { readonly record: KeyRecord; readonly caller: Caller };
  /** The same for a key that is known by its hash: whether it may still be used. */
  byHash(hash: string): { readonly record: KeyRecord; readonly caller: Caller };
  /** Makes a key; the text is given here and never again. Throws `invalid_request` when the account has too many. */
  create(
    owner: { userId: number; owner: Address },
    settings: KeySettings,
  ): Promise<{ key: string; record: KeyRecord }>;
  list(userId: number): readonly KeyRecord[];
  find(userId: number, hash: string): KeyRecord | undefined;
  /** Throws `not_found`. */
  change(userId: number, hash: string, settings: Partial<KeySettings>): Promise<KeyRecord>;
  /** Throws `not_found`. */
  remove(userId: number, hash: string): Promise<void>;
}

export type IdempotentReply = {
  readonly status: number;
  readonly contentType: string;
  readonly body: Uint8Array;
  readonly generationId: string;
};
export interface Idempotency {
  /** `new` claims the key; `conflict` when the body differs. Synchronous claim, so two racing requests cannot both win. */
  claim(
    caller: Caller,
    key: string,
    bodyHash: Hex,
  ): Promise<"new" | "running" | "conflict" | IdempotentReply>;
  /** Keeps the reply (bounded), or frees the key when nothing was delivered; `running`: another one will follow. */
  settle(caller: Caller, key: string, reply: IdempotentReply | undefined, then?: "running"): void;
}

/** flow/billing: turns signed groups into bills. */
export interface Billing {
  /** Bills what a provider's group confirms; gives the voucher of its new cumulative debt, durable, or why not. */
  onGroup(
    group: ReceiptGroup,
    signature: Hex,
    receipts: readonly UsageReceipt[],
    provider: ProviderKey,
  ): Promise<SignedDebt | { readonly refused: string }>;
  /**
   * A voucher that a provider shows: where this relay did sign it, and lost its books since, its debt goes on from it.
   * Returns the voucher of what is owed now.
   */
  onVoucher(voucher: SignedDebt, provider: ProviderKey): Promise<SignedDebt>;
}

/** chain/: judges receipts as the chain would, were they posted. */
export interface ReceiptJudge {
  /** Per receipt what speaks against it, or undefined. Throws `chain_unavailable`. */
  judge(cases: readonly ReceiptCase[]): Promise<readonly (string | undefined)[]>;
}

/** chain/: what providers lend this relay, at the block that nodes act on. */
export interface ProviderCovers {
  /** Reads it, and again when it changes. */
  watch(providerId: number): void;
  /** pUSD that the provider serves unpaid: the reserve less what thaws, and its own limit. Undefined: not read yet. */
  coverOf(providerId: number): bigint | undefined;
  /** What was paid to the provider over all time, at the latest block. Throws `chain_unavailable`. */
  readPaid(providerId: number): Promise<bigint>;
}

/** store/: what billing writes. One synchronous step, so that no crash and no second group comes between. */
export interface BillingStore {
  /** Hash of the receipt that was stated for a request and is not signed yet. */
  statedFor(requestHash: Hex): Hex | undefined;
  /** What a generation waits for, by the hash of its receipt; undefined once its time is over. */
  expected(receiptHash: Hex): { readonly usage: Extract<Outcome, { kind: "usage" }> } | undefined;
  /** Bills it. Returns false when it cannot be billed any more. */
  bill(receiptHash: Hex, signed: SignedGroup, index: number): boolean;
  reject(receiptHash: Hex, note: string): void;
  /** The relay's debt to a provider over all time, pUSD. */
  owedTo(providerId: number): bigint;
  /** False: `notePaid` has to come before anything is owed on top of it. */
  knowsDebt(providerId: number): boolean;
  notePaid(providerId: number, paid: bigint): void;
  raiseOwed(providerId: number, owed: bigint): void;
  flushed(): Promise<void>;
}

/** chain/: the settlement contract as a poster sees it. */
export interface SettlementChain {
  /** Number of the relay's next batch at the latest block: what was mined is not sent again. */
  nextBatchNo(): Promise<bigint>;
  blockNumber(): Promise<bigint>;
  /** True while a transaction of the relay may still be mined. */
  isPending(): Promise<boolean>;
  enlist(providerIds: readonly number[]): Promise<void>;
  /** What providers were paid over all time, at the latest block: by rows and from reserves. pUSD. */
  paidTo(providerIds: readonly number[]): Promise<ReadonlyMap<number, bigint>>;
  /** What of its own money the relay's posts may draw on, pUSD, and the protocol's fee, at the latest block. */
  funds(): Promise<{ readonly own: bigint; readonly feeBps: number }>;
  /** Metered pUSD that the bond still allows. */
  room(): Promise<bigint>;
  /** Sends these bytes and waits until they are mined. Throws when the chain refuses. */
  post(batch: PreparedBatch): Promise<void>;
  /** Takes the place of a transaction that waits to be mined; resolves when either of both is. */
  cancel(): Promise<void>;
  /** Gives up waiting for what was sent: `post` rejects, and no other is taken. */
  abandon(): void;
  /** What the chain says of a batch at the block nodes act on; undefined when it has none of this number from `since`. */
  posted(batchNo: bigint, since: bigint): Promise<PostedBatch | undefined>;
}
/** store/: what settling reads and writes. */
export interface SettlingStore extends Pick<VoucherBook, "voucherOf"> {
  unposted(): readonly { readonly leaf: BilledLeaf; readonly issuedAt: number }[];
  totals(): UnpostedTotals;
  /** Providers that are owed more than was paid. */
  creditors(): readonly number[];
  notePaid(providerId: number, paid: bigint): void;
  claims(taken: ReadonlySet<string>): readonly CreditClaim[];
  /** True when the channel was opened anew: what was billed before can never be posted. */
  isOver(leaf: BilledLeaf): boolean;
  openBatch(): OpenBatch | undefined;
  /** Writes a batch down, durably, before it is sent. */
  saveBuilt(batch: Batch, credits: ReadonlyMap<number, bigint>, since: bigint): Promise<void>;
  /** Writes the open batch down with other credits, durably. Its debits and receipts stay as they are. */
  saveCredits(batch: PreparedBatch, credits: ReadonlyMap<number, bigint>): Promise<void>;
  /** Marks a batch posted and everything in it; what was skipped becomes unbilled. Durable when it resolves. */
  savePosted(batchNo: bigint, posted: PostedBatch): Promise<void>;
  /** Forgets the open batch, which was not posted and never will be. Its leaves are unposted still. */
  dropBuilt(): Promise<void>;
  /** Ends what can no longer be posted, and what its channels were charged after it, as the relay's loss. Durable too. */
  giveUp(ids: readonly string[], note: string): Promise<void>;
}

/** store/ with core/: the bills that users verify. */
export interface Bills {
  /** Batches after the number `after`, `limit` at most. */
  list(userId: number, page?: { readonly after?: bigint; readonly limit?: number }): Promise<BillPage>;
  /** Undefined: the account has no applied row in this batch, as far as the books know. */
  settlement(userId: number, batchNo: bigint): Promise<SettlementBill | undefined>;
  proof(generationId: string): Promise<GenerationProof | undefined>;
}

/** chain/: demands to show a receipt. */
export interface DemandChain {
  /** "closing": it was answered or has lapsed, in a block that nodes do not act on yet. */
  stateOf(demandId: Hex): Promise<"open" | "closing" | "closed">;
  /** Resolves when the answer is mined. Throws when the chain refuses. */
  answer(parts: ReturnType<typeof answerArguments>): Promise<void>;
}

/** chain/: what a relay asks of the chain off the hot path. */
export interface Accounts {
  /** 0 when the address has never deposited. */
  userIdOf(owner: Address): Promise<number>;
  creditsOf(userId: number): Promise<bigint>;
  /** Reads the channel at the safe block, hands it to the ledger and returns it. */
  refreshChannel(userId: number): Promise<ChannelOnChain | undefined>;
  /** Opens a channel for a user without gas, within the operator's gas budget for strangers. Returns the transaction. */
  openChannel(authorization: SignedSpendAuthorization): Promise<Hex>;
}

/**
 * chain/: what the registry says of providers, models and prices. Synchronous, from a cache at the safe block; what is
 * not known yet is refused and read in the background, so that the next announcement (seconds later) finds it.
 */
export interface ProviderRegistry {
  /** Why this provider may not serve now: not registered, inactive, not staked, or `signer` is not its key. */
  refusal(providerId: number, signer: Address): string | undefined;
  /** The price of a version that may be used now (in force, or replaced within the grace), or undefined. */
  priceOf(providerId: number, modelId: number, version: number): Price | undefined;
  /** True when the registry has this model under this slug. */
  isModel(modelId: number, slug: string): boolean;
}

/** gossip/: who offers what, checked against the chain. */
export interface OfferBook {
  live(model: string): readonly Offer[];
  all(): readonly Offer[];
  /** True for a model that some provider offered since the node started, live or not. */
  knows(model: string): boolean;
}

/** upstream/: one call to one provider. Bytes pass through as they come; nothing is decoded twice. */
export interface Upstream {
  call(request: UpstreamRequest, handler: UpstreamHandler): UpstreamCall;
}
export type UpstreamRequest = {
  readonly offer: Offer;
  readonly route: Route;
  readonly attempt: Hex;
  readonly requestHash: Hex;
  readonly body: Uint8Array;
  readonly stream: boolean;
  /** Generation id that the response carries. */
  readonly id: string;
  /** Completion tokens per choice at most, enforced by the provider; the body stays as the client sent it. */
  readonly maxTokens: number | undefined;
};
export type UpstreamHandler = {
  onHead(status: number, contentType: string, retryAfterSeconds?: number): void;
  /** A whole SSE frame or a body chunk; the usage frame is not among them. */
  onBytes(chunk: Uint8Array): void;
  /** The provider's MACed statement, at the end. */
  onUsage(statement: import("@aimo/protocol/session").UsageStatement): void;
  onEnd(): void;
  /** Also when the stream was truncated: no usage came. */
  onError(error: AimoError): void;
};
export interface UpstreamCall {
  pause(): void;
  resume(): void;
  /**
   * Stops the provider; `frames` is what reached the client. No bytes follow. The provider's statement for those frames
   * comes through `onUsage` and `onEnd`, or `onError` comes when there is none.
   */
  abort(frames: number): void;
}
