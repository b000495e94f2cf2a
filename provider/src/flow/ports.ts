import type { AimoError } from "@aimo/protocol/errors";
import type { Address, Hex } from "viem";
import type { Cover } from "../core/exposure.ts";
import type { RelayTotals, SignedGroup, Voucher } from "../core/outstanding.ts";
import type { Route, ServedModel } from "../core/types.ts";
import type { Vendor } from "../core/vendors.ts";

/**
 * What the flow needs from the rooms around it. Each port is implemented by one room and passed in by `node.ts`.
 */

/** chain/: a registered relay. `bonded`: its bond reaches the minimum now. */
export type RelayOnChain = {
  readonly relayId: number;
  readonly signer: Address;
  readonly active: boolean;
  readonly bonded: boolean;
};
export interface RelayDirectory {
  /** Cached for a short time; undefined when no such relay is registered. Throws `chain_unavailable`. */
  relayOf(relayId: number): Promise<RelayOnChain | undefined>;
}

/** chain/: models with the prices that the chain has now. Synchronous: refreshed in the background. */
export interface Catalogue {
  /** By registry id. */
  byId(modelId: number): ServedModel | undefined;
  bySlug(slug: string): ServedModel | undefined;
  all(): readonly ServedModel[];
}

/** Protocol time: wall clock less the deployment's pauses, whole seconds. */
export type ProtocolClock = () => number;

/** store/: what must outlive the process. */
export type JournalEntry = {
  /** Groups that must be sent until they are settled. */
  readonly saved?: readonly SignedGroup[];
  /** Groups that need no re-sending. */
  readonly settled?: readonly SignedGroup[];
  readonly totals?: RelayTotals;
  readonly debt?: DebtRecord;
};
export interface Journal {
  load(): Promise<{
    readonly groups: readonly SignedGroup[];
    readonly totals: readonly RelayTotals[];
    readonly debts: readonly DebtRecord[];
  }>;
  /** All of it or nothing; durable when it resolves. */
  write(entries: readonly JournalEntry[]): Promise<void>;
  close(): Promise<void>;
}

/** Since when a relay has left a voucher unpaid, and the last try to redeem one. pUSD, protocol seconds. */
export type DebtRecord = {
  readonly relayId: number;
  /** What was paid when `since` was set. */
  readonly paid: bigint;
  readonly since: number;
  /** `sent`: it may have been paid, the chain knows. */
  readonly redemption?: {
    readonly cumulative: bigint;
    readonly paidBefore: bigint;
    readonly state: "sent" | "done";
  };
};

/** chain/: a relay's reserve and what it paid, and where the relay stands. */
export type RelayFunds = Cover & {
  /** All that is in the reserve, what thaws included: a redemption may take it. pUSD. */
  readonly redeemable: bigint;
  /** Why the relay may be gone soon: it left, unbonds, or thaws the reserve. */
  readonly leaving: string | undefined;
};
export interface ReservesChain {
  /** At the block that nodes act on, or at the latest. Throws `chain_unavailable`. */
  fundsOf(relayId: number, at?: "latest"): Promise<RelayFunds>;
  /** Redeems to the provider's owner; returns what was paid. Throws `transaction_failed`, `low_gas`. */
  redeem(relayId: number, voucher: Voucher): Promise<bigint>;
}

/** store/: files that a person or a program redeems by, without this node. */
export interface VoucherFiles {
  /** Soon; of several in a row the last. */
  write(relayId: number, voucher: Voucher): void;
  /** Resolves when all is written, or could not be. */
  flushed(): Promise<void>;
}

/** upstream/: one call to the inference server. Its callbacks never run before `call` has returned. */
export interface Upstream {
  readonly vendor: Vendor;
  call(route: Route, body: UpstreamBody, handler: UpstreamHandler): UpstreamCall;
  close(): Promise<void>;
}
export type UpstreamBody = {
  readonly content: string | Uint8Array;
  /** JSON when absent. */
  readonly contentType?: string;
  readonly streamed: boolean;
};
export type UpstreamHandler = {
  onHead(status: number, contentType: string, retryAfterSeconds: number | undefined): void;
  onData(chunk: Uint8Array): void;
  onEnd(): void;
  /** Connection refused, reset or too slow. Nothing follows. */
  onError(error: AimoError): void;
};
export interface UpstreamCall {
  pause(): void;
  resume(): void;
  /** Closes the connection, so that the server stops working. No callback follows. */
  abort(): void;
}

/** A relay's request, authenticated. `model`: registry id or slug. */
export type InferRequest = {
  readonly relayId: number;
  readonly attempt: Hex;
  readonly requestHash: Hex;
  readonly route: Route;
  readonly model: string;
  readonly priceVersion: number;
  readonly max: number | undefined;
  readonly id: string | undefined;
  readonly body: Uint8Array;
};

/** http/: the answer to one request of a relay. */
export interface Reply {
  json(status: number, body: Uint8Array, headers: Readonly<Record<string, string>>): void;
  error(error: AimoError): void;
  /** False when the relay reads too slowly; `onDrain` follows. The first write sends the head of a stream. */
  write(text: string): boolean;
  end(): void;
  /** A piece of an answer of another type, as `write`. */
  writeBytes(chunk: Uint8Array, contentType: string): boolean;
  /** Ends such an answer; what is said of it stands behind it. */
  endBytes(trailers: Readonly<Record<string, string>>): void;
  /** Breaks the connection: the relay sees a truncated answer. */
  cut(): void;
  /** MAC of this request's answer over a JSON text. */
  macOf(text: string): Hex;
  onDrain(listener: () => void): void;
  /** Once. `whole`: everything was handed to the network; otherwise the relay hung up. */
  onClose(listener: (whole: boolean) => void): void;
}

/** The node's log, as far as the flow writes to it: an object first, then a short past-tense sentence. */
export type FlowLog = Readonly<
  Record<"debug" | "info" | "warn" | "error", (about: object, message: string) => void>
>;

/** Tokens of a text, by a tokenizer that is nobody's own. */
export type CountTokens = (text: string) => number;
