import { ROUTE_HEADERS } from "@aimo/protocol/routes";
import { type Hex, keccak256 } from "viem";
import type { ClientConfig } from "./config.ts";
import { createDeadline, type Deadline } from "./deadline.ts";
import { AimoError, errorFromAnswer } from "./errors.ts";
import { isRetryable, retryDelayMs, wait } from "./retry.ts";

export type RequestOptions = {
  readonly signal?: AbortSignal | undefined;
  readonly timeoutMs?: number | undefined;
  readonly maxRetries?: number | undefined;
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** Repeating a request with the same key is never billed twice. Default: a fresh one for each POST. */
  readonly idempotencyKey?: string | undefined;
};

type Call = RequestOptions & {
  readonly method: "GET" | "POST" | "PATCH" | "DELETE";
  /** Path below the base URL; a whole URL stands for itself. */
  readonly path: string;
  readonly body?: object | undefined;
};

/** A good answer, its body unread. The deadline runs until `release`. */
export type Answer = {
  readonly response: Response;
  readonly requestId: string | undefined;
  readonly generationId: string | undefined;
  /** The relay had the answer already: it is free, and `generationId` is the request that it was made for. */
  readonly isCached: boolean;
  /** keccak of the body that was sent, byte for byte. */
  readonly bodyHash: Hex;
  readonly deadline: Deadline;
};

export type Transport = {
  readonly baseURL: string;
  /** Sends, with retries. Throws AimoError: the relay's own, `relay_unavailable`, `timeout`, `cancelled`. */
  send(call: Call): Promise<Answer>;
  /** The JSON of an answer. Throws `relay_unavailable` when it breaks off or is no JSON. */
  read<T>(answer: Answer): Promise<T>;
  /** `send`, then `read`. */
  json<T>(call: Call): Promise<T>;
};

export function createTransport(config: ClientConfig): Transport {
  async function send(call: Call): Promise<Answer> {
    const text = call.body === undefined ? undefined : JSON.stringify(call.body);
    const body = text === undefined ? undefined : new TextEncoder().encode(text);
    const bodyHash = keccak256(body ?? new Uint8Array());
    const headers = headersOf(config, call, body !== undefined);
    const retries = call.maxRetries ?? config.maxRetries;
    for (let attempt = 0; ; attempt++) {
      const deadline = createDeadline(call.timeoutMs ?? config.timeoutMs, call.signal);
      const result = await tryOnce({ config, call, headers, body, deadline });
      if ("response" in result) return { ...result, bodyHash, deadline };
      deadline.release();
      const { error, retryAfter, isFinal } = result;
      const random = Math.random();
      const delayMs =
        isFinal || attempt >= retries
          ? undefined
          : retryDelayMs({ attempt, retryAfter, nowMs: Date.now(), random });
      if (delayMs === undefined) throw error;
      await wait(delayMs, call.signal).catch(() => {
        throw new AimoError("cancelled", { status: 0, cause: error });
      });
    }
  }

  const json = async <T>(call: Call): Promise<T> => readJson<T>(await send(call));
  return { baseURL: config.baseURL, send, read: readJson, json };
}

async function readJson<T>(answer: Answer): Promise<T> {
  const text = await readText(answer);
  try {
    return (text === "" ? undefined : JSON.parse(text)) as T;
  } catch (cause) {
    const { response, requestId } = answer;
    const message = "The relay's answer is not JSON.";
    throw new AimoError("relay_unavailable", { message, status: response.status, requestId, cause });
  }
}

function headersOf(config: ClientConfig, call: Call, hasBody: boolean): Headers {
  const headers = new Headers({ accept: "application/json", ...config.defaultHeaders });
  if (config.apiKey !== undefined) headers.set("authorization", `Bearer ${config.apiKey}`);
  if (hasBody) headers.set("content-type", "application/json");
  if (call.method === "POST")
    headers.set(ROUTE_HEADERS.idempotencyKey, call.idempotencyKey ?? `aimo-${crypto.randomUUID()}`);
  for (const [name, value] of Object.entries(call.headers ?? {})) headers.set(name, value);
  return headers;
}

type Attempt = {
  readonly config: ClientConfig;
  readonly call: Call;
  readonly headers: Headers;
  readonly body: Uint8Array<ArrayBuffer> | undefined;
  readonly deadline: Deadline;
};
type Failure = { readonly error: AimoError; readonly retryAfter?: string | null; readonly isFinal: boolean };

async function tryOnce({
  config,
  call,
  headers,
  body,
  deadline,
}: Attempt): Promise<Omit<Answer, "bodyHash" | "deadline"> | Failure> {
  const url = /^https?:/.test(call.path) ? call.path : `${config.baseURL}${call.path}`;
  let response: Response;
  try {
    response = await config.fetch(url, {
      method: call.method,
      headers,
      signal: deadline.signal,
      ...(body === undefined ? {} : { body }),
    });
  } catch (cause) {
    const error = deadline.errorFor(cause) ?? unreachable(config.baseURL, cause);
    return { error, isFinal: error.code === "cancelled" };
  }
  const requestId = response.headers.get(ROUTE_HEADERS.requestId) ?? undefined;
  if (response.ok)
    return {
      response,
      requestId,
      generationId: response.headers.get(ROUTE_HEADERS.generationId) ?? undefined,
      isCached: response.headers.get(ROUTE_HEADERS.cacheStatus) === "HIT",
    };
  const error = errorFromAnswer(await readAnswer(response), { status: response.status, requestId });
  const retryAfter = response.headers.get("retry-after");
  return { error, retryAfter, isFinal: !isRetryable(response.status, response.headers) };
}

function unreachable(baseURL: string, cause: unknown): AimoError {
  const inner = cause instanceof Error && cause.cause instanceof Error ? cause.cause : cause;
  const reason = inner instanceof Error ? inner.message : String(inner);
  const message = `The relay at ${baseURL} cannot be reached: ${reason}`;
  return new AimoError("relay_unavailable", { message, status: 0, cause });
}

/** Error bodies are read for their message only. */
const MAX_ERROR_BYTES = 64 * 1024;
/** A batch of images in base64 is tens of MB. */
const MAX_ANSWER_BYTES = 256 * 1024 * 1024;

async function readAnswer(response: Response): Promise<unknown> {
  // The status tells enough when the body of an error cannot be read.
  const text = await collect(response.body, MAX_ERROR_BYTES).catch(() => "");
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

async function readText({ response, deadline, requestId }: Answer): Promise<string> {
  try {
    return await collect(response.body, MAX_ANSWER_BYTES);
  } catch (cause) {
    if (cause instanceof AimoError) throw cause;
    const message = "The relay broke off its answer.";
    throw (
      deadline.errorFor(cause) ?? new AimoError("relay_unavailable", { message, status: 0, requestId, cause })
    );
  } finally {
    deadline.release();
  }
}

async function collect(body: ReadableStream<Uint8Array> | null, limit: number): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  let bytes = 0;
  for await (const chunk of chunksOf(body)) {
    bytes += chunk.length;
    if (bytes > limit)
      throw new AimoError("relay_unavailable", {
        message: `The relay's answer is larger than ${limit} bytes.`,
      });
    text += decoder.decode(chunk, { stream: true });
  }
  return text + decoder.decode();
}

/** Chunks of a body; leaving the loop early closes the connection. Not every runtime can iterate a ReadableStream. */
export async function* chunksOf(body: ReadableStream<Uint8Array> | null): AsyncGenerator<Uint8Array> {
  if (body === null) return;
  const reader = body.getReader();
  let isDone = false;
  try {
    while (true) {
      const { done, value } = await reader.read();
      isDone = done;
      if (done) return;
      yield value;
    }
  } catch (error) {
    isDone = true;
    throw error;
  } finally {
    if (!isDone) await reader.cancel();
    reader.releaseLock();
  }
}
