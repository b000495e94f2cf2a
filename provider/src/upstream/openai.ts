import type { IncomingHttpHeaders } from "node:http";
import { AimoError } from "@aimo/protocol/errors";
import { type Dispatcher, Pool } from "undici";
import type { Route } from "../core/types.ts";
import { VENDORS, type Vendor, type VendorName } from "../core/vendors.ts";
import type { Upstream, UpstreamCall, UpstreamHandler } from "../flow/ports.ts";

export type OpenaiUpstreamOptions = {
  /** Ends in the version, e.g. `http://127.0.0.1:8000/v1`. */
  readonly baseUrl: string;
  readonly apiKey: string | undefined;
  readonly vendor: VendorName;
  /** Instead of the vendor's own: what this server does. */
  readonly continuousUsage?: Vendor["continuousUsage"] | undefined;
  readonly connectTimeoutMs: number;
  /** Until the first byte of the answer: a long prompt is read in this time. */
  readonly firstByteTimeoutMs: number;
  /** Between two pieces of an answer. */
  readonly stallTimeoutMs: number;
  readonly connections: number;
};

const PATHS: Readonly<Record<Route, string>> = {
  chat: "/chat/completions",
  embeddings: "/embeddings",
  images: "/images/generations",
  transcriptions: "/audio/transcriptions",
  speech: "/audio/speech",
  moderations: "/moderations",
};
/** Idle connections are kept this long: a new one costs a round trip and, with TLS, several. */
const KEEP_ALIVE_MS = 60_000;

/** An OpenAI-compatible inference server, over a kept-alive pool. */
export function createOpenaiUpstream(options: OpenaiUpstreamOptions): Upstream {
  const url = new URL(options.baseUrl);
  const vendor = VENDORS[options.vendor];
  const base = url.pathname.replace(/\/+$/, "");
  const pool = new Pool(url.origin, {
    connections: options.connections,
    pipelining: 1,
    allowH2: false,
    keepAliveTimeout: KEEP_ALIVE_MS,
    headersTimeout: options.firstByteTimeoutMs,
    bodyTimeout: options.stallTimeoutMs,
    connect: { timeout: options.connectTimeoutMs },
  });
  const headers = {
    "content-type": "application/json",
    ...(options.apiKey === undefined ? {} : { authorization: `Bearer ${options.apiKey}` }),
  };
  return {
    vendor: { ...vendor, continuousUsage: options.continuousUsage ?? vendor.continuousUsage },
    call: (route, { content, contentType, streamed }, handler) => {
      const exchange = new Exchange(handler);
      const type = contentType === undefined ? {} : { "content-type": contentType };
      const all = { ...headers, ...type, accept: acceptOf(route, streamed) };
      pool.dispatch({ method: "POST", path: base + PATHS[route], headers: all, body: content }, exchange);
      return exchange;
    },
    close: () => pool.destroy(),
  };
}

function acceptOf(route: Route, streamed: boolean): string {
  if (route === "speech" || route === "transcriptions") return "*/*";
  return streamed ? "text/event-stream" : "application/json";
}

/** undici's dispatch is the one interface of it that costs nothing per chunk; it is known only here. */
class Exchange implements Dispatcher.DispatchHandler, UpstreamCall {
  readonly #handler: UpstreamHandler;
  #controller: Dispatcher.DispatchController | undefined;
  #aborted = false;

  constructor(handler: UpstreamHandler) {
    this.#handler = handler;
  }

  pause(): void {
    this.#controller?.pause();
  }

  resume(): void {
    if (this.#controller?.paused) this.#controller.resume();
  }

  abort(): void {
    this.#aborted = true;
    this.#controller?.abort(new Error("The relay wants no more."));
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    // Aborted while it waited for a connection.
    if (this.#aborted) controller.abort(new Error("The relay wants no more."));
  }

  onResponseStart(_: Dispatcher.DispatchController, status: number, headers: IncomingHttpHeaders): void {
    if (status < 200 || this.#aborted) return;
    const retry = Number(headers["retry-after"]);
    this.#handler.onHead(
      status,
      headers["content-type"] ?? "",
      Number.isFinite(retry) && retry > 0 ? Math.min(retry, 3_600) : undefined,
    );
  }

  onResponseData(_: Dispatcher.DispatchController, chunk: Buffer): void {
    if (!this.#aborted) this.#handler.onData(chunk);
  }

  onResponseEnd(): void {
    if (!this.#aborted) this.#handler.onEnd();
  }

  onResponseError(_: Dispatcher.DispatchController, error: Error): void {
    if (!this.#aborted) this.#handler.onError(faultOf(error));
  }
}

const TIMEOUTS = new Set(["UND_ERR_CONNECT_TIMEOUT", "UND_ERR_HEADERS_TIMEOUT", "UND_ERR_BODY_TIMEOUT"]);

function faultOf(cause: Error): AimoError {
  const code = "code" in cause ? String(cause.code) : cause.name;
  if (TIMEOUTS.has(code))
    return new AimoError("timeout", { message: "The inference server did not answer in time.", cause });
  return new AimoError("provider_unavailable", {
    message: `The connection to the inference server failed (${code}).`,
    cause,
  });
}
