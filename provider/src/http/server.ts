import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { listenError } from "@aimo/node/listen-error";
import type { Log } from "@aimo/node/log";
import { AimoError, isAimoError } from "@aimo/protocol/errors";
import { handleInfer, type InferRouteModules } from "./infer-route.ts";
import { sendError, sendJson } from "./reply.ts";
import { SessionRoutes, type SessionRoutesModules } from "./session-routes.ts";
import { StreamChannels } from "./stream-channels.ts";

export type HttpServerOptions = { readonly host: string; readonly port: number };
export type HttpServerModules = InferRouteModules & SessionRoutesModules & { readonly log: Log };
export type HttpServer = {
  /** Base URL, with the port that was taken. */
  readonly url: string;
  /** Stops listening and ends event streams; resolves when every connection is closed. */
  close(): Promise<void>;
};

/** A relay keeps its connections; they must outlive its own idle time (60 s), or it writes into a closed one. */
const KEEP_ALIVE_MS = 75_000;
/** A body at 100 KB/s fits; slower senders hold memory for nothing. */
const REQUEST_TIMEOUT_MS = 120_000;
const HEADERS_TIMEOUT_MS = 10_000;
/** Connections at once: relays pool theirs, so a few thousand is many. */
const MAX_CONNECTIONS = 4_096;

/** Starts the provider's HTTP server. Throws `port_in_use` or `config_invalid`. */
export async function startHttpServer(
  modules: HttpServerModules,
  { host, port }: HttpServerOptions,
): Promise<HttpServer> {
  const routes = new SessionRoutes(modules);
  const channels = new StreamChannels(modules);
  modules.sessions.onClosed = (session) => {
    routes.leave(session);
    channels.leave(session);
  };
  const server = createServer(
    {
      keepAliveTimeout: KEEP_ALIVE_MS,
      requestTimeout: REQUEST_TIMEOUT_MS,
      headersTimeout: HEADERS_TIMEOUT_MS,
      noDelay: true,
    },
    (request, response) => {
      void answer({ modules, routes, request, response });
    },
  );
  server.on("upgrade", (request, socket, head) => channels.handle(request, socket, head));
  server.maxConnections = MAX_CONNECTIONS;
  try {
    server.listen(port, host);
    await once(server, "listening");
  } catch (error) {
    throw listenError(error, { host, port });
  }
  const taken = (server.address() as AddressInfo).port;
  return {
    url: `http://${host.includes(":") ? `[${host}]` : host}:${taken}`,
    close: () => closeServer(server, routes, channels),
  };
}

async function closeServer(server: Server, routes: SessionRoutes, channels: StreamChannels): Promise<void> {
  const closed = once(server, "close");
  server.close();
  await Promise.all([routes.close(), channels.close()]);
  // What still runs was given its time by the drain before this.
  server.closeAllConnections();
  await closed;
}

type Exchange = {
  readonly modules: HttpServerModules;
  readonly routes: SessionRoutes;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
};

/** Answers every request, whatever goes wrong; never rejects. */
async function answer({ modules, routes, request, response }: Exchange): Promise<void> {
  try {
    const url = URL.parse(request.url ?? "/", "http://provider.invalid");
    if (!url) throw new AimoError("not_found");
    if (await handleInfer(modules, request, response, url)) return;
    if (await routes.handle(request, response, url.pathname)) return;
    if (url.pathname !== "/health") throw new AimoError("not_found");
    sendJson(response, 200, Buffer.from('{"status":"ok"}'));
  } catch (error) {
    sendError(response, isAimoError(error) ? error : unexpected(modules.log, error));
  }
}

function unexpected(log: Log, error: unknown): AimoError {
  log.error({ err: error }, "A request failed unexpectedly.");
  return new AimoError("internal_error");
}
