import type { AimoError } from "@aimo/protocol/errors";
import { Breaker } from "./breaker.ts";
import { LearnedCap } from "./learned-cap.ts";
import { Ewma, PeakEwma } from "./peak-ewma.ts";

/** Throughput varies with the length of answers: it is kept for longer than latency. */
export const THROUGHPUT_TAU_MS = 60_000;
/** What an endpoint is taken to need that is busy with its very first requests. Source: Finagle's default. */
export const UNKNOWN_FIRST_TOKEN_MS = 1_000;
/** An answer shorter than this, in tokens, says nothing of the speed. */
const MIN_TOKENS_FOR_SPEED = 8;
const MS_PER_SECOND = 1_000;

/** What an answer showed of its endpoint. */
export type Served = {
  readonly sentAt: number;
  /** Of a stream only: a whole body comes at once, when all is done. */
  readonly firstTokenMs: number | undefined;
  readonly tokens: number;
  /** In which the tokens came. */
  readonly generationMs: number;
};

/** One provider with one model, as this relay has seen it lately. Time is given; wall-clock milliseconds. */
export class Endpoint {
  inFlight = 0;
  readonly breaker = new Breaker();
  readonly cap = new LearnedCap();
  readonly firstToken = new PeakEwma();
  readonly throughput = new Ewma(THROUGHPUT_TAU_MS);

  /** A request is sent; give what it returns back to `end`. */
  begin(): boolean {
    this.inFlight++;
    return this.breaker.begin();
  }

  end(isProbe: boolean): void {
    this.inFlight--;
    this.breaker.end(isProbe);
  }

  onSuccess({ sentAt, firstTokenMs, tokens, generationMs }: Served, now: number): void {
    this.breaker.onSuccess(sentAt);
    this.cap.onSuccess();
    if (firstTokenMs !== undefined) this.firstToken.add(firstTokenMs, now);
    if (tokens >= MIN_TOKENS_FOR_SPEED && generationMs > 0)
      this.throughput.add((tokens * MS_PER_SECOND) / generationMs, now);
  }

  /** Call after `end`. A refusal for lack of room is no fault, unless the endpoint has no room for a single request. */
  onFailure({ code }: Pick<AimoError, "code">, sentAt: number, now: number): void {
    if (code === "overloaded") {
      this.cap.onRefusal(this.inFlight + 1, sentAt, now);
      if (this.inFlight > 0) return;
    }
    this.breaker.onFailure(now);
  }

  /** Another was faster by now: its own time is at least this. */
  onSlow(silentMs: number, now: number): void {
    if (silentMs > (this.firstToken.at(now) ?? 0)) this.firstToken.add(silentMs, now);
  }

  /** Peak EWMA of the time to the first token, for each request that would then be in flight. */
  cost(now: number): number {
    const expected = this.firstToken.at(now) ?? (this.inFlight > 0 ? UNKNOWN_FIRST_TOKEN_MS : 0);
    return expected * (this.inFlight + 1);
  }
}
