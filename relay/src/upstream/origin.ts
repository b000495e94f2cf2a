import type { Duplex } from "node:stream";
import { AimoError } from "@aimo/protocol/errors";
import { type Dispatcher, Pool } from "undici";

/** The one place that knows undici: pools of connections to one provider, for inference and for the session's own messages. */

export type OriginLimits = {
  /** Connections for inference; more requests wait for a free one. */
  readonly connections: number;
  readonly connectMs: number;
  /** Until the head of a response: for a stream, the time to its first token. */
  readonly firstByteMs: number;
  /** Longest silence within a response. */
  readonly idleMs: number;
};

/** Idle providers would otherwise pay a handshake per request; theirs lives longer still. */
const KEEP_ALIVE_MS = 60_000;
/** The events stream, an acknowledgement and aborts, apart from inference so that neither waits for the other. */
const CONTROL_CONNECTIONS = 8;
const CONTROL_TIMEOUT_MS = 5_000;
/** Session messages are a few hundred bytes. */
const MAX_CONTROL_BYTES = 64 * 1024;

export type ControlReply = { readonly status: number; readonly text: string };
export type ControlRequest = {
  readonly method: "GET" | "POST";
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array;
};

export class Origin {
  readonly limits: OriginLimits;
  readonly #inference: Pool;
  readonly #control: Pool;

  constructor(origin: string, limits: OriginLimits) {
    const { connections, connectMs, firstByteMs, idleMs } = limits;
    this.limits = limits;
    const shared = {
      pipelining: 1,
      allowH2: false,
      keepAliveTimeout: KEEP_ALIVE_MS,
      keepAliveMaxTimeout: KEEP_ALIVE_MS,
      connect: { timeout: connectMs },
    };
    this.#inference = new Pool(origin, {
      ...shared,
      connections,
      headersTimeout: firstByteMs,
      bodyTimeout: idleMs,
    });
    this.#control = new Pool(origin, {
      ...shared,
      connections: CONTROL_CONNECTIONS,
      headersTimeout: CONTROL_TIMEOUT_MS,
      bodyTimeout: CONTROL_TIMEOUT_MS,
    });
  }

  /** Sends an inference request; `handler` gets the bytes as they come, never before this returns. */
  dispatch(
    request: { path: string; headers: Record<string, string>; body: Uint8Array },
    handler: Dispatcher.DispatchHandler,
  ): void {
    this.#inference.dispatch({ ...request, method: "POST" }, handler);
  }

  /** One small message. Throws `timeout` or `provider_unavailable`. */
  async send({ method, path, headers = {}, body }: ControlRequest): Promise<ControlReply> {
    try {
      const type = body ? { "content-type": "application/json" } : {};
      const request = { method, path, headers: { ...type, ...headers }, body: body ?? null };
      const { statusCode, body: stream } = await this.#control.request(request);
      let text = "";
      for await (const chunk of stream.setEncoding("utf8")) {
        text += chunk;
        if (text.length > MAX_CONTROL_BYTES)
          throw new RangeError(`The reply is above ${MAX_CONTROL_BYTES} bytes.`);
      }
      return { status: statusCode, text };
    } catch (cause) {
      throw toUpstreamError(cause);
    }
  }

  /** Opens a long response. Throws as `send`; iterating throws when it breaks or is silent for `silenceMs`. */
  async open(
    { path, headers = {} }: Omit<ControlRequest, "body" | "method">,
    { silenceMs, signal }: { silenceMs: number; signal: AbortSignal },
  ): Promise<AsyncIterable<Uint8Array>> {
    try {
      const options = { method: "GET" as const, path, headers, bodyTimeout: silenceMs, signal };
      const { statusCode, body } = await this.#control.request(options);
      if (statusCode === 200) return body;
      await body.dump();
      throw new AimoError("provider_unavailable", {
        message: `The provider answered with status ${statusCode}.`,
      });
    } catch (cause) {
      throw toUpstreamError(cause);
    }
  }

  /** Asks for a connection that speaks `protocol`; it is the caller's then. Throws as `send`, also when refused. */
  async upgrade(path: string, headers: Readonly<Record<string, string>>, protocol: string): Promise<Duplex> {
    try {
      const { socket } = await this.#control.upgrade({ path, headers: { ...headers }, protocol });
      return socket;
    } catch (cause) {
      throw toUpstreamError(cause);
    }
  }

  /** Ends every connection. */
  async close(): Promise<void> {
    await Promise.all([this.#inference.destroy(), this.#control.destroy()]);
  }
}

const TIMEOUTS = new Set(["UND_ERR_HEADERS_TIMEOUT", "UND_ERR_BODY_TIMEOUT", "UND_ERR_CONNECT_TIMEOUT"]);

/** A failure of the connection in the words of our table. */
export function toUpstreamError(cause: unknown): AimoError {
  if (cause instanceof AimoError) return cause;
  const code = cause instanceof Error && "code" in cause ? String(cause.code) : "";
  const isTimeout = TIMEOUTS.has(code) || code === "ETIMEDOUT";
  const message = isTimeout
    ? "The provider did not answer in time."
    : "The connection to the provider failed.";
  return new AimoError(isTimeout ? "timeout" : "provider_unavailable", { message, cause });
}
