import {
  Agent,
  type ClientRequest,
  type IncomingMessage,
  type ServerResponse,
  request as send,
} from "node:http";
import { pipeline } from "node:stream";
import { AimoError } from "@aimo/protocol/errors";
import { ROUTE_HEADERS } from "@aimo/protocol/routes";
import { isInference, type Kind, kindOf, PLACES } from "./asked-kinds.ts";
import { KEEP_ALIVE_MS } from "./connections.ts";
import { headersInward, headersOutward, type InwardParameters } from "./inward.ts";
import { Places, type PlacesLimits } from "./places.ts";

/** Passes a client's request on, as it is, to the relay's main process, and what that answers back. */

/** Bodies up to here are read before a connection is taken for them: who sends slowly waits alone. */
const SMALL_BYTES = 64 * 1024;
/** A connection that nobody uses ends here, before the main process ends it while a request is on its way there. */
const KEPT_MS = KEEP_ALIVE_MS / 2;
/** Requests of a kind that wait for a connection, and for how long: as for room in the relay. */
const LINE = { maxWaiting: 1_024, maxWaitMs: 2_000 };

export type Passed = Omit<InwardParameters, "secret"> & {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  /** Where it was read already. */
  readonly body?: Uint8Array | undefined;
  /** Told before the first byte of an answer is written. */
  readonly onAnswer: () => void;
  /** Told instead when there will be none: the main process has no room, or does not answer. */
  readonly onRefusal: (error: AimoError) => void;
};

export type PassOnParameters = {
  /** Where the main process listens, and what it knows this process by. */
  readonly socketPath: string;
  readonly secret: string;
  /** Where they are to be others. */
  readonly places?: Readonly<Partial<Record<Kind, number>>>;
  readonly line?: Omit<PlacesLimits, "most">;
  /** Milliseconds for which a connection is kept that nobody uses. */
  readonly keptMs?: number;
};

type Body = Uint8Array | IncomingMessage | undefined;

type Exchange = {
  readonly passed: Passed;
  readonly body: Body;
  /** The connection of the first time had ended before an answer. */
  readonly isAgain: boolean;
  readonly onEnd: () => void;
};

export class PassOn {
  readonly #parameters: PassOnParameters;
  readonly #places: Readonly<Record<Kind, Places>>;
  readonly #agent: Agent;

  constructor(parameters: PassOnParameters) {
    const { line = LINE, keptMs = KEPT_MS } = parameters;
    this.#parameters = parameters;
    const most = { ...PLACES, ...parameters.places };
    const placesOf = (kind: Kind) => new Places({ ...line, most: most[kind] });
    this.#places = {
      ...{ plain: placesOf("plain"), read: placesOf("read"), coming: placesOf("coming") },
      ...{ contents: placesOf("contents") },
      ...{ inference: placesOf("inference"), inferenceComing: placesOf("inferenceComing") },
    };
    // Nobody waits within it: its line knows no end.
    const maxSockets = Object.values(most).reduce((sum, each) => sum + each, 0);
    this.#agent = new Agent({ keepAlive: true, maxSockets, timeout: keptMs });
  }

  pass(passed: Passed): void {
    const { request, response, body } = passed;
    // Node's parser reads nothing more of a connection whose client wished another protocol.
    if (request.headers.upgrade !== undefined) response.shouldKeepAlive = false;
    if (body) void this.#send(passed, body);
    else if (!hasBody(request)) void this.#send(passed, undefined);
    else if (Number(request.headers["content-length"]) <= SMALL_BYTES)
      readWhole(request, (whole) => void this.#send(passed, whole));
    else void this.#send(passed, request);
  }

  close(): void {
    this.#agent.destroy();
  }

  async #send(passed: Passed, body: Body): Promise<void> {
    const { request, onRefusal } = passed;
    const state = body === undefined ? "plain" : body instanceof Uint8Array ? "read" : "coming";
    const places = this.#places[kindOf(request, state)];
    if (!(await places.enter())) {
      const message = "Too many requests wait for the relay's main process.";
      onRefusal(new AimoError("overloaded", { message, retryAfterSeconds: 1 }));
    } else if (request.socket.destroyed) places.leave();
    else this.#exchange({ passed, body, isAgain: false, onEnd: () => places.leave() });
  }

  #exchange(exchange: Exchange): void {
    const { passed, body, onEnd } = exchange;
    const { request, response, onAnswer, onRefusal } = passed;
    const onward = this.#open(exchange);
    const wasSent = watchSent(onward);
    let isAnswered = false;
    let isToGoAgain = false;
    onward.on("response", (answer) => {
      isAnswered = true;
      // What it did not wait for it does not want, and its connection waits for that.
      answer.on("end", () => {
        if (!onward.writableFinished) onward.destroy();
      });
      onAnswer();
      response.writeHead(answer.statusCode ?? 502, headersOutward(answer.rawHeaders));
      // Comments and the first bytes of a stream must not wait for more.
      response.flushHeaders();
      // What breaks off on one side is broken off on the other: nothing looks whole that is not.
      pipeline(answer, response, () => {});
    });
    // An answer that comes before all of the request was taken stays as it is.
    onward.on("error", (error: NodeJS.ErrnoException) => {
      if (isAnswered || request.socket.destroyed) return;
      // The main process may end a connection that is kept while a request is on its way there.
      isToGoAgain =
        onward.reusedSocket && body === undefined && REPEATABLE.has(request.method) && RESETS.has(error.code);
      if (isToGoAgain) return;
      if (wasSent() && !isRepeatable(request)) onRefusal(unknownOutcome(response));
      else onRefusal(new AimoError("overloaded", { retryAfterSeconds: 1 }));
    });
    // The client is gone: so is its request. An answer that stands behind another's is not told of it, but its connection is.
    const leave = () => void onward.destroy();
    request.socket.setMaxListeners(0).once("close", leave);
    onward.once("close", () => {
      request.socket.off("close", leave);
      if (isToGoAgain && !request.socket.destroyed) this.#exchange({ ...exchange, isAgain: true });
      else onEnd();
    });
    if (body instanceof Uint8Array || body === undefined) onward.end(body);
    else sendOn(body, onward);
  }

  #open({ passed, body, isAgain }: Exchange): ClientRequest {
    const { request, ip, isCounted } = passed;
    const { method, url: path } = request;
    const { socketPath, secret } = this.#parameters;
    const headers = headersInward(request.headers, { secret, ip, isCounted });
    // Said for every method: without it, Node writes a body of GET or DELETE unframed, as if it were the next request.
    if (body instanceof Uint8Array) headers["content-length"] = body.byteLength;
    else if (isChunked(request)) headers["transfer-encoding"] = "chunked";
    // By a connection of its own, the second time: others that are kept may have ended as well.
    return send({ socketPath, agent: isAgain ? false : this.#agent, method, path, headers });
  }
}

/** Methods that do no more when they are repeated. */
const REPEATABLE: ReadonlySet<string | undefined> = new Set(["GET", "HEAD", "DELETE", "OPTIONS"]);
/** What tells that the other side has ended the connection. */
const RESETS: ReadonlySet<string | undefined> = new Set(["ECONNRESET", "EPIPE"]);

/** Whether it can be repeated though it may have been carried out. A key says so only where replies are kept by it. */
const isRepeatable = (request: IncomingMessage): boolean =>
  REPEATABLE.has(request.method) || (isInference(request) && ROUTE_HEADERS.idempotencyKey in request.headers);

/** Whether the main process may have something of it: what is written while there is no connection is not sent. */
function watchSent(onward: ClientRequest): () => boolean {
  let isConnected = false;
  onward.once("socket", (socket) => {
    isConnected = !socket.connecting;
    if (socket.connecting)
      socket.once("connect", () => {
        isConnected = true;
      });
  });
  return () => isConnected && onward.headersSent;
}

/** The refusal of what may have been carried out, as a batch that is paid for: no client may repeat it by itself. */
function unknownOutcome(response: ServerResponse): AimoError {
  response.setHeader(ROUTE_HEADERS.shouldRetry, "false");
  return new AimoError("provider_unavailable", {
    message: "The relay broke off before it answered; the request may have been carried out.",
    hint: "See whether it was, for example in the list of keys or batches, before you send it again.",
  });
}

/** The request has a body that does not say how long it is. */
const isChunked = ({ headers }: IncomingMessage): boolean => headers["transfer-encoding"] !== undefined;

const hasBody = (request: IncomingMessage): boolean =>
  isChunked(request) || Number(request.headers["content-length"] ?? 0) > 0;

/** Not told when the client leaves before the end of its body. */
function readWhole(body: IncomingMessage, onWhole: (whole: Buffer) => void): void {
  const pieces: Buffer[] = [];
  body.on("data", (piece: Buffer) => pieces.push(piece)).on("end", () => onWhole(Buffer.concat(pieces)));
}

/**
 * Sends a body on. When it is not wanted any more, because the answer came before its end, the rest is read and dropped:
 * the client's next request stands behind it. (Node tells of no `drain` then.)
 */
function sendOn(body: IncomingMessage, onward: ClientRequest): void {
  let isWanted = true;
  const drop = () => {
    isWanted = false;
    body.resume();
  };
  onward.on("response", drop).on("close", drop);
  onward.on("drain", () => body.resume());
  body.on("data", (chunk: Buffer) => {
    if (isWanted && !onward.write(chunk)) body.pause();
  });
  body.on("end", () => {
    if (isWanted) onward.end();
  });
}
