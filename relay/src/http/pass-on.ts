import {
  Agent,
  type ClientRequest,
  type IncomingMessage,
  type OutgoingHttpHeaders,
  type ServerResponse,
  request as send,
} from "node:http";
import { pipeline } from "node:stream";
import { errorBody } from "@aimo/protocol/error-body";
import { AimoError } from "@aimo/protocol/errors";

/** Passes a client's request on, as it is, to the relay's main process, and what that answers back. */

/** Says that a request was taken from its caller's limits already. Only believed between a relay's own processes. */
export const COUNTED_HEADER = "aimo-counted";
/** Each concerns one connection, or is set anew here. */
const OWN_HEADERS = new Set([
  ...["connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"],
  ...["expect", "x-forwarded-for", COUNTED_HEADER],
]);
/** More wait for one of them to be free. */
const MAX_SOCKETS = 1_024;

export type Passed = {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  /** The client's address, by what this process knows of proxies. */
  readonly ip: string;
  /** Where it was read already. */
  readonly body?: Uint8Array | undefined;
  readonly isCounted: boolean;
};

export class PassOn {
  readonly #socketPath: string;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: MAX_SOCKETS });

  /** `socketPath`: where the main process listens. */
  constructor(socketPath: string) {
    this.#socketPath = socketPath;
  }

  pass({ request, response, ip, body, isCounted }: Passed): void {
    const { method, url: path } = request;
    const headers: OutgoingHttpHeaders = {
      "x-forwarded-for": ip,
      ...(isCounted ? { [COUNTED_HEADER]: "1" } : {}),
    };
    for (const [name, value] of Object.entries(request.headers))
      if (!OWN_HEADERS.has(name) && value !== undefined) headers[name] = value;
    let isAnswered = false;
    const onward = send({ socketPath: this.#socketPath, agent: this.#agent, method, path, headers });
    onward.on("response", (answer) => {
      isAnswered = true;
      // What it did not wait for it does not want, and its connection waits for that.
      answer.on("end", () => {
        if (!onward.writableFinished) onward.destroy();
      });
      response.writeHead(answer.statusCode ?? 502, answer.rawHeaders);
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
    else sendOn(request, onward);
  }

  close(): void {
    this.#agent.destroy();
  }
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

/** The main process does not answer: it is ending, or its connection broke. */
function refuse(response: ServerResponse): void {
  const error = new AimoError("overloaded", { retryAfterSeconds: 1 });
  response
    .writeHead(error.status, { "content-type": "application/json; charset=utf-8", "retry-after": "1" })
    .end(JSON.stringify(errorBody(error)));
}
