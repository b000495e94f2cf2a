import type { AimoError, ErrorCode } from "@aimo/protocol/errors";
import type { Hex } from "viem";
import type { Endpoint } from "../core/endpoint.ts";
import { Itinerary } from "../core/itinerary.ts";
import type { Offer } from "../core/types.ts";
import type { Attempt, AttemptEnd } from "./attempt.ts";
import type { ServeDependencies } from "./serve-ports.ts";

/** One try, with what it was sent with. */
export type Try = {
  readonly attempt: Attempt;
  readonly offer: Offer;
  readonly nonce: Hex;
  readonly requestHash: Hex;
  /** Protocol seconds, and wall-clock milliseconds. */
  readonly sentAt: number;
  readonly beganAt: number;
  /** Completion tokens per choice that were allowed. */
  readonly maxTokens: number | undefined;
  readonly endpoint: Endpoint;
  readonly isProbe: boolean;
};

export type Ended = { readonly tried: Try; readonly end: AttemptEnd };

export type TryingParameters = {
  readonly dependencies: Pick<ServeDependencies, "routing" | "limits" | "now" | "log">;
  readonly id: string;
  readonly offers: readonly Offer[];
  /** Names of the providers that the caller orders. */
  readonly order: readonly string[];
  readonly begin: (offer: Offer) => Try;
  /** Writes a try down that cost nothing. */
  readonly record: (tried: Try, error: ErrorCode) => void;
};

/**
 * Tries the offers of a request one after the other, as far as the retry budget goes. Where hedging is on, a silent try
 * gets a rival: whose first byte comes first serves, and the other is stopped before it delivered anything.
 */
export class Trying {
  /** Whose bytes the client gets, once they come. */
  current: Attempt | undefined;
  #rival: Attempt | undefined;
  #isStopped = false;
  readonly #parameters: TryingParameters;
  readonly #itinerary: Itinerary;

  constructor(parameters: TryingParameters) {
    this.#parameters = parameters;
    this.#itinerary = new Itinerary(parameters.offers, parameters.dependencies.routing, parameters.order);
  }

  /** The try that ended the request; undefined when none did: all failed, or the request was stopped before. */
  async run(): Promise<Ended | undefined> {
    const { dependencies, record } = this.#parameters;
    const { routing, now, limits } = dependencies;
    let tries = 0;
    let faults = 0;
    const startedAt = now();
    routing.retries.onRequest(startedAt);
    if (limits.hedgeAfterMs > 0) routing.hedges.onRequest(startedAt);
    while (!this.#isStopped) {
      const at = tries === 0 ? startedAt : now();
      const offer = this.#itinerary.next(at);
      if (!offer || (tries > 0 && !routing.retries.take(at))) return undefined;
      const tried = this.#begin(offer);
      const ended = limits.hedgeAfterMs > 0 ? await this.#hedged(tried) : await this.#endOf(tried);
      const { end } = ended;
      if (end.kind === "failed") {
        faults++;
        this.#onFailed(ended.tried, end.error);
      } else if (end.kind === "refused" && this.#goesOn(offer, faults)) record(ended.tried, end.error.code);
      else return ended;
      tries++;
    }
    return undefined;
  }

  stop(): void {
    this.#isStopped = true;
    this.current?.stop();
    this.#rival?.stop();
  }

  /** The first byte of a stream is about to be forwarded: its rival is stopped before it has any. */
  onFirstByte(attempt: Attempt): void {
    const rival = this.#rival;
    if (!rival) return;
    const loser = attempt === rival ? this.current : rival;
    this.current = attempt;
    this.#rival = undefined;
    loser?.stop();
  }

  /** Another model may take what this one refused; so may another provider, if one that failed stands before it. */
  #goesOn(offer: Offer, faults: number): boolean {
    return faults > 0 ? this.#itinerary.hasMore : this.#itinerary.skipModel(offer);
  }

  #begin(offer: Offer): Try {
    const tried = this.#parameters.begin(offer);
    this.current = tried.attempt;
    return tried;
  }

  async #endOf(tried: Try): Promise<Ended> {
    const end = await tried.attempt.ended;
    tried.endpoint.end(tried.isProbe);
    return { tried, end };
  }

  #onFailed(tried: Try, error: AimoError): void {
    const { dependencies, record, id } = this.#parameters;
    const { routing, now, log } = dependencies;
    record(tried, error.code);
    routing.onFailure(tried.offer, error, { sent: tried.beganAt, now: now() });
    log.debug(
      { generation: id, provider: tried.offer.providerId, code: error.code, reason: error.message },
      "attempt failed",
    );
  }

  async #hedged(first: Try): Promise<Ended> {
    const rival = await this.#rivalOf(first);
    return rival ? this.#race(first, rival) : this.#endOf(first);
  }

  /** Waits; a second try when the first was silent all the time and the budget has room. */
  async #rivalOf({ attempt, offer }: Try): Promise<Try | undefined> {
    const { routing, now, limits } = this.#parameters.dependencies;
    const silence = Promise.withResolvers<void>();
    const timer = setTimeout(silence.resolve, limits.hedgeAfterMs);
    await Promise.race([attempt.ended, silence.promise]);
    clearTimeout(timer);
    if (!attempt.isSilent || this.#isStopped) return undefined;
    const at = now();
    const beside = this.#itinerary.findBeside(offer, at);
    if (!beside || !routing.hedges.take(at)) return undefined;
    this.#itinerary.take(beside);
    const tried = this.#parameters.begin(beside);
    this.#rival = tried.attempt;
    return tried;
  }

  async #race(first: Try, second: Try): Promise<Ended> {
    const early = await Promise.race([
      first.attempt.ended.then(() => first),
      second.attempt.ended.then(() => second),
    ]);
    const other = early === first ? second : first;
    const ended = await this.#endOf(early);
    const { kind } = ended.end;
    if (kind === "failed" || (kind === "stopped" && other.attempt.started)) {
      if (kind === "failed") this.#onFailed(early, ended.end.error);
      else this.#onLost(early);
      this.current = other.attempt;
      this.#rival = undefined;
      return this.#endOf(other);
    }
    other.attempt.stop();
    this.current = early.attempt;
    this.#rival = undefined;
    await this.#endOf(other);
    this.#onLost(other);
    return ended;
  }

  /** Nothing of it reached the client: it is listed, and costs nothing. */
  #onLost(tried: Try): void {
    const now = this.#parameters.dependencies.now();
    this.#parameters.record(tried, "cancelled");
    tried.endpoint.onSlow(now - tried.beganAt, now);
  }
}
