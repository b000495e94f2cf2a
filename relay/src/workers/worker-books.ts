import type { ErrorCode } from "@aimo/protocol/errors";
import { AimoError, isAimoError } from "@aimo/protocol/errors";
import type { Hex } from "viem";
import type { Outcome } from "../core/types.ts";
import { type ChoosingDependencies, confirmOffers } from "../flow/choosing.ts";
import type { Keys } from "../flow/ports.ts";
import type { Desk, Held } from "../flow/serve-ports.ts";
import type { Gate } from "../http/gate.ts";
import type { LinkHandlers } from "./link.ts";
import type {
  CommitMessage,
  CountNews,
  JudgedMessage,
  OpenAnswer,
  OpenMessage,
  StickyNews,
  WorkerNews,
  WorkerQuestions,
} from "./messages.ts";
import { errorToWire } from "./wire-error.ts";

export type WorkerBooksParameters = {
  readonly gate: Gate;
  readonly desk: Desk;
  readonly keys: Pick<Keys, "byHash">;
  readonly choosing: Pick<ChoosingDependencies, "offers" | "credit" | "now">;
  /** Which requests are being served, for the groups of receipts that come for them. */
  readonly inFlight: { begin(requestHash: Hex): void; end(requestHash: Hex): void };
  readonly onRefusal: (code: ErrorCode) => void;
  readonly onSticky: (news: StickyNews) => void;
  readonly onCounted: (news: CountNews) => void;
  /** How a request of a worker ended, for what is learned of providers. */
  readonly onCommit: (held: Held, outcome: Outcome) => void;
  /** What went wrong while the books were closed; the rest is closed all the same. */
  readonly onFault: (error: unknown) => void;
};

/** A request of the worker that was held for. */
type Entry = {
  readonly held: Held;
  /** Tries that are sent and have not ended. */
  readonly begun: Map<Hex, () => void>;
  isCommitted: boolean;
  isLeft: boolean;
};

/** One that waits for its hold. */
type Opening = { leave?: () => void; isGone: boolean };

/**
 * Where one worker is served by the process that has the books. What it holds is known here, so that nothing stays held
 * when it dies.
 */
export class WorkerBooks {
  readonly #m: WorkerBooksParameters;
  readonly #openings = new Map<number, Opening>();
  readonly #entries = new Map<number, Entry>();
  #isClosed = false;

  constructor(parameters: WorkerBooksParameters) {
    this.#m = parameters;
  }

  readonly questions: LinkHandlers<WorkerQuestions, WorkerNews>["questions"] = {
    judge: (arrival) => this.#judge(arrival),
    open: (message) => this.#open(message),
    commit: (message) => this.#commit(message),
  };

  readonly news: Omit<LinkHandlers<WorkerQuestions, WorkerNews>["news"], "ready" | "taken" | "left"> = {
    gone: (ticket) => leave(this.#openings.get(ticket)),
    begin: (begun) => this.#begin(begun),
    end: ({ ticket, requestHash }) => this.#end(ticket, requestHash),
    leave: ({ ticket, usedTokens }) => this.#leave(ticket, usedTokens),
    sticky: (news) => this.#m.onSticky(news),
    refused: (code) => this.#m.onRefusal(code),
    counted: (news) => this.#m.onCounted(news),
  };

  /** Requests that are held for. */
  get held(): number {
    return this.#entries.size;
  }

  /** The worker is gone: what it held is freed, as after a crash of the whole relay. */
  close(): void {
    this.#isClosed = true;
    for (const opening of this.#openings.values()) this.#try(() => leave(opening));
    for (const [ticket, { begun }] of this.#entries) {
      for (const requestHash of [...begun.keys()]) this.#try(() => this.#end(ticket, requestHash));
      this.#try(() => this.#leave(ticket, 0));
    }
  }

  /** One step of several that do not hang on each other. */
  #try(step: () => void): void {
    try {
      step();
    } catch (error) {
      this.#m.onFault(error);
    }
  }

  #judge(arrival: WorkerQuestions["judge"][0]): JudgedMessage {
    const { principal, verdict } = this.#m.gate.judge(arrival);
    return isAimoError(principal)
      ? { verdict, error: errorToWire(principal) }
      : { verdict, principal: principal as Exclude<typeof principal, AimoError> };
  }

  async #open({ ticket, keyHash, offers, ...asked }: OpenMessage): Promise<OpenAnswer> {
    if (this.#isClosed) throw new AimoError("overloaded", { message: "The worker is gone." });
    const opening: Opening = { isGone: false };
    this.#openings.set(ticket, opening);
    try {
      const { caller } = this.#m.keys.byHash(keyHash);
      const request = { ...asked, caller };
      const held = await this.#m.desk.open(request, {
        choose: () => confirmOffers(this.#m.choosing, request, offers),
        onGone: (leaving) => {
          opening.leave = leaving;
        },
      });
      const entry: Entry = { held, begun: new Map(), isCommitted: false, isLeft: false };
      this.#entries.set(ticket, entry);
      if (opening.isGone) {
        this.#leave(ticket, 0, this.#isClosed ? "internal_error" : "cancelled");
        throw new AimoError("overloaded", { message: "The client is gone." });
      }
      const places = held.terms.offers.map((offer) => {
        const at = offers.findIndex(
          ({ providerId, modelId, priceVersion }) =>
            providerId === offer.providerId &&
            modelId === offer.model.modelId &&
            priceVersion === offer.price.version,
        );
        return at === -1 ? offer : at;
      });
      return { ...held.terms, offers: places };
    } finally {
      this.#openings.delete(ticket);
    }
  }

  #commit({ ticket, outcome }: CommitMessage) {
    const entry = this.#entries.get(ticket);
    if (!entry || entry.isCommitted) throw new RangeError(`Ticket ${ticket} holds nothing.`);
    // Also where that throws: it is not tried a second time, and the request's place is given back.
    entry.isCommitted = true;
    const balance = entry.held.commit(outcome);
    this.#m.onCommit(entry.held, outcome);
    return balance;
  }

  #begin({ ticket, at, maxTokens, requestHash }: WorkerNews["begin"]): void {
    const entry = this.#entries.get(ticket);
    const offer = entry?.held.terms.offers[at];
    if (!entry || !offer) throw new RangeError(`Ticket ${ticket} has no offer ${at}.`);
    const end = entry.held.begin({ offer, maxTokens, requestHash });
    this.#m.inFlight.begin(requestHash);
    entry.begun.set(requestHash, end);
  }

  #end(ticket: number, requestHash: Hex): void {
    const entry = this.#entries.get(ticket);
    const end = entry?.begun.get(requestHash);
    if (!entry || !end) return;
    entry.begun.delete(requestHash);
    try {
      end();
    } finally {
      this.#m.inFlight.end(requestHash);
      this.#forget(ticket, entry);
    }
  }

  /** `reason`: why it is free, where it was not committed. */
  #leave(
    ticket: number,
    usedTokens: number,
    reason: "internal_error" | "cancelled" = "internal_error",
  ): void {
    const entry = this.#entries.get(ticket);
    if (!entry || entry.isLeft) return;
    entry.isLeft = true;
    try {
      if (!entry.isCommitted) void entry.held.commit({ kind: "free", reason, attempts: [] });
    } finally {
      entry.isCommitted = true;
      this.#forget(ticket, entry);
      entry.held.leave(usedTokens);
    }
  }

  /** The end of its last try may be told after that of the request. */
  #forget(ticket: number, { isLeft, begun }: Entry): void {
    if (isLeft && begun.size === 0) this.#entries.delete(ticket);
  }
}

function leave(opening: Opening | undefined): void {
  if (!opening) return;
  opening.isGone = true;
  opening.leave?.();
}
