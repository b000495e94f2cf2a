import { AimoError, type ErrorCode } from "@aimo/protocol/errors";
import type { UsageStatement } from "@aimo/protocol/session";
import type { Hex } from "viem";
import { ChatMeter, type Delivered, type FrameKind } from "../core/meter.ts";
import { AudioMeter, parseReply, readReply } from "../core/reply-meter.ts";
import type { Upstream, UpstreamCall, UpstreamHandler, UpstreamRequest } from "./ports.ts";
import type { ReplySink } from "./serve-ports.ts";

/** How one try at one provider ended. */
export type AttemptEnd =
  /** The whole answer, with the provider's statement. A stream has been forwarded; JSON or a text waits in `body`. */
  | {
      readonly kind: "complete";
      readonly statement: UsageStatement;
      readonly body: object | string | undefined;
    }
  /** Nothing reached the client: another provider may be tried. */
  | { readonly kind: "failed"; readonly error: AimoError }
  /** The request itself is at fault: no provider would take it. */
  | { readonly kind: "refused"; readonly error: AimoError }
  /** The stream broke off after its first frame. */
  | { readonly kind: "cut"; readonly error: AimoError }
  /** `stop` was called; the provider may have stated what was delivered. */
  | { readonly kind: "stopped"; readonly statement: UsageStatement | undefined };

export type AttemptParameters = {
  readonly upstream: Upstream;
  readonly request: UpstreamRequest;
  readonly sink: Pick<ReplySink, "startStream" | "write">;
  readonly maxReplyBytes: number;
  readonly stopWaitMs: number;
  /** The first content frame or the body's head is here. */
  readonly onFirstByte: () => void;
};

/** What a reply of speech may be. */
const AUDIO = /^(audio\/|application\/octet-stream)/;
/** An error body is for reading, not for storing. */
const MAX_ERROR_BYTES = 16 * 1024;
const MAX_ERROR_MESSAGE = 500;
const MAX_PROVIDER_CODE = 64;

/** Calls a provider once: forwards the frames of a stream as they come, and meters them in passing. */
export class Attempt implements UpstreamHandler {
  readonly ended: Promise<AttemptEnd>;
  /** 16 bytes: names the try to the provider. */
  readonly id: Hex;
  readonly meter: ChatMeter | AudioMeter;
  /** Set when a reply that is not a stream has been read. */
  items: Delivered | undefined;
  /** The first frame has been forwarded: from here on nobody else can serve. */
  started = false;
  readonly #parameters: AttemptParameters;
  #resolve: (end: AttemptEnd) => void = () => {};
  #call: UpstreamCall | undefined;
  #status = 0;
  #contentType = "";
  #retryAfterSeconds: number | undefined;
  #chunks: Uint8Array[] = [];
  #bytes = 0;
  #statement: UsageStatement | undefined;
  #phase: "open" | "stopping" | "ended" = "open";
  #timer: NodeJS.Timeout | undefined;

  constructor(parameters: AttemptParameters) {
    this.#parameters = parameters;
    this.id = parameters.request.attempt;
    this.meter = parameters.request.route === "speech" ? new AudioMeter() : new ChatMeter();
    this.ended = new Promise((resolve) => {
      this.#resolve = resolve;
    });
    this.#call = parameters.upstream.call(parameters.request, this);
  }

  /** What was delivered, by the relay's own count. */
  delivered(): Delivered {
    return this.items ?? this.meter.delivered();
  }

  get contentType(): string {
    return this.#contentType;
  }

  /** True while a comment may stand between its frames. */
  get takesComments(): boolean {
    return this.started && this.meter instanceof ChatMeter;
  }

  /** Stops the provider and waits, for a bounded time, for its statement of what was delivered. */
  stop(): void {
    if (this.#phase !== "open") return;
    this.#phase = "stopping";
    const frames = this.started ? this.meter.frames : 0;
    this.#call?.abort(frames);
    if (frames === 0) this.#end({ kind: "stopped", statement: undefined });
    else
      this.#timer = setTimeout(
        () => this.#end({ kind: "stopped", statement: this.#statement }),
        this.#parameters.stopWaitMs,
      );
  }

  /** The reader took what was buffered. */
  resume(): void {
    this.#call?.resume();
  }

  /** Nothing of an answer has come, so another provider may still overtake this one. */
  get isSilent(): boolean {
    return this.#phase === "open" && !this.started && (this.#parameters.request.stream || this.#status === 0);
  }

  onHead(status: number, contentType: string, retryAfterSeconds?: number): void {
    if (this.#phase !== "open") return;
    this.#status = status;
    this.#contentType = contentType;
    this.#retryAfterSeconds = retryAfterSeconds;
    const isAudio = this.#parameters.request.route === "speech";
    const isStream = isAudio ? AUDIO.test(contentType) : contentType.startsWith("text/event-stream");
    if (status === 200 && isStream !== this.#parameters.request.stream)
      this.#giveUp(fault("provider_unavailable", `The provider answered with ${contentType || "no type"}.`));
  }

  onBytes(chunk: Uint8Array): void {
    if (this.#phase !== "open") return;
    if (this.#status === 200 && this.#parameters.request.stream) this.#forward(chunk);
    else this.#collect(chunk);
  }

  onUsage(statement: UsageStatement): void {
    this.#statement = statement;
  }

  onEnd(): void {
    if (this.#phase === "stopping") this.#end({ kind: "stopped", statement: this.#statement });
    else if (this.#phase === "open") this.#end(this.#status === 200 ? this.#finish() : this.#refusal());
  }

  onError(error: AimoError): void {
    if (this.#phase === "stopping") this.#end({ kind: "stopped", statement: this.#statement });
    else if (this.#phase === "open") this.#end(this.#failure(error));
  }

  #forward(frame: Uint8Array): void {
    const { sink, onFirstByte, request } = this.#parameters;
    const kind = this.#meterFrame(frame);
    if (kind !== "content") return;
    if (!this.started) {
      this.started = true;
      onFirstByte();
      sink.startStream(request.id, request.route === "speech" ? this.#contentType : undefined);
    }
    if (!sink.write(frame)) this.#call?.pause();
  }

  /** Undefined when the frame is junk or an error, and the attempt has ended. */
  #meterFrame(frame: Uint8Array): FrameKind | undefined {
    try {
      const kind = this.meter.addFrame(frame);
      if (kind !== "error") return kind;
      this.#giveUp(fault("provider_unavailable", "The provider failed in the stream."));
    } catch (cause) {
      if (!(cause instanceof RangeError)) throw cause;
      this.#giveUp(fault("provider_unavailable", cause.message, cause));
    }
    return undefined;
  }

  #collect(chunk: Uint8Array): void {
    const limit = this.#status === 200 ? this.#parameters.maxReplyBytes : MAX_ERROR_BYTES;
    this.#bytes += chunk.length;
    if (this.#bytes <= limit) this.#chunks.push(chunk);
    else if (this.#status === 200)
      this.#giveUp(fault("provider_unavailable", `The provider's reply is longer than ${limit} bytes.`));
  }

  #finish(): AttemptEnd {
    const statement = this.#statement;
    const { stream } = this.#parameters.request;
    if (!statement)
      return this.#failure(fault("provider_unavailable", "The provider did not state the usage."));
    if (!stream) return this.#readBody(statement);
    if (this.meter instanceof AudioMeter) this.items = this.meter.whole();
    if (this.started) return { kind: "complete", statement, body: undefined };
    return this.#failure(fault("provider_unavailable", "The provider sent an empty stream."));
  }

  #readBody(statement: UsageStatement): AttemptEnd {
    const { route } = this.#parameters.request;
    try {
      const text = Buffer.concat(this.#chunks).toString();
      if (this.meter instanceof AudioMeter || route === "speech") throw new RangeError("Speech is a stream.");
      if (route !== "chat") {
        const reply = { contentType: this.#contentType, text };
        const { delivered, body } = readReply(route, reply, (base64) => Buffer.from(base64, "base64"));
        this.items = delivered;
        return { kind: "complete", statement, body };
      }
      const body = parseReply(text);
      this.meter.addBody(body);
      return { kind: "complete", statement, body };
    } catch (cause) {
      if (!(cause instanceof RangeError || cause instanceof SyntaxError)) throw cause;
      return this.#failure(fault("provider_unavailable", "The provider's reply cannot be read.", cause));
    }
  }

  /** A 4xx about the content is the client's; one about the relay (session, model, limits) and any 5xx is not. */
  #refusal(): AttemptEnd {
    const status = this.#status;
    const own = readError(Buffer.concat(this.#chunks).toString());
    if (status === 400 || status === 413 || status === 422) {
      const message = (own.message ?? `The provider refused the request with status ${status}.`).slice(
        0,
        MAX_ERROR_MESSAGE,
      );
      const code = own.code === undefined ? {} : { provider_code: own.code };
      const about = { message, details: { generation_id: this.#parameters.request.id, ...code } };
      const error = new AimoError("invalid_request", own.param ? { ...about, param: own.param } : about);
      return { kind: "refused", error };
    }
    const code: ErrorCode =
      status === 429 || status === 503
        ? "overloaded"
        : status === 408 || status === 504
          ? "timeout"
          : "provider_unavailable";
    const message = `The provider answered with status ${status}.`;
    const retryAfterSeconds = this.#retryAfterSeconds;
    const about = retryAfterSeconds === undefined ? { message } : { message, retryAfterSeconds };
    return { kind: "failed", error: new AimoError(code, about) };
  }

  #giveUp(error: AimoError): void {
    this.#end(this.#failure(error));
    this.#call?.abort(0);
  }

  #failure(error: AimoError): AttemptEnd {
    // The usage was stated, so all of the answer was here: only the connection's end went wrong.
    if (this.started && this.#statement)
      return { kind: "complete", statement: this.#statement, body: undefined };
    return this.started ? { kind: "cut", error } : { kind: "failed", error };
  }

  #end(end: AttemptEnd): void {
    if (this.#phase === "ended") return;
    this.#phase = "ended";
    clearTimeout(this.#timer);
    this.#chunks = [];
    this.#resolve(end);
  }
}

const fault = (code: ErrorCode, message: string, cause?: unknown) =>
  new AimoError(code, cause === undefined ? { message } : { message, cause });

/** What a provider's node says; `code` is its inference server's. */
function readError(text: string): { message?: string; param?: string; code?: string } {
  try {
    const { error } = JSON.parse(text) as {
      error?: { message?: unknown; param?: unknown; metadata?: { provider_code?: unknown } };
    };
    const code = error?.metadata?.provider_code;
    return {
      ...(typeof code === "string" ? { code: code.slice(0, MAX_PROVIDER_CODE) } : {}),
      ...(typeof error?.message === "string" ? { message: error.message } : {}),
      ...(typeof error?.param === "string" ? { param: error.param } : {}),
    };
  } catch {
    // Some servers answer errors in plain text: the status says enough.
    return {};
  }
}
