import { AimoError } from "@aimo/protocol/errors";
import { INFER_PATH, SESSION_HEADERS, USAGE_EVENT } from "@aimo/protocol/session";
import type { Dispatcher } from "undici";
import { FrameSplitter, readFrame } from "../core/sse.ts";
import type { UpstreamCall, UpstreamHandler, UpstreamRequest } from "../flow/ports.ts";
import { toUpstreamError } from "./origin.ts";
import type { ProviderSession } from "./provider-session.ts";
import type { SessionKeys, Signed } from "./session-keys.ts";

const LETTER_E = 0x65;
const COLON = 0x3a;
const DONE = Buffer.from("data: [DONE]");

/** One inference request on a session: bytes pass through as they come, the provider's statement is taken out. */
export class InferCall implements UpstreamCall, Dispatcher.DispatchHandler {
  readonly #session: ProviderSession;
  readonly #request: UpstreamRequest;
  readonly #handler: UpstreamHandler;
  #splitter: FrameSplitter | undefined;
  #controller: Dispatcher.DispatchController | undefined;
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
    this.#controller?.pause();
  }

  resume(): void {
    this.#controller?.resume();
  }

  abort(frames: number): void {
    if (this.#ended) return;
    this.#ended = true;
    void this.#askStatement(frames);
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    if (this.#ended) controller.abort(aborted());
  }

  onResponseStart(
    _controller: Dispatcher.DispatchController,
    status: number,
    headers: Record<string, string | string[] | undefined>,
  ): void {
    if (this.#ended || status < 200) return;
    // The provider was started anew and knows nothing of this session: nothing was done, so the request may go again.
    this.#mustRepeat = status === 401 && !this.#wasRepeated;
    if (this.#mustRepeat) return;
    const { "content-type": type } = headers;
    this.#usageHeaders = usageIn(headers);
    const contentType = typeof type === "string" ? type : "";
    if (status === 200 && contentType.startsWith("text/event-stream")) this.#splitter = new FrameSplitter();
    this.#handler.onHead(status, contentType);
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.#ended || this.#mustRepeat) return;
    if (!this.#splitter) {
      this.#handler.onBytes(chunk);
      return;
    }
    try {
      this.#splitter.push(chunk, (frame) => this.#onFrame(frame));
    } catch (cause) {
      if (!(cause instanceof RangeError)) throw cause;
      this.#fail(new AimoError("provider_unavailable", { message: cause.message, cause }));
      controller.abort(aborted());
    }
  }

  onResponseEnd(_controller: Dispatcher.DispatchController, trailers: Headers_): void {
    if (this.#ended) return;
    if (this.#mustRepeat) {
      this.#mustRepeat = false;
      this.#wasRepeated = true;
      if (this.#keys) this.#session.forget(this.#keys);
      this.#sendWhenOpen();
      return;
    }
    this.#ended = true;
    // Of audio, which leaves before its usage is known, they stand at the end.
    this.#usageHeaders ??= usageIn(trailers);
    if (this.#usageHeaders && this.#keys && this.#signed) {
      const { usage, mac } = this.#usageHeaders;
      const statement = this.#keys.readUsageHeaders(this.#signed, usage, mac);
      if (statement) this.#handler.onUsage(statement);
    }
    this.#handler.onEnd();
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    this.#fail(toUpstreamError(error));
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
    const accept = stream ? "text/event-stream" : "application/json";
    const all = { ...headers, "content-type": "application/json", accept };
    this.#session.origin.dispatch({ path, headers: all, body }, this);
  }

  /** Asks what the provider signs for the frames that arrived, and lets go of the connection. */
  async #askStatement(frames: number): Promise<void> {
    // Read no more, so that nothing piles up; the answer to the abort says it all.
    this.#controller?.pause();
    try {
      const statement = await this.#session.abort(this.#request.attempt, frames);
      if (statement) this.#handler.onUsage(statement);
      this.#handler.onEnd();
    } catch (error) {
      this.#handler.onError(toUpstreamError(error));
    } finally {
      this.#controller?.abort(aborted());
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

const aborted = () => new AimoError("provider_unavailable", { message: "The relay ended the request." });

function startsWith(frame: Uint8Array, head: Uint8Array): boolean {
  return frame.length >= head.length && head.every((byte, index) => frame[index] === byte);
}
