import {
  Agent,
  type ClientRequest,
  type IncomingMessage,
  type ServerResponse,
  request as send,
} from "node:http";
import { pipeline } from "node:stream";
import { errorBody } from "@aimo/protocol/error-body";
import { AimoError } from "@aimo/protocol/errors";
import { headersInward, headersOutward, type InwardParameters } from "./inward.ts";

/** Passes a client's request on, as it is, to the relay's main process, and what that answers back. */

/** More wait for one of them to be free. */
const MAX_SOCKETS = 1_024;

export type Passed = Omit<InwardParameters, "secret"> & {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  /** Where it was read already. */
  readonly body?: Uint8Array | undefined;
};

/** Where the main process listens, and what it knows this process by. */
export type PassOnParameters = { readonly socketPath: string; readonly secret: string };

export class PassOn {
  readonly #parameters: PassOnParameters;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: MAX_SOCKETS });

  constructor(parameters: PassOnParameters) {
    this.#parameters = parameters;
  }

  pass({ request, response, ip, body, isCounted }: Passed): void {
    const { method, url: path } = request;
    const { socketPath, secret } = this.#parameters;
    const headers = headersInward(request.headers, { secret, ip, isCounted });
    // Said for every method: without it, Node writes a body of GET or DELETE unframed, as if it were the next request.
    if (body) headers["content-length"] = body.byteLength;
    else if (isChunked(request)) headers["transfer-encoding"] = "chunked";
    // Node's parser reads nothing more of a connection whose client wished another protocol.
    if (request.headers.upgrade !== undefined) response.shouldKeepAlive = false;
    let isAnswered = false;
    const onward = send({ socketPath, agent: this.#agent, method, path, headers });
    onward.on("response", (answer) => {
      isAnswered = true;
      // What it did not wait for it does not want, and its connection waits for that.
      answer.on("end", () => {
        if (!onward.writableFinished) onward.destroy();
      });
      response.writeHead(answer.statusCode ?? 502, headersOutward(answer.rawHeaders));
      // Comments and the first bytes of a stream must not wait for more.
      response.flushHeaders();
      // What breaks off on one side is broken off on the other: nothing looks whole that is not.
      pipeline(answer, response, () => {});
    });
    // An answer that comes before all of the request was taken stays as it is.
    onward.on("error", () => {
      if (!isAnswered) refuse(response);
    });
    response.on("close", () => {
      // The client is gone: so is its request.
      if (!response.writableFinished) onward.destroy();
    });
    if (body) onward.end(body);
    else if (isChunked(request) || request.headers["content-length"] !== undefined) sendOn(request, onward);
    else onward.end();
  }

  close(): void {
    this.#agent.destroy();
  }
}

/** The request has a body that does not say how long it is. */
const isChunked = ({ headers }: IncomingMessage): boolean => headers["transfer-encoding"] !== undefined;

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

/** The main process does not answer: it is ending, or its connection broke. */
function refuse(response: ServerResponse): void {
  const error = new AimoError("overloaded", { retryAfterSeconds: 1 });
  response
    .writeHead(error.status, { "content-type": "application/json; charset=utf-8", "retry-after": "1" })
    .end(JSON.stringify(errorBody(error)));
}
