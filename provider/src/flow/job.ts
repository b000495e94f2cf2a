import { StringDecoder } from "node:string_decoder";
import { AimoError, isAimoError } from "@aimo/protocol/errors";
import { USAGE_EVENT, type UsageFrame, type UsageStatement } from "@aimo/protocol/session";
import { ChatRecord } from "../core/chat-record.ts";
import { editMembers } from "../core/json-edit.ts";
import type { CountedBy } from "../core/running-usage.ts";
import { type SseEvent, SseReader } from "../core/sse.ts";
import type { Route } from "../core/types.ts";
import type { Reply, UpstreamCall, UpstreamHandler } from "./ports.ts";
import { type Counter, heardAnswer, type JsonAnswer, readAnswer, textAnswer } from "./response.ts";
import { upstreamRefusal } from "./upstream-error.ts";
import { usageHeaders } from "./usage-headers.ts";

/** A JSON answer above this is refused: sixteen large pictures fit. */
export const MAX_ANSWER_BYTES = 64 * 1024 * 1024;
/** Of an upstream's refusal, this much is read. */
const MAX_REFUSAL_BYTES = 64 * 1024;

export type JobRequest = {
  readonly route: Route;
  readonly streamed: boolean;
  /** Id that the response carries. */
  readonly id: string;
  /** Public name of the model. */
  readonly slug: string;
  /** How the upstream means the counts inside its streams. */
  readonly countedBy: CountedBy;
};

/** What a job tells those who started it. */
export type JobEvents = {
  /** The first token, or the whole JSON answer, is there. */
  readonly onFirst: () => void;
  /** The inference server is done with this request: its slot is free. */
  readonly onUpstreamDone: () => void;
  /** States usage; the receipt is only signed when `onBilled` follows with the same statement. */
  readonly state: (answer: JsonAnswer) => UsageStatement;
  readonly onBilled: (statement: UsageStatement) => void;
  /** Nothing is owed. */
  readonly onFree: (reason: AimoError | "cancelled") => void;
  /** The relay hung up; `abort` may still say how much it got. */
  readonly onHungUp: () => void;
};

/**
 * One request on its way through: reads the upstream's answer, hands it on, and knows at any moment what was delivered.
 * Ends in exactly one of `onBilled` and `onFree`.
 */
export class Job implements UpstreamHandler {
  readonly #request: JobRequest;
  readonly #reply: Reply;
  readonly #events: JobEvents;
  readonly #count: Counter;
  readonly #record: ChatRecord;
  readonly #sse = new SseReader();
  readonly #decoder = new StringDecoder("utf8");
  readonly #edits: Readonly<Record<string, string | undefined>>;
  #call: UpstreamCall | undefined;
  #status = 0;
  #contentType = "";
  #retryAfter: number | undefined;
  #parts: Uint8Array[] = [];
  #bytes = 0;
  #done = false;
  #upstreamLeft = false;
  /** `open` while the upstream answers, `sent` when all is handed to the network, `cut` when the relay hung up. */
  #state: "open" | "sent" | "cut" | "settled" = "open";
  #statement: UsageStatement | undefined;

  constructor(request: JobRequest, reply: Reply, count: Counter, events: JobEvents) {
    this.#request = request;
    this.#record = new ChatRecord(request.countedBy);
    this.#reply = reply;
    this.#count = count;
    this.#events = events;
    this.#edits = {
      id: JSON.stringify(request.id),
      model: JSON.stringify(request.slug),
      usage: undefined,
    };
    reply.onClose((whole) => (whole ? this.#onSent() : this.#onHungUp()));
    reply.onDrain(() => this.#call?.resume());
  }

  /** Gives the job its call to the upstream. */
  begin(call: UpstreamCall): void {
    this.#call = call;
  }

  get settled(): boolean {
    return this.#state === "settled";
  }

  onHead(status: number, contentType: string, retryAfterSeconds: number | undefined): void {
    this.#status = status;
    this.#contentType = contentType;
    this.#retryAfter = retryAfterSeconds;
    const streams = contentType.startsWith("text/event-stream");
    if (status === 200 && streams !== this.#request.streamed)
      this.#fail(
        new AimoError("provider_unavailable", {
          message: streams
            ? "The inference server streamed unasked."
            : "The inference server did not stream.",
        }),
      );
  }

  onData(chunk: Uint8Array): void {
    if (this.#state !== "open") return;
    if (this.#status === 200 && this.#request.streamed) {
      this.#guard(() => this.#forward(this.#sse.push(this.#decoder.write(chunk))));
      return;
    }
    this.#bytes += chunk.length;
    if (this.#status === 200 && this.#bytes > MAX_ANSWER_BYTES)
      this.#fail(broken(`The inference server's answer is larger than ${MAX_ANSWER_BYTES} bytes.`));
    else if (this.#status === 200 || this.#bytes <= MAX_REFUSAL_BYTES) this.#parts.push(chunk);
  }

  onEnd(): void {
    if (this.#state !== "open") return;
    const body = () => Buffer.concat(this.#parts).toString();
    if (this.#status !== 200) this.#fail(upstreamRefusal(this.#status, body(), this.#retryAfter));
    else if (this.#request.streamed) this.#guard(() => this.#endStream());
    else this.#guard(() => this.#answer(body()));
  }

  onError(error: AimoError): void {
    if (this.#state === "open") this.#fail(error);
  }

  /** The node is stopping: breaks off. Free for the user. */
  cancel(error: AimoError): void {
    if (this.#state === "open") this.#fail(error);
    else if (this.#state === "cut") this.giveUp();
  }

  /**
   * The relay got `frames` content frames and wants no more: stops the upstream and signs for those at most.
   * Undefined when nothing is owed.
   */
  abort(frames: number): UsageStatement | undefined {
    if (this.#state === "settled") return this.#lower(frames);
    const delivered = Math.min(frames, this.#record.frames);
    const open = this.#state === "open";
    this.#stop();
    this.#state = "settled";
    const statement = delivered > 0 ? this.#stateUpTo(delivered) : undefined;
    if (open && statement) this.#endWith(statement);
    else if (open) this.#reply.cut();
    this.#settle(statement, "cancelled");
    return statement;
  }

  /** No abort came in time after the relay hung up: nothing was delivered as far as anyone knows. */
  giveUp(): void {
    if (this.#state !== "cut") return;
    this.#state = "settled";
    this.#settle(undefined, "cancelled");
  }

  /** The relay says, after all was signed, that it got less: a lower receipt replaces the first. */
  #lower(frames: number): UsageStatement | undefined {
    const signed = this.#statement;
    if (frames <= 0) return undefined;
    if (!signed || frames >= this.#record.frames || !this.#request.streamed) return signed;
    const lower = this.#stateUpTo(frames);
    if (BigInt(lower.cost) >= BigInt(signed.cost)) return signed;
    this.#statement = lower;
    this.#events.onBilled(lower);
    return lower;
  }

  #forward(events: readonly SseEvent[]): void {
    let out = "";
    for (const { data } of events) {
      if (this.#done) break;
      if (data === "[DONE]") {
        this.#done = true;
        break;
      }
      if (this.#record.addChunk(JSON.parse(data)) === "usage") continue;
      if (this.#record.frames === 1) this.#events.onFirst();
      out += `data: ${editMembers(data, this.#edits).replaceAll("\n", " ")}\n\n`;
    }
    if (out !== "" && !this.#reply.write(out)) this.#call?.pause();
  }

  #endStream(): void {
    this.#forward(this.#sse.push(this.#decoder.end()));
    this.#forward(this.#sse.end());
    // Some servers leave out [DONE]; one that also left out the finish reasons broke off.
    if (this.#record.frames === 0 || !(this.#done || this.#record.finished))
      throw broken("The inference server's stream broke off.");
    this.#leaveUpstream();
    this.#statement = this.#stateUpTo(this.#record.frames);
    this.#state = "sent";
    this.#endWith(this.#statement);
  }

  #endWith(statement: UsageStatement): void {
    const frame: UsageFrame = { statement, mac: this.#reply.macOf(JSON.stringify(statement)) };
    this.#reply.write(`event: ${USAGE_EVENT}\ndata: ${JSON.stringify(frame)}\n\ndata: [DONE]\n\n`);
    this.#reply.end();
  }

  #answer(text: string): void {
    const { route } = this.#request;
    // Subtitles and the like.
    if (route === "transcriptions" && !this.#contentType.startsWith("application/json")) {
      this.#send(heardAnswer(text, this.#count.input(undefined)), text);
      return;
    }
    const parsed = JSON.parse(text) as object;
    const answer = readAnswer(route, parsed, this.#count);
    const { id, model } = this.#edits;
    // Answers of the other routes have no id, and not all name the model.
    const named = Object.hasOwn(parsed, "model") ? { model } : {};
    this.#contentType = "application/json";
    this.#send(answer, editMembers(text, route === "chat" ? { id, model } : named));
  }

  #send(answer: JsonAnswer, body: string): void {
    this.#events.onFirst();
    this.#leaveUpstream();
    const statement = this.#events.state(answer);
    this.#statement = statement;
    this.#state = "sent";
    const type = { "content-type": this.#contentType };
    this.#reply.json(200, Buffer.from(body), { ...type, ...usageHeaders(statement, this.#reply) });
  }

  #stateUpTo(frames: number): UsageStatement {
    return this.#events.state(textAnswer(this.#record, frames, this.#count));
  }

  #onSent(): void {
    if (this.#state !== "sent") return;
    this.#state = "settled";
    this.#settle(this.#statement, "cancelled");
  }

  #onHungUp(): void {
    if (this.#state !== "open" && this.#state !== "sent") return;
    this.#stop();
    this.#statement = undefined;
    this.#state = "cut";
    if (this.#record.frames > 0) this.#events.onHungUp();
    else this.giveUp();
  }

  #stop(): void {
    if (this.#state !== "open") return;
    this.#call?.abort();
    this.#leaveUpstream();
  }

  #leaveUpstream(): void {
    if (this.#upstreamLeft) return;
    this.#upstreamLeft = true;
    this.#events.onUpstreamDone();
  }

  /** Runs what reads the upstream's bytes; junk in them is the upstream's failure. */
  #guard(work: () => void): void {
    try {
      work();
    } catch (error) {
      this.#fail(isAimoError(error) ? error : broken("The inference server's answer is not valid.", error));
    }
  }

  #fail(error: AimoError): void {
    if (this.#state !== "open") return;
    this.#stop();
    this.#state = "settled";
    if (this.#record.frames > 0) this.#reply.cut();
    else this.#reply.error(error);
    this.#settle(undefined, error);
  }

  #settle(statement: UsageStatement | undefined, reason: AimoError | "cancelled"): void {
    this.#parts = [];
    this.#statement = statement;
    if (statement) this.#events.onBilled(statement);
    else this.#events.onFree(reason);
  }
}

function broken(message: string, cause?: unknown): AimoError {
  return new AimoError("provider_unavailable", { message, ...(cause === undefined ? {} : { cause }) });
}
