import { errorBody } from "@aimo/protocol/error-body";
import { AimoError, type ErrorCode } from "@aimo/protocol/errors";
import { requestHashOf } from "@aimo/protocol/receipts";
import type { UsageStatement } from "@aimo/protocol/session";
import { tokensFor, worstUnits } from "../core/estimate.ts";
import { failureOf, outcomeOf, type Result } from "../core/outcome.ts";
import { errorChunk, lastChunk, metaJson, usageIn, usageJson, withAdditions } from "../core/reply.ts";
import { DONE_FRAME, dataFrame, KEEP_ALIVE } from "../core/sse.ts";
import type { Attempt as AttemptRecord, ChannelBalance, Offer, Outcome } from "../core/types.ts";
import { Attempt, type AttemptEnd } from "./attempt.ts";
import { noteCount, noteFault, noteServed } from "./choosing.ts";
import type { ReplySink, RunParameters } from "./serve-ports.ts";
import { type Try, Trying } from "./trying.ts";

const FREE = { units: [0, 0, 0], cost: 0n, charge: 0n } as const;
const FREE_CUT = "No usage was stated for what was delivered: free.";

type Stated = { readonly tried: Try; readonly statement: UsageStatement; readonly wasCut: boolean };

/** A request that is held for: tries its offers in order, forwards the reply, and ends the hold exactly once. */
export class Run {
  /** What was billed for, in units: 0 for what was free. */
  usedTokens = 0;
  readonly #parameters: RunParameters;
  readonly #attempts: AttemptRecord[] = [];
  readonly #startedAt: number;
  readonly #trying: Trying;
  #firstByteAt: number | undefined;
  #lastWriteAt = 0;
  #settled = false;
  /** What the channel covers after this request. */
  #balance: ChannelBalance | undefined;
  /** A reply that no event can be added to. */
  readonly #isAudio: boolean;
  #stopReason: AimoError | "cancelled" | undefined;

  constructor(parameters: RunParameters) {
    this.#parameters = parameters;
    this.#startedAt = parameters.dependencies.now();
    this.#isAudio = parameters.request.route === "speech";
    const { dependencies, request, held } = parameters;
    this.#trying = new Trying({
      ...{ dependencies, ...held.terms, order: request.ask.preferences.order },
      begin: (offer) => this.#begin(offer),
      record: (tried, error) => this.#record(tried, error),
    });
  }

  get startedAt(): number {
    return this.#startedAt;
  }

  /** Serves. Resolves to whether the request is billed; throws what to tell a client that has got nothing yet. */
  async go(): Promise<boolean> {
    const { sink } = this.#parameters;
    sink.onClose = () => this.stop("cancelled");
    sink.onDrain = () => this.#trying.current?.resume();
    if (sink.closed) this.stop("cancelled");
    try {
      const ended = await this.#trying.run();
      if (ended && ended.end.kind !== "failed") return await this.#conclude(ended.tried, ended.end);
      return await this.#giveUp();
    } finally {
      // Every path above settles; this one is for what nobody foresaw, so that no hold is ever left behind.
      await this.#free("internal_error", () => {});
      sink.onClose = undefined;
      sink.onDrain = undefined;
    }
  }

  /** Ends the request early: the client is gone, its time is over, or the node stops. What was delivered is billed. */
  stop(reason: AimoError | "cancelled"): void {
    if (this.#stopReason) return;
    this.#stopReason = reason;
    this.#trying.stop();
  }

  /** Fills a silence of the stream with a comment. */
  keepAlive(now: number, silenceMs: number): void {
    if (!this.#trying.current?.takesComments || this.#stopReason || now - this.#lastWriteAt < silenceMs)
      return;
    this.#lastWriteAt = now;
    this.#parameters.sink.write(KEEP_ALIVE);
  }

  #begin(offer: Offer): Try {
    const { dependencies, sink, held } = this.#parameters;
    const { id, epoch, maxTokens } = held.terms;
    const { caller, bodyHash, body, route, ask } = this.#parameters.request;
    const nonce = dependencies.randomHex(16);
    const requestHash = requestHashOf({ userId: caller.userId, channelEpoch: epoch, nonce, bodyHash });
    const tokens = maxTokens === undefined ? undefined : tokensFor(offer, maxTokens);
    const upstreamRequest = {
      ...{ offer, route, attempt: dependencies.randomHex(16), requestHash, body, stream: ask.stream, id },
      maxTokens: tokens,
    };
    const endpoint = dependencies.routing.endpointOf(offer);
    const { maxReplyBytes, stopWaitMs } = dependencies.limits;
    const end = held.begin({ offer, maxTokens: tokens, requestHash });
    const attempt = new Attempt({
      ...{ upstream: dependencies.upstream, request: upstreamRequest, maxReplyBytes, stopWaitMs },
      sink: this.#timed(sink),
      onFirstByte: () => {
        this.#firstByteAt = dependencies.now();
        this.#trying.onFirstByte(attempt);
      },
    });
    void attempt.ended.then(end);
    return {
      ...{ attempt, offer, nonce, requestHash, maxTokens: tokens, endpoint, isProbe: endpoint.begin() },
      sentAt: dependencies.protocolNow(),
      beganAt: dependencies.now(),
    };
  }

  /** The same sink, with the time of the last write kept for the keep-alive. */
  #timed(sink: ReplySink): Pick<ReplySink, "startStream" | "write"> {
    return {
      startStream: (generationId, contentType) => sink.startStream(generationId, contentType),
      write: (chunk) => {
        this.#lastWriteAt = this.#parameters.dependencies.now();
        return sink.write(chunk);
      },
    };
  }

  #record({ offer, nonce }: Try, error?: ErrorCode): void {
    const latencyMs = this.#elapsed();
    const base = { providerId: offer.providerId, nonce, latencyMs };
    this.#attempts.push(error ? { ...base, status: "failed", error } : { ...base, status: "ok" });
  }

  /** Nobody served: frees the hold and says why. */
  #giveUp(): never | Promise<never> {
    const stopped = this.#stopReason !== undefined;
    const error = stopped ? this.#stopError() : failureOf(this.#parameters.held.terms.id, this.#attempts);
    return this.#free(stopped ? this.#stopCode() : error.code, () => {
      throw error;
    });
  }

  #conclude(tried: Try, end: Exclude<AttemptEnd, { kind: "failed" }>): boolean | Promise<boolean> {
    if (end.kind === "refused") {
      this.#record(tried, end.error.code);
      return this.#free(end.error.code, () => {
        throw end.error;
      });
    }
    if (end.kind === "complete")
      return this.#judge({ tried, statement: end.statement, wasCut: false }, (result) => {
        this.#reply(tried, end, result);
        return result.billing !== undefined;
      });
    return end.kind === "cut"
      ? this.#concludeCut(tried, end.error)
      : this.#concludeStopped(tried, end.statement);
  }

  /** The provider broke off: nothing is owed for what came. */
  #concludeCut(tried: Try, error: AimoError): boolean | Promise<boolean> {
    noteFault(this.#parameters.dependencies, tried, error);
    this.#record(tried, error.code);
    return this.#free(error.code, () => {
      this.#endCut(tried, error, { billing: undefined, note: FREE_CUT });
      return false;
    });
  }

  /** This relay broke off: what was delivered is billed, if the provider states it in time. */
  #concludeStopped(tried: Try, statement: UsageStatement | undefined): boolean | Promise<boolean> {
    const error = this.#stopError();
    if (!tried.attempt.started) return this.#giveUp();
    if (!statement) this.#record(tried);
    const end = (result: Result) => {
      this.#endCut(tried, error, result);
      return result.billing !== undefined;
    };
    return statement
      ? this.#judge({ tried, statement, wasCut: true }, end)
      : this.#free(this.#stopCode(), () => end({ billing: undefined, note: FREE_CUT }));
  }

  #stopCode(): ErrorCode | "cancelled" {
    return this.#stopReason === "cancelled" ? "cancelled" : this.#stopError().code;
  }

  #stopError(): AimoError {
    return typeof this.#stopReason === "object" ? this.#stopReason : cancelled();
  }

  /** Bills a statement that agrees with the relay's own count, anything else is free; `then` ends the reply. */
  #judge<T>({ tried, statement, wasCut }: Stated, then: (result: Result) => T): T | Promise<T> {
    const { dependencies, request, held } = this.#parameters;
    const { hold, feeBps, id } = held.terms;
    const { relayId, separator, log } = dependencies;
    const { offer, nonce, requestHash, attempt, sentAt } = tried;
    const worst = worstUnits(request.ask, offer, tried.maxTokens ?? 0) ?? [0, 0, 0];
    const delivered = attempt.delivered();
    const seen = { statement, requestHash, offer, relayId, separator, worst, delivered, sentAt };
    const { outcome, result, why } = outcomeOf({
      judgement: { ...seen, attempt: attempt.id },
      ...{ model: request.ask.model, nonce, feeBps, hold, attempts: this.#attempts, cancelled: wasCut },
      finishReason: wasCut ? null : attempt.meter.finishReason,
      latencyMs: (this.#firstByteAt ?? dependencies.now()) - this.#startedAt,
      generationMs: this.#elapsed(),
    });
    // Into the list that the outcome has: whose statement is rejected has failed, though its answer was delivered.
    this.#record(tried, why === undefined ? undefined : "provider_unavailable");
    if (why) {
      log.warn({ generation: id, provider: offer.providerId, reason: why }, "statement rejected");
      noteFault(dependencies, tried, new AimoError("provider_unavailable"));
    } else {
      const answer = { tried, statement, firstByteAt: this.#firstByteAt };
      if (!wasCut) noteServed(dependencies, request, answer);
      noteCount(dependencies, id, answer);
    }
    return this.#settle(outcome, () => then(result));
  }

  /** Ends a whole answer: the added chunk of a stream, or the body with what the relay adds. */
  #reply(tried: Try, { body, statement }: Extract<AttemptEnd, { kind: "complete" }>, result: Result): void {
    const { sink, request, held } = this.#parameters;
    const { id } = held.terms;
    const details = typeof body === "object" ? usageIn(body) : statement.details;
    const usage = usageJson(result.billing ?? FREE, details);
    const aimo = this.#meta(tried, result);
    if (sink.closed) return;
    if (typeof body === "string") sink.sendJson(id, body, tried.attempt.contentType);
    else if (body) {
      const replaceCounts = request.route === "chat" && result.billing !== undefined;
      sink.sendJson(id, JSON.stringify(withAdditions(body, { usage, aimo, replaceCounts })));
    } else if (this.#isAudio) sink.end();
    else {
      const isShown = request.ask.includeUsage || request.caller.showUsage === "always";
      const shown = isShown ? usage : undefined;
      sink.write(dataFrame(lastChunk({ ...this.#head(tried), usage: shown, aimo })));
      sink.write(DONE_FRAME);
      sink.end();
    }
  }

  /** Tells a client that is still there that its stream was cut. */
  #endCut(tried: Try, error: AimoError, result: Result): void {
    const { sink, request } = this.#parameters;
    if (this.#isAudio) sink.cut();
    if (sink.closed || this.#isAudio) return;
    const { error: body } = errorBody(error, request.requestId);
    sink.write(dataFrame(errorChunk({ ...this.#head(tried), aimo: this.#meta(tried, result) }, body)));
    sink.end();
  }

  #head({ attempt: { meter }, offer }: Try) {
    const created = meter.created ?? Math.floor(this.#startedAt / 1000);
    return { id: this.#parameters.held.terms.id, created, model: meter.model ?? offer.model.slug };
  }

  #meta({ offer, nonce, requestHash, maxTokens }: Try, { billing, note }: Result) {
    const { dependencies, request, held } = this.#parameters;
    const { id, epoch, clamped, hold } = held.terms;
    const wasLowered = clamped || (maxTokens !== undefined && maxTokens < (request.ask.maxTokens ?? 0));
    const { userId } = request.caller;
    return metaJson({
      ...{ offer, nonce, requestHash, billing, note, epoch, userId, hold },
      ...{ generationId: id, requestId: request.requestId },
      relayId: dependencies.relayId,
      balance: this.#balance,
      attempts: this.#attempts,
      latencyMs: this.#elapsed(),
      maxTokens: wasLowered ? maxTokens : undefined,
    });
  }

  #elapsed(): number {
    return this.#parameters.dependencies.now() - this.#startedAt;
  }

  #free<T>(reason: ErrorCode | "cancelled", then: () => T): T | Promise<T> {
    return this.#settle({ kind: "free", reason, attempts: this.#attempts }, then);
  }

  /**
   * Ends the hold, the first time; then does what follows. Where the books are in this process that is in the same turn,
   * so that what is kept of a reply is written together with its charge.
   */
  #settle<T>(outcome: Outcome, then: () => T): T | Promise<T> {
    if (this.#settled) return then();
    this.#settled = true;
    if (outcome.kind === "usage")
      this.usedTokens = outcome.statement.units.reduce((sum, count) => sum + count, 0);
    const committed = this.#parameters.held.commit(outcome);
    const go = (balance: ChannelBalance | undefined) => {
      this.#balance = balance;
      return then();
    };
    return committed instanceof Promise ? committed.then(go) : go(committed);
  }
}

/** Nobody reads this: the client is gone. */
const cancelled = () => new AimoError("timeout", { message: "The client ended the request." });
