import { type ErrorCode, isAimoError } from "@aimo/protocol/errors";
import type { UnitKinds } from "@aimo/protocol/units";
import { expectedTokens, planHold } from "../core/estimate.ts";
import { RateLimiter } from "../core/gcra.ts";
import { offersWithin } from "../core/max-cost.ts";
import type { Caller, ChannelBalance, GenerationStart, Offer, Outcome } from "../core/types.ts";
import type { Admission, TokenGrant } from "./admission.ts";
import type { ProviderCredit } from "./credit.ts";
import type { Accounts, Ledger } from "./ports.ts";
import type {
  BegunTry,
  Desk,
  Held,
  HeldTerms,
  OpenOptions,
  OpenRequest,
  ServeDependencies,
} from "./serve-ports.ts";
import type { VoucherGate } from "./vouchers.ts";

/** An account whose balance is short is read from the chain again, but not more often than this. */
const REFRESH_INTERVAL_MS = 1_000;
/** Refusals that news of the channel may lift. */
const CHANNEL_ERRORS: ReadonlySet<ErrorCode> = new Set([
  "channel_exhausted",
  "channel_retired",
  "voucher_invalid",
  "insufficient_credits",
]);
/** What the channel covers is unknown before it is read: enough to make every hold fail with numbers. */
const NOTHING: Pick<ChannelBalance, "epoch" | "free"> = { epoch: 0, free: 0n };

export type BooksDeskParameters = Pick<ServeDependencies, "now" | "randomHex"> & {
  readonly ledger: Pick<Ledger, "balanceOf" | "hold" | "commit" | "usageOfKey">;
  readonly accounts: Pick<Accounts, "refreshChannel">;
  readonly admission: Admission;
  readonly vouchers: VoucherGate;
  readonly credit: Pick<ProviderCredit, "begin">;
  /** The relay's fee that is in force now. */
  readonly feeBps: () => number;
  /** Told of each hold, and how it ended. */
  readonly onHold: (start: GenerationStart) => void;
  readonly onCommit: (start: GenerationStart, outcome: Outcome, kinds: UnitKinds | undefined) => void;
};

/** The desk of the process that has the books: while there is room and cover, a hold is made without waiting. */
export class BooksDesk implements Desk {
  readonly #parameters: BooksDeskParameters;
  readonly #refreshing = new Map<number, Promise<unknown>>();
  readonly #refreshes = new RateLimiter(1, REFRESH_INTERVAL_MS);

  constructor(parameters: BooksDeskParameters) {
    this.#parameters = parameters;
  }

  open(request: OpenRequest, options: OpenOptions): Held | Promise<Held> {
    const { isBackground = false, caller } = request;
    const room = this.#parameters.admission.enter(caller, { isBackground, onGone: options.onGone });
    return room ? room.then(() => this.#openInside(request, options)) : this.#openInside(request, options);
  }

  /** The caller is counted as in: whoever does not get a hold leaves again. */
  #openInside(request: OpenRequest, { choose }: OpenOptions): Held | Promise<Held> {
    const leave = (error: unknown): never => {
      this.#parameters.admission.leave(request.caller);
      throw error;
    };
    try {
      return this.#hold(request, choose) ?? this.#holdAfterRefresh(request, choose).catch(leave);
    } catch (error) {
      return leave(error);
    }
  }

  /** Holds with what the ledger knows. Undefined when the chain may know better. */
  #hold(request: OpenRequest, choose: () => readonly Offer[]): Held | undefined {
    try {
      return this.#tryHold(request, choose);
    } catch (error) {
      if (!isAimoError(error) || !CHANNEL_ERRORS.has(error.code)) throw error;
      const { userId } = request.caller;
      // Of several that come while the chain is asked, all wait for its answer; only the asking is limited.
      if (this.#refreshing.has(userId)) return undefined;
      if (this.#refreshes.take(String(userId), this.#parameters.now()).allowed) return undefined;
      throw error;
    }
  }

  async #holdAfterRefresh(request: OpenRequest, choose: () => readonly Offer[]): Promise<Held> {
    const { userId } = request.caller;
    let refreshing = this.#refreshing.get(userId);
    if (!refreshing) {
      refreshing = this.#parameters.accounts
        .refreshChannel(userId)
        .finally(() => this.#refreshing.delete(userId));
      this.#refreshing.set(userId, refreshing);
    }
    await refreshing;
    return this.#tryHold(request, choose);
  }

  #tryHold(request: OpenRequest, choose: () => readonly Offer[]): Held {
    const { admission, ledger, vouchers, randomHex, feeBps: feeNow, now, onHold } = this.#parameters;
    const { ask, caller, bodyHash, route } = request;
    const feeBps = feeNow();
    const offers = offersWithin(ask, choose(), feeBps);
    const { epoch, free } = ledger.balanceOf(caller.userId) ?? NOTHING;
    const { hold, maxTokens, clamped } = planHold({ ask, offers, free: this.#freeOf(caller, free), feeBps });
    const id = `gen-${randomHex(12).slice(2)}`;
    const start = {
      ...{ id, userId: caller.userId, keyHash: caller.keyHash, epoch, model: ask.model, route },
      ...{ streamed: ask.stream, createdAt: now(), bodyHash, labels: request.labels },
    };
    const tokens = admission.takeTokens(caller, expectedTokens(ask, { maxTokens, offers }));
    try {
      vouchers.admit(caller.userId, request.voucher, hold, request.signer);
      ledger.hold(start, caller, hold);
    } catch (error) {
      tokens.used(0);
      throw error;
    }
    onHold(start);
    const terms = { id, epoch, offers, hold, maxTokens, clamped, feeBps };
    return new BooksHeld(this.#parameters, { request, start, tokens, terms });
  }

  /** What both the channel and the key's own limit still allow. */
  #freeOf({ keyHash, limit, limitReset }: Caller, free: bigint): bigint {
    if (limit === undefined) return free;
    const usage = this.#parameters.ledger.usageOfKey(keyHash);
    const left = limit - usage[limitReset ?? "total"] - usage.held;
    return left < free ? (left > 0n ? left : 0n) : free;
  }
}

type Opened = {
  readonly request: OpenRequest;
  readonly start: GenerationStart;
  readonly tokens: TokenGrant;
  readonly terms: HeldTerms;
};

class BooksHeld implements Held {
  readonly terms: HeldTerms;
  readonly #parameters: BooksDeskParameters;
  readonly #opened: Opened;

  constructor(parameters: BooksDeskParameters, opened: Opened) {
    this.#parameters = parameters;
    this.#opened = opened;
    this.terms = opened.terms;
  }

  begin({ offer, maxTokens }: BegunTry): () => void {
    return this.#parameters.credit.begin({ ask: this.#opened.request.ask, offer, maxTokens });
  }

  commit(outcome: Outcome): ChannelBalance | undefined {
    const { ledger, onCommit } = this.#parameters;
    const { start } = this.#opened;
    try {
      ledger.commit(start.id, outcome);
    } catch (error) {
      // What the ledger does not take is a fault of this relay's: the request is free, and holds nothing for good.
      ledger.commit(start.id, { kind: "free", reason: "internal_error", attempts: outcome.attempts });
      throw error;
    }
    onCommit(start, outcome, this.#kindsOf(outcome));
    return ledger.balanceOf(start.userId);
  }

  /** What the units of a usage are, by the price of whoever served. */
  #kindsOf(outcome: Outcome): UnitKinds | undefined {
    if (outcome.kind !== "usage") return undefined;
    const { providerId, modelId } = outcome;
    return this.terms.offers.find(
      (offer) => offer.providerId === providerId && offer.model.modelId === modelId,
    )?.price.kinds;
  }

  leave(usedTokens: number): void {
    this.#opened.tokens.used(usedTokens);
    this.#parameters.admission.leave(this.#opened.request.caller);
  }
}
