import { AimoError } from "@aimo/protocol/errors";
import { Rates, type RateVerdict } from "../core/rates.ts";
import type { Shedding } from "../core/shedding.ts";
import { HEAD_START_MS, type TierLimits, type Tiers } from "../core/tiers.ts";
import type { Caller } from "../core/types.ts";
import { WaitingLine } from "../core/waiting-line.ts";

export type AdmissionLimits = {
  /** Requests in flight, in all and per account whatever its tier. */
  readonly maxInFlight: number;
  readonly maxInFlightPerAccount: number;
  /** Who finds no room waits: so many at most, so long at most. */
  readonly maxWaiting: number;
  readonly maxWaitMs: number;
};

export type AdmissionParameters = {
  readonly tiers: Tiers;
  readonly shedding: Shedding;
  readonly limits: AdmissionLimits;
  readonly now: () => number;
};

/** Tokens that were taken for a request; `used` puts them right, once. */
export type TokenGrant = { used(tokens: number): void };

export type EnterOptions = {
  /** Has time: waits behind everyone else, and is refused with the lowest tier. */
  readonly isBackground?: boolean;
  readonly onGone: (leave: () => void) => void;
};

const BUSY_SECONDS = 1;
/** How often those are looked for who have waited too long. */
const SWEEP_MS = 500;
/** What has time is treated as having come later than it did. */
const BACKGROUND_MS = -5_000;

/**
 * Who is let in: limits per account and per key, then room in the node, which is given by tier when there is none.
 * While nothing is full all of this is synchronous. Every entry is left exactly once.
 */
export class Admission {
  readonly #parameters: AdmissionParameters;
  readonly #perAccount = new Map<number, number>();
  readonly #perKey = new Map<string, number>();
  readonly #tokens = new Rates();
  readonly #line: WaitingLine;
  #inFlight = 0;
  #onIdle: (() => void) | undefined;
  #isClosed = false;
  readonly #sweep: NodeJS.Timeout;

  constructor(parameters: AdmissionParameters) {
    this.#parameters = parameters;
    this.#line = new WaitingLine(parameters.limits.maxWaiting);
    this.#sweep = setInterval(() => this.sweep(), SWEEP_MS);
    this.#sweep.unref();
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  get waiting(): number {
    return this.#line.length;
  }

  get shedLevel(): number {
    return this.#parameters.shedding.level;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /**
   * Lets a request in, or says why not: `rate_limit_exceeded`, `overloaded`, `shutting_down`. A promise when it has to
   * wait for room; `onGone` takes what ends the wait when the client is gone.
   */
  enter(caller: Caller, { isBackground = false, onGone }: EnterOptions): Promise<void> | undefined {
    if (this.#isClosed) throw closing();
    const { tiers, shedding, limits } = this.#parameters;
    const tier = tiers.tierOf(caller.owner);
    if (shedding.refuses(isBackground ? "free" : tier))
      throw busy(`The relay is under load and serves the tier ${tier} later.`);
    this.#requireOwnRoom(caller, tiers.limitsOf(tier));
    if (this.#inFlight < limits.maxInFlight) {
      this.#count(caller, 1);
      return undefined;
    }
    return this.#wait(caller, isBackground ? BACKGROUND_MS : HEAD_START_MS[tier], onGone);
  }

  /** Ends what `enter` began. */
  leave(caller: Caller): void {
    this.#count(caller, -1);
    if (this.#inFlight < this.#parameters.limits.maxInFlight) this.#line.next();
    if (this.#inFlight === 0) this.#onIdle?.();
  }

  /**
   * Takes what a request may use of the account's and the key's tokens per minute. Throws `rate_limit_exceeded` when it
   * has to wait, and `request_above_limit` when no wait would help.
   */
  takeTokens(caller: Caller, estimate: number): TokenGrant {
    const now = this.#parameters.now();
    const limits = this.#tokenLimits(caller);
    for (const [, limit, whose] of limits) if (estimate > limit) throw aboveLimit({ limit, estimate, whose });
    const taken: [string, number][] = [];
    const giveBack = (amount: number) => {
      for (const [subject, limit] of taken)
        this.#tokens.giveBack(subject, limit, { now: this.#parameters.now(), amount });
    };
    for (const [subject, limit, whose] of limits) {
      const verdict = this.#tokens.take(subject, limit, { now, cost: estimate });
      if (!verdict.allowed) {
        giveBack(estimate);
        throw tooManyTokens(verdict, { estimate, whose });
      }
      taken.push([subject, limit]);
    }
    return { used: (tokens) => giveBack(estimate - tokens) };
  }

  /** Refuses who has waited too long; done now and then by itself. */
  sweep(): void {
    this.#line.refuseOlder(this.#parameters.now() - this.#parameters.limits.maxWaitMs);
  }

  /** Lets nobody in any more; resolves when the last one has left. `stop` is called for those who take too long. */
  async close(deadlineMs: number, stop: () => void): Promise<void> {
    this.#isClosed = true;
    clearInterval(this.#sweep);
    this.#line.clear();
    if (this.#inFlight === 0) return;
    const timer = setTimeout(stop, deadlineMs);
    await new Promise<void>((resolve) => {
      this.#onIdle = resolve;
    });
    clearTimeout(timer);
  }

  #requireOwnRoom({ userId, keyHash, maxInFlight }: Caller, { concurrency }: TierLimits): void {
    const most = Math.min(concurrency, this.#parameters.limits.maxInFlightPerAccount);
    const own = this.#perAccount.get(userId) ?? 0;
    if (own >= most) throw tooManyAtOnce("account", own, most);
    if (maxInFlight === undefined) return;
    const ofKey = this.#perKey.get(keyHash) ?? 0;
    if (ofKey >= maxInFlight) throw tooManyAtOnce("key", ofKey, maxInFlight);
  }

  /** It counts while it waits, so that no account fills the line. */
  #wait(caller: Caller, headStartMs: number, onGone: EnterOptions["onGone"]): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#countOwn(caller, 1);
    let isOver = false;
    const refuse = (error: AimoError) => {
      if (isOver) return;
      isOver = true;
      this.#countOwn(caller, -1);
      reject(error);
    };
    const out = this.#line.join({
      since: this.#parameters.now(),
      headStartMs,
      admit: () => {
        isOver = true;
        this.#inFlight++;
        resolve();
      },
      refuse: () => refuse(this.#isClosed ? closing() : busy("The relay has no room for another request.")),
    });
    if (!out) refuse(busy("The relay has no room for another request, and too many wait for it."));
    else
      onGone(() => {
        out();
        refuse(busy("The client is gone."));
      });
    return promise;
  }

  #count(caller: Caller, sign: 1 | -1): void {
    this.#inFlight += sign;
    this.#countOwn(caller, sign);
  }

  #countOwn({ userId, keyHash }: Caller, sign: 1 | -1): void {
    add(this.#perAccount, userId, sign);
    add(this.#perKey, keyHash, sign);
  }

  #tokenLimits(caller: Caller): readonly (readonly [string, number, string])[] {
    const { tiers } = this.#parameters;
    const { tokensPerMinute } = tiers.limitsOf(tiers.tierOf(caller.owner));
    const account = [`account ${caller.userId}`, tokensPerMinute, "account"] as const;
    const own = caller.tokensPerMinute;
    return own === undefined ? [account] : [account, [`key ${caller.keyHash}`, own, "key"]];
  }
}

function add<K>(counts: Map<K, number>, key: K, sign: 1 | -1): void {
  const count = (counts.get(key) ?? 0) + sign;
  if (count > 0) counts.set(key, count);
  else counts.delete(key);
}

const closing = () => new AimoError("shutting_down", { retryAfterSeconds: 5 });
const busy = (message: string) => new AimoError("overloaded", { message, retryAfterSeconds: BUSY_SECONDS });

const tooManyAtOnce = (whose: string, own: number, most: number) =>
  new AimoError("rate_limit_exceeded", {
    message: `This ${whose} has ${own} requests in flight; its limit is ${most}.`,
    retryAfterSeconds: BUSY_SECONDS,
  });

type Tokens = { readonly limit: number; readonly estimate: number; readonly whose: string };

const tokensWords = ({ limit, estimate, whose }: Tokens) =>
  `The request may use ${estimate} tokens; this ${whose} may use ${limit} a minute`;

function tooManyTokens(
  { limit, remaining, retryMs }: RateVerdict,
  { estimate, whose }: { estimate: number; whose: string },
): AimoError {
  return new AimoError("rate_limit_exceeded", {
    message: `${tokensWords({ limit, estimate, whose })}, and has ${remaining} left.`,
    details: { tokens_estimated: estimate, tokens_per_minute: limit, tokens_remaining: remaining },
    retryAfterSeconds: Math.ceil(retryMs / 1_000),
  });
}

const aboveLimit = (tokens: Tokens) =>
  new AimoError("request_above_limit", {
    message: `${tokensWords(tokens)}.`,
    details: { tokens_estimated: tokens.estimate, tokens_per_minute: tokens.limit },
  });
