import type { StreamHead } from "@aimo/node/stream-frames";
import { AimoError } from "@aimo/protocol/errors";
import { INFER_PATH, SESSION_HEADERS, USAGE_EVENT } from "@aimo/protocol/session";
import type { Dispatcher } from "undici";
import { FrameSplitter, readFrame } from "../core/sse.ts";
import type { UpstreamCall, UpstreamHandler, UpstreamRequest } from "../flow/ports.ts";
import { toUpstreamError } from "./origin.ts";
import type { ProviderSession } from "./provider-session.ts";
import type { SessionKeys, Signed } from "./session-keys.ts";
import type { StreamHandler } from "./stream-channel.ts";

const LETTER_E = 0x65;
const COLON = 0x3a;
const DONE = Buffer.from("data: [DONE]");

/** What carries the answer: a stream of the session's channel, or an exchange of its own over HTTP. */
type Carrier = { pause(): void; resume(): void; abort(reason: Error): void };

/** One inference request on a session: bytes pass through as they come, the provider's statement is taken out. */
export class InferCall implements UpstreamCall, StreamHandler, Dispatcher.DispatchHandler {
  readonly #session: ProviderSession;
  readonly #request: UpstreamRequest;
  readonly #handler: UpstreamHandler;
  /** Of a stream, with what takes its frames. */
  #splitter: FrameSplitter | undefined;
  #takeFrame: (frame: Uint8Array) => void = () => {};
  #carrier: Carrier | undefined;
  #keys: SessionKeys | undefined;
  #signed: Signed | undefined;
  /** Its headers had a statement; given on when the body is whole. */
  #usageHeaders: { usage: string; mac: string } | undefined;
  #wasRepeated = false;
  #mustRepeat = false;
  #ended = false;

  constructor(session: ProviderSession, request: UpstreamRequest, handler: UpstreamHandler) {
    this.#session = session;
    this.#request = request;
    this.#handler = handler;
    const { keys } = session;
    if (keys) this.#send(keys);
    else this.#sendWhenOpen();
  }

  pause(): void {
    this.#carrier?.pause();
  }

  resume(): void {
    this.#carrier?.resume();
  }

  abort(frames: number): void {
    if (this.#ended) return;
    this.#ended = true;
    void this.#askStatement(frames);
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#carrier = controller;
    if (this.#ended) controller.abort(aborted());
  }

  onResponseStart(
    _controller: Dispatcher.DispatchController,
    status: number,
    headers: Record<string, string | string[] | undefined>,
  ): void {
    if (status < 200) return;
    const { usage = "", mac: usageMac = "" } = usageIn(headers) ?? {};
    this.onStreamHead({
      status,
      contentType: textOf(headers["content-type"]),
      usage,
      usageMac,
      retryAfter: textOf(headers["retry-after"]),
    });
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.onStreamData(chunk);
  }

  onResponseEnd(_controller: Dispatcher.DispatchController, trailers: Headers_): void {
    // Of audio, which leaves before its usage is known, they stand at the end.
    this.onStreamEnd(usageIn(trailers));
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    this.onStreamError(toUpstreamError(error));
  }

  onStreamHead({ status, contentType, usage, usageMac, retryAfter }: StreamHead): void {
    if (this.#ended) return;
    // The provider was started anew and knows nothing of this session: nothing was done, so the request may go again.
    this.#mustRepeat = status === 401 && !this.#wasRepeated;
    if (this.#mustRepeat) return;
    if (usage !== "" && usageMac !== "") this.#usageHeaders = { usage, mac: usageMac };
    if (status === 200 && contentType.startsWith("text/event-stream")) {
      this.#splitter = new FrameSplitter();
      this.#takeFrame = (frame) => this.#onFrame(frame);
    }
    this.#handler.onHead(status, contentType, secondsOf(retryAfter));
  }

  onStreamData(chunk: Buffer): void {
    if (this.#ended || this.#mustRepeat) return;
    if (!this.#splitter) {
      this.#handler.onBytes(chunk);
      return;
    }
    try {
      this.#splitter.push(chunk, this.#takeFrame);
    } catch (cause) {
      if (!(cause instanceof RangeError)) throw cause;
      this.#fail(new AimoError("provider_unavailable", { message: cause.message, cause }));
      this.#carrier?.abort(aborted());
    }
  }

  onStreamEnd(usageAtEnd?: { usage: string; mac: string }): void {
    if (this.#ended) return;
    if (this.#mustRepeat) {
      this.#mustRepeat = false;
      this.#wasRepeated = true;
      if (this.#keys) this.#session.forget(this.#keys);
      this.#sendWhenOpen();
      return;
    }
    this.#ended = true;
    this.#usageHeaders ??= usageAtEnd;
    if (this.#usageHeaders && this.#keys && this.#signed) {
      const { usage, mac } = this.#usageHeaders;
      const statement = this.#keys.readUsageHeaders(this.#signed, usage, mac);
      if (statement) this.#handler.onUsage(statement);
    }
    this.#handler.onEnd();
  }

  onStreamError(error: AimoError): void {
    this.#fail(error);
  }

  #onFrame(frame: Uint8Array): void {
    if (this.#ended) return;
    const first = frame[0];
    if (first === COLON) return;
    if (first === LETTER_E) this.#onNamedFrame(frame);
    else if (!startsWith(frame, DONE)) this.#handler.onBytes(frame);
  }

  #onNamedFrame(frame: Uint8Array): void {
    const { event, data } = readFrame(frame);
    if (event !== USAGE_EVENT || data === undefined) {
      this.#handler.onBytes(frame);
      return;
    }
    const statement = this.#signed && this.#keys?.readUsageFrame(this.#signed, data);
    if (statement) this.#handler.onUsage(statement);
  }

  #sendWhenOpen(): void {
    this.#session.opened().then(
      (keys) => this.#send(keys),
      (error: unknown) => this.#fail(toUpstreamError(error)),
    );
  }

  #send(keys: SessionKeys): void {
    if (this.#ended) return;
    const { offer, route, attempt, requestHash, body, id, maxTokens, stream } = this.#request;
    const limit = maxTokens === undefined ? "" : `&max=${maxTokens}`;
    const path =
      `${INFER_PATH}/${route}?attempt=${attempt}&request=${requestHash}&model=${offer.model.modelId}` +
      `&price=${offer.price.version}&id=${id}${limit}`;
    const { headers, signed } = keys.sign("POST", path, body);
    this.#keys = keys;
    this.#signed = signed;
    // Audio goes by itself: it is large, and has its usage in trailers, or a type of its own, which frames do not know.
    const isAudio = route === "speech" || route === "transcriptions";
    const channel = isAudio ? undefined : this.#session.channel.of(keys);
    if (channel?.takes(body.length)) {
      const mac = headers[SESSION_HEADERS.mac] ?? "";
      this.#carrier = channel.send({ seq: signed.seq, mac, stream, path, body }, this);
      return;
    }
    const accept = stream ? "text/event-stream" : "application/json";
    const all = { ...headers, "content-type": "application/json", accept };
    this.#session.origin.dispatch({ path, headers: all, body }, this);
  }

  /** Asks what the provider signs for the frames that arrived, and lets go of the connection. */
  async #askStatement(frames: number): Promise<void> {
    // Read no more, so that nothing piles up; the answer to the abort says it all.
    this.#carrier?.pause();
    try {
      const statement = await this.#session.abort(this.#request.attempt, frames);
      if (statement) this.#handler.onUsage(statement);
      this.#handler.onEnd();
    } catch (error) {
      this.#handler.onError(toUpstreamError(error));
    } finally {
      this.#carrier?.abort(aborted());
    }
  }

  #fail(error: AimoError): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#handler.onError(error);
  }
}

type Headers_ = Record<string, string | string[] | undefined>;

function usageIn(headers: Headers_ | undefined): { usage: string; mac: string } | undefined {
  const { [SESSION_HEADERS.usage]: usage, [SESSION_HEADERS.usageMac]: mac } = headers ?? {};
  return typeof usage === "string" && typeof mac === "string" ? { usage, mac } : undefined;
}

/** Seconds, or undefined: where the header is a date, the relay's own judgement serves as well. */
function secondsOf(text: string): number | undefined {
  return /^\d{1,9}$/.test(text) ? Number(text) : undefined;
}

const aborted = () => new AimoError("provider_unavailable", { message: "The relay ended the request." });

const textOf = (value: unknown): string => (typeof value === "string" ? value : "");

function startsWith(frame: Uint8Array, head: Uint8Array): boolean {
  return frame.length >= head.length && head.every((byte, index) => frame[index] === byte);
}
