import type { ErrorCode } from "@aimo/protocol/errors";
import type { Hex } from "viem";
import type { ChannelBalance, CountFlag, Offer, Outcome } from "../core/types.ts";
import type { OfferName } from "../flow/choosing.ts";
import type { HeldTerms, OpenRequest } from "../flow/serve-ports.ts";
import type { Arrival, Judged, Principal } from "../http/gate.ts";
import type { WireError } from "./wire-error.ts";

/** What the processes of a relay say to each other. The main one has the books, the keys and all limits. */

export type JudgedMessage = Pick<Judged, "verdict"> &
  ({ readonly principal: Principal } | { readonly error: WireError });

/** A request that is to be held for, under a number of the worker's choice. */
export type OpenMessage = Omit<OpenRequest, "caller"> & {
  readonly ticket: number;
  readonly keyHash: string;
  /** What the worker would try, in order. */
  readonly offers: readonly OfferName[];
};

/** Offers that the main process has in the same form are named by their place in the worker's list. */
export type OpenAnswer = Omit<HeldTerms, "offers"> & { readonly offers: readonly (number | Offer)[] };

export type CommitMessage = { readonly ticket: number; readonly outcome: Outcome };

/** What the main process knows of a connection. */
export type ClientConnection = Pick<MainNews["connection"], "address" | "isRefused">;

export type WorkerQuestions = {
  judge: [Arrival, JudgedMessage];
  open: [OpenMessage, OpenAnswer];
  commit: [CommitMessage, ChannelBalance | undefined];
};

export type StickyNews = { readonly name: string; readonly providerId: number };

export type EjectedNews = { readonly providerId: number; readonly modelId: number };

export type CountNews =
  | { readonly result: "agrees" | "skipped" | "flagged" }
  | { readonly flag: CountFlag; readonly generationId: string; readonly providerId: number };

export type WorkerNews = {
  /** It can take connections. */
  ready: null;
  /** The client of a request that waits for room is gone. */
  gone: number;
  /** A try is sent: the place of its offer among the terms'. */
  begin: {
    readonly ticket: number;
    readonly at: number;
    readonly maxTokens: number | undefined;
    readonly requestHash: Hex;
  };
  /** It has ended, and its request was committed if it was the last. */
  end: { readonly ticket: number; readonly requestHash: Hex };
  leave: { readonly ticket: number; readonly usedTokens: number };
  sticky: StickyNews;
  /** A request was answered with an error. */
  refused: ErrorCode;
  /** A provider's count was compared; how that came out, and the request that is to be flagged. */
  counted: CountNews;
  /** A connection has arrived: its number. */
  taken: number;
  /** One from this address has ended. */
  left: string;
};

export type MainQuestions = {
  /** Answered when all that was said before is on its way. */
  ping: [null, null];
};

export type MainNews = {
  /** What a worker is started with; once, first. */
  start: unknown;
  /** A connection comes along. */
  connection: { readonly number: number; readonly address: string; readonly isRefused: boolean };
  offers: readonly (readonly [providerId: number, offers: readonly Offer[]])[];
  /** Seconds by which protocol time is behind the wall clock. */
  behind: number;
  sticky: StickyNews;
  /** A provider has failed with a model, over all workers, so that it rests. */
  ejected: EjectedNews;
  /** Ends what runs: what was delivered is billed. */
  stop: null;
  /** Ends the worker. */
  close: null;
};
