/**
 * The demo inference server: OpenAI's routes over models without weights, so that a local network has real work to
 * route and meter. Not for public networks; every model says so in its description.
 */
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { setImmediate as turn, setTimeout as wait } from "node:timers/promises";
import { openChat, prepareChat, replyChat, type StreamEnd, streamChat } from "./chat.ts";
import { prepareEmbeddings, replyEmbeddings } from "./embeddings.ts";
import { errorReply, RequestError } from "./errors.ts";
import { type Fields, isObject } from "./fields.ts";
import { replyImages } from "./images.ts";
import { replyTranscription } from "./listen.ts";
import { listModels } from "./models.ts";
import { replyModeration } from "./moderate.ts";
import { openSpeech } from "./speak.ts";

/** Room for 2,048 embedding inputs of ordinary length. */
export const MAX_BODY_BYTES = 2 * 1024 * 1024;
/** As OpenAI. */
const MAX_FORM_BYTES = 26 * 1024 * 1024;

export type DemoServerOptions = {
  /** Loopback unless told otherwise. */
  readonly host?: string;
  /** Absent or 0: any free port. */
  readonly port?: number;
  /** A pause after each streamed token, to look like a slower model. None by default. */
  readonly tokenDelayMs?: number;
  /** Told how each stream ended. */
  readonly onStreamEnd?: (end: StreamEnd) => void;
};

export type DemoServer = { readonly url: string; close(): Promise<void> };

/** A request on its way. `gone` fires when the client hangs up. */
type Exchange = {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly gone: AbortSignal;
  readonly options: DemoServerOptions;
};
type Route = (body: Fields, exchange: Exchange) => Promise<object | undefined>;

const POST_ROUTES: Readonly<Record<string, Route>> = {
  "/v1/chat/completions": chatRoute,
  "/v1/embeddings": (body, { gone }) => replyEmbeddings(body, gone),
  "/v1/images/generations": (body, { gone }) => replyImages(body, gone),
  "/v1/audio/speech": speechRoute,
  "/v1/moderations": async (body) => replyModeration(body),
};
const TRANSCRIPTIONS = "/v1/audio/transcriptions";

/** Starts the server. `url` ends in `/v1`; `close` ends open streams too. */
export async function startDemoServer(options: DemoServerOptions = {}): Promise<DemoServer> {
  prepareChat();
  prepareEmbeddings();
  const server = createServer((request, response) => {
    const hangUp = new AbortController();
    response.on("close", () => hangUp.abort());
    void answer({ request, response, gone: hangUp.signal, options });
  });
  const host = options.host ?? "127.0.0.1";
  server.listen(options.port ?? 0, host);
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://${host.includes(":") ? `[${host}]` : host}:${port}/v1`,
    close: async () => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeAllConnections();
      await closed;
    },
  };
}

/** Answers every request, whatever goes wrong; this promise never rejects. */
async function answer(exchange: Exchange): Promise<void> {
  const { response, gone } = exchange;
  try {
    const reply = await route(exchange);
    if (reply && !gone.aborted) sendJson(response, 200, reply);
  } catch (error) {
    if (gone.aborted) return;
    const { status, body } = errorReply(error);
    if (response.headersSent) response.destroy();
    else sendJson(response, status, body);
  }
}

async function route(exchange: Exchange): Promise<object | undefined> {
  const { method, url = "/" } = exchange.request;
  const path = url.split("?")[0] ?? "/";
  const models = listModels();
  if (method === "GET" && path === "/v1/models") return { object: "list", data: models };
  if (method === "GET" && path.startsWith("/v1/models/")) {
    const id = path.slice("/v1/models/".length);
    const found = models.find((model) => model.id === id);
    if (!found) throw new RequestError("'model' is not one of the demo models.", "model", "model_not_found");
    return found;
  }
  if (method === "POST" && path === TRANSCRIPTIONS) return transcriptionRoute(exchange);
  const handler = method === "POST" && Object.hasOwn(POST_ROUTES, path) ? POST_ROUTES[path] : undefined;
  if (!handler) throw new RequestError(`Unknown request URL: ${method} ${path}.`, null, "unknown_url");
  return handler(await readJson(exchange), exchange);
}

async function speechRoute(body: Fields, { response, gone }: Exchange): Promise<undefined> {
  const { contentType, pieces } = openSpeech(body);
  response.writeHead(200, { "content-type": contentType });
  try {
    for (const piece of pieces) {
      if (!response.write(piece)) await once(response, "drain", { signal: gone });
      else await turn();
      if (gone.aborted) return;
    }
  } catch (error) {
    if (!gone.aborted) throw error;
    return;
  }
  response.end();
}

async function transcriptionRoute(exchange: Exchange): Promise<object | undefined> {
  const { text, contentType, json } = replyTranscription(await readBody(exchange, MAX_FORM_BYTES));
  if (json) return json;
  exchange.response.writeHead(200, {
    "content-type": contentType,
    "content-length": Buffer.byteLength(text),
  });
  exchange.response.end(text);
  return undefined;
}

async function chatRoute(body: Fields, exchange: Exchange): Promise<object | undefined> {
  const job = openChat(body);
  if (!job.request.stream) return replyChat(job, exchange.gone);
  const { response, gone, options } = exchange;
  response.writeHead(200, {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-cache",
  });
  const end = await streamChat(job, (data) => sendEvent(exchange, data));
  if (!gone.aborted) response.end();
  options.onStreamEnd?.(end);
  return undefined;
}

/** Writes one event. Waits for a slow reader, and gives the event loop a turn even for a fast one. */
async function sendEvent({ response, gone, options }: Exchange, data: string): Promise<boolean> {
  if (gone.aborted) return false;
  const pause = options.tokenDelayMs ?? 0;
  try {
    if (!response.write(`data: ${data}\n\n`)) await once(response, "drain", { signal: gone });
    await (pause > 0 ? wait(pause, undefined, { signal: gone }) : turn());
  } catch (error) {
    if (!gone.aborted) throw error;
  }
  return !gone.aborted;
}

async function readBody({ request, response }: Exchange, limit = MAX_BODY_BYTES): Promise<Buffer> {
  const parts: Buffer[] = [];
  let bytes = 0;
  for await (const part of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    bytes += part.length;
    if (bytes > limit) {
      // The rest is thrown away, so that a client that writes before it reads still gets the reply.
      request.resume();
      response.setHeader("connection", "close");
      throw new RequestError(`The body must have at most ${limit} bytes.`, null, "body_too_large");
    }
    parts.push(part);
  }
  return Buffer.concat(parts);
}

async function readJson(exchange: Exchange): Promise<Fields> {
  const body = parseJson((await readBody(exchange)).toString());
  if (!isObject(body)) throw new RequestError("The body must be a JSON object.");
  return body;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw Object.assign(new RequestError("The body must be JSON."), { cause });
  }
}

function sendJson(response: ServerResponse, status: number, body: object): void {
  const text = JSON.stringify(body);
  response.writeHead(status, {
    "content-type": "application/json",
    "content-length": Buffer.byteLength(text),
  });
  response.end(text);
}
