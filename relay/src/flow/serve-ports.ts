import type { Hex } from "viem";
import type { Ask } from "../core/ask.ts";
import type { RoutingState } from "../core/routing-state.ts";
import type { Caller, Offer, Outcome, Route } from "../core/types.ts";
import type { Admission } from "./admission.ts";
import type { ProviderCredit } from "./credit.ts";
import type { Accounts, Ledger, OfferBook, Upstream } from "./ports.ts";
import type { VoucherGate } from "./vouchers.ts";

/** Where a reply goes. `http` implements it over a socket; a recorder stands before it for repeated requests. */
export interface ReplySink {
  /** Sends the head of a stream: of events, or of the type given. Once, and only for streams. */
  startStream(generationId: string, contentType?: string): void;
  /** False: the reader is slow; wait for `onDrain`. Bytes are out of the relay's hands afterwards. */
  write(chunk: Uint8Array): boolean;
  /** Ends a stream. */
  end(): void;
  /** Breaks a stream off, so that its reader sees that something is missing: where no event can say so. */
  cut(): void;
  /** Sends a whole reply: JSON unless told otherwise. Once, and only without a stream. */
  sendJson(generationId: string, body: string, contentType?: string): void;
  /** Called when the reader is gone before the reply ended. */
  onClose: (() => void) | undefined;
  onDrain: (() => void) | undefined;
  /** The reader is gone. */
  readonly closed: boolean;
}

export type ServeRequest = {
  readonly requestId: string;
  readonly route: Route;
  readonly ask: Ask;
  /** The client's body, byte for byte, and its keccak. */
  readonly body: Uint8Array;
  readonly bodyHash: Hex;
  /** What a repeated request must be alike in, where that is not the whole body. */
  readonly contentHash?: Hex;
  readonly caller: Caller;
  /** Has time: comes after everyone else. */
  readonly isBackground?: boolean;
  /** The header `aimo-voucher`: what pays for the request on a SIGNED channel. */
  readonly voucher?: string | undefined;
  /** As the client sent them, for hooks to see some of; absent for a line of a batch. */
  readonly headers?: Readonly<Record<string, string | readonly string[] | undefined>>;
  /** What the client says of the request: kept with its generation. See `readLabels`. */
  readonly labels?: string | undefined;
};

/** How a served request ended. A request that was refused or failed before its first byte throws instead. */
export type Served = {
  readonly generationId: string;
  readonly billed: boolean;
  /** The reply is not sent yet: a hook has it. What is billed is to be noted before this is waited for. */
  readonly rest?: Promise<void>;
};

export type ServeLimits = {
  /** Providers tried at most for one request. */
  readonly maxAttempts: number;
  /** Silence of a provider after which a second one is asked too, milliseconds; 0: never. */
  readonly hedgeAfterMs: number;
  /** Milliseconds: a whole request; silence until a keep-alive; wait for the statement of a stopped request. */
  readonly totalMs: number;
  readonly keepAliveMs: number;
  readonly stopWaitMs: number;
  /** Largest body of a reply that is not streamed, bytes. */
  readonly maxReplyBytes: number;
};

export type ServeDependencies = {
  readonly relayId: number;
  /** EIP-712 separator of Settlement. */
  readonly separator: Uint8Array;
  readonly ledger: Pick<Ledger, "balanceOf" | "hold" | "commit" | "usageOfKey">;
  readonly offers: Pick<OfferBook, "live" | "knows">;
  readonly upstream: Upstream;
  readonly accounts: Pick<Accounts, "refreshChannel">;
  readonly admission: Admission;
  readonly credit: Pick<ProviderCredit, "covers" | "begin">;
  readonly vouchers: VoucherGate;
  readonly routing: RoutingState;
  /** Told how each request of a model ended. */
  readonly observe: (model: string, outcome: Outcome) => void;
  readonly limits: ServeLimits;
  /** The relay's fee that is in force now. */
  readonly feeBps: () => number;
  /** Wall-clock milliseconds, and protocol seconds. */
  readonly now: () => number;
  readonly protocolNow: () => number;
  readonly random: () => number;
  readonly randomHex: (bytes: number) => Hex;
  readonly log: {
    debug(fields: object, message: string): void;
    warn(fields: object, message: string): void;
  };
};

/** A request that is held for. `maxTokens`: completion tokens per choice, `clamped` when the client asked for more. */
export type RunParameters = {
  readonly dependencies: ServeDependencies;
  readonly request: ServeRequest;
  readonly sink: ReplySink;
  readonly id: string;
  readonly epoch: number;
  readonly offers: readonly Offer[];
  readonly hold: bigint;
  readonly maxTokens: number | undefined;
  readonly clamped: boolean;
  readonly feeBps: number;
};
