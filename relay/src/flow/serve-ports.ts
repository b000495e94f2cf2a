import type { Hex } from "viem";
import type { Ask } from "../core/ask.ts";
import type { RoutingState } from "../core/routing-state.ts";
import type { Caller, ChannelBalance, Offer, Outcome, Route } from "../core/types.ts";
import type { ProviderCredit } from "./credit.ts";
import type { OfferBook, Upstream } from "./ports.ts";
import type { VoucherSigner } from "./vouchers.ts";

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

/** What is asked of the books before a request is sent. */
export type OpenRequest = Pick<
  ServeRequest,
  "ask" | "caller" | "bodyHash" | "route" | "voucher" | "labels" | "isBackground"
> & {
  /** Of the voucher, where it was found out before. */
  readonly signer?: VoucherSigner | undefined;
};

export type OpenOptions = {
  /** The offers to try, in order; asked when there is room. Throws what `chooseOffers` throws. */
  readonly choose: () => readonly Offer[];
  /** Takes what ends a wait for room, for when the client is gone. */
  readonly onGone: (leave: () => void) => void;
};

/** What a request was held for. `maxTokens`: completion tokens per choice, `clamped` when the client asked for more. */
export type HeldTerms = {
  readonly id: string;
  readonly epoch: number;
  readonly offers: readonly Offer[];
  readonly hold: bigint;
  readonly maxTokens: number | undefined;
  readonly clamped: boolean;
  readonly feeBps: number;
};

/** A try that is about to be sent. */
export type BegunTry = {
  readonly offer: Offer;
  readonly maxTokens: number | undefined;
  readonly requestHash: Hex;
};

/** A hold, from its making to the end of its request. */
export interface Held {
  readonly terms: HeldTerms;
  /** Counts a try in flight; call what it returns, once, when that has ended. */
  begin(tried: BegunTry): () => void;
  /** Ends the hold, once: charges, or frees. Gives what the channel covers then; a promise where the books are elsewhere. */
  commit(outcome: Outcome): ChannelBalance | undefined | Promise<ChannelBalance | undefined>;
  /** The request is over: gives its place back, and what it did not use of the tokens per minute. Once, after `commit`. */
  leave(usedTokens: number): void;
}

/** Lets requests in and holds for them. In this process it does so at once, unless there is no room or cover. */
export interface Desk {
  /**
   * Throws what stands against the request: `rate_limit_exceeded`, `request_above_limit`, `overloaded`, `shutting_down`,
   * what `choose` throws, `channel_exhausted`, `channel_retired`, `insufficient_credits`, `voucher_…`, `key_limit_reached`.
   */
  open(request: OpenRequest, options: OpenOptions): Held | Promise<Held>;
}

/** A chat whose provider's count can be compared. */
export type DeliveredChat = {
  readonly generationId: string;
  readonly providerId: number;
  /** Completion tokens as the provider states them. */
  readonly stated: number;
  /** All that was delivered, in parts that were written apart. */
  readonly texts: readonly string[];
};

/** The relay's own count of completion tokens, away from the requests. */
export interface TokenCounts {
  /** Whether the next one is to be counted. */
  wants(): boolean;
  take(chat: DeliveredChat): void;
}

export type ServeDependencies = {
  readonly relayId: number;
  /** EIP-712 separator of Settlement. */
  readonly separator: Uint8Array;
  readonly desk: Desk;
  readonly offers: Pick<OfferBook, "live" | "knows">;
  readonly upstream: Upstream;
  readonly credit: Pick<ProviderCredit, "covers">;
  readonly routing: RoutingState;
  readonly counts: TokenCounts;
  readonly limits: ServeLimits;
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

/** A request that is held for. */
export type RunParameters = {
  readonly dependencies: ServeDependencies;
  readonly request: ServeRequest;
  readonly sink: ReplySink;
  readonly held: Held;
};
