import {
  Agent,
  type ClientRequest,
  type IncomingMessage,
  type ServerResponse,
  request as send,
} from "node:http";
import { pipeline } from "node:stream";
import { AimoError } from "@aimo/protocol/errors";
import { type Kind, kindOf, PLACES } from "./asked-kinds.ts";
import { headersInward, headersOutward, type InwardParameters } from "./inward.ts";
import { Places, type PlacesLimits } from "./places.ts";

/** Passes a client's request on, as it is, to the relay's main process, and what that answers back. */

/** Bodies up to here are read before a connection is taken for them: who sends slowly waits alone. */
const SMALL_BYTES = 64 * 1024;
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
};

export class PassOn {
  readonly #parameters: PassOnParameters;
  readonly #places: Readonly<Record<Kind, Places>>;
  readonly #agent: Agent;

  constructor(parameters: PassOnParameters) {
    const { line = LINE } = parameters;
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
    this.#agent = new Agent({ keepAlive: true, maxSockets });
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

  async #send(passed: Passed, body: Uint8Array | IncomingMessage | undefined): Promise<void> {
    const { request, onRefusal } = passed;
    const state = body === undefined ? "plain" : body instanceof Uint8Array ? "read" : "coming";
    const places = this.#places[kindOf(request, state)];
    if (!(await places.enter())) {
      const message = "Too many requests wait for the relay's main process.";
      onRefusal(new AimoError("overloaded", { message, retryAfterSeconds: 1 }));
    } else if (request.socket.destroyed) places.leave();
    else this.#exchange(passed, body).on("close", () => places.leave());
  }

  #exchange(passed: Passed, body: Uint8Array | IncomingMessage | undefined): ClientRequest {
    const { request, response, ip, isCounted, onAnswer, onRefusal } = passed;
    const { method, url: path } = request;
    const { socketPath, secret } = this.#parameters;
    const headers = headersInward(request.headers, { secret, ip, isCounted });
    // Said for every method: without it, Node writes a body of GET or DELETE unframed, as if it were the next request.
    if (body instanceof Uint8Array) headers["content-length"] = body.byteLength;
    else if (isChunked(request)) headers["transfer-encoding"] = "chunked";
    const onward = send({ socketPath, agent: this.#agent, method, path, headers });
    let isAnswered = false;
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
    onward.on("error", () => {
      if (!isAnswered && !request.socket.destroyed)
        onRefusal(new AimoError("overloaded", { retryAfterSeconds: 1 }));
    });
    // The client is gone: so is its request. An answer that stands behind another's is not told of it, but its connection is.
    const leave = () => void onward.destroy();
    request.socket.setMaxListeners(0).once("close", leave);
    onward.once("close", () => request.socket.off("close", leave));
    if (body instanceof Uint8Array || body === undefined) onward.end(body);
    else sendOn(body, onward);
    return onward;
  }
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
