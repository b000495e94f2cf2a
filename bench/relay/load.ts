import { connect, type Socket } from "node:net";
import { setTimeout as wait } from "node:timers/promises";

/**
 * A load generator on bare sockets: it must cost less than what it measures. It speaks as much HTTP/1.1 as the servers of
 * this bench answer with: a length or chunks, connections kept open.
 */

export type LoadParameters = {
  readonly port: number;
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body: string;
  /** One more header for each request, with its line's end. */
  readonly line?: (() => string) | undefined;
  readonly concurrency: number;
  /** Requests are begun for this long, and then awaited. Without it, and with `requestsEach`, until those are done. */
  readonly durationMs?: number;
  /** Most requests of one connection. */
  readonly requestsEach?: number;
  /** The connections begin evenly over this time, so that their streams do not beat in one rhythm. */
  readonly spreadMs?: number;
  /** Told how long each frame of a stream took from the mock's socket to here, ms. */
  readonly onFrames?: (delaysMs: readonly number[]) => void;
};

export type Load = {
  readonly requests: number;
  readonly errors: number;
  readonly seconds: number;
  /** Of each request, from its first byte out to its last byte in, ms. */
  readonly latenciesMs: readonly number[];
  /** To the first byte of the body, ms. */
  readonly firstByteMs: readonly number[];
  /** Text of the first answer that was no success. */
  readonly firstError: string | undefined;
};

const HEAD_END = Buffer.from("\r\n\r\n");
const CHUNKS_END = Buffer.from("0\r\n\r\n");
const MAX_ERROR_TEXT = 400;
/** A frame of the mock says when it was written, in nanoseconds of the monotonic clock that all processes share. */
const STAMP = /@(\d+)@/g;

type Tally = {
  requests: number;
  errors: number;
  latenciesMs: number[];
  firstByteMs: number[];
  firstError: string | undefined;
};

/** Keeps `concurrency` requests in flight for a time. Throws when a connection cannot be opened. */
export async function runLoad(parameters: LoadParameters): Promise<Load> {
  const { concurrency, durationMs = Number.POSITIVE_INFINITY, spreadMs = 0 } = parameters;
  const tally: Tally = { requests: 0, errors: 0, latenciesMs: [], firstByteMs: [], firstError: undefined };
  const request = requestParts(parameters);
  const started = performance.now();
  const until = started + durationMs;
  await Promise.all(
    Array.from({ length: concurrency }, async (_, index) => {
      if (spreadMs > 0) await wait((index * spreadMs) / concurrency);
      await new Caller(parameters, request, tally, until).run();
    }),
  );
  return { ...tally, seconds: (performance.now() - started) / 1_000 };
}

/** All of a request, and where one more line of its head goes. */
type RequestParts = { readonly bytes: Buffer; readonly head: string; readonly rest: string };

function requestParts({ port, path, headers = {}, body }: LoadParameters): RequestParts {
  const all = {
    host: `127.0.0.1:${port}`,
    "content-type": "application/json",
    "content-length": String(Buffer.byteLength(body)),
    ...headers,
  };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}`);
  const head = `POST ${path} HTTP/1.1\r\n${lines.join("\r\n")}\r\n`;
  const rest = `\r\n${body}`;
  return { bytes: Buffer.from(head + rest), head, rest };
}

/** One connection, one request after the other. */
class Caller {
  readonly #parameters: LoadParameters;
  readonly #request: RequestParts;
  readonly #tally: Tally;
  readonly #until: number;
  readonly #end = Promise.withResolvers<void>();
  #socket: Socket | undefined;
  #sentAt = 0;
  #head: Buffer = Buffer.alloc(0);
  #inBody = false;
  #status = 0;
  #left = -1;
  #tail: Buffer = Buffer.alloc(0);
  #isFirst = true;
  #begun = 0;

  constructor(parameters: LoadParameters, request: RequestParts, tally: Tally, until: number) {
    this.#parameters = parameters;
    this.#request = request;
    this.#tally = tally;
    this.#until = until;
  }

  run(): Promise<void> {
    const socket = connect({ port: this.#parameters.port, host: "127.0.0.1", noDelay: true });
    this.#socket = socket;
    socket.on("connect", () => this.#next());
    socket.on("data", (chunk) => this.#take(chunk));
    socket.on("error", (error) => this.#end.reject(error));
    socket.on("close", () => {
      // a server may end a connection after an answer; a request in flight is lost with it
      if (this.#sentAt !== 0) this.#fail("the connection was closed within an answer");
      this.#end.resolve();
    });
    return this.#end.promise;
  }

  #next(): void {
    const { requestsEach = Number.POSITIVE_INFINITY, line } = this.#parameters;
    if (performance.now() >= this.#until || this.#begun === requestsEach) {
      this.#sentAt = 0;
      this.#socket?.end();
      return;
    }
    this.#head = Buffer.alloc(0);
    [this.#inBody, this.#left, this.#isFirst] = [false, -1, true];
    this.#tail = Buffer.alloc(0);
    this.#begun++;
    const { bytes, head, rest } = this.#request;
    const sent = line ? head + line() + rest : bytes;
    this.#sentAt = performance.now();
    this.#socket?.write(sent);
  }

  #take(chunk: Buffer): void {
    if (this.#inBody) {
      this.#takeBody(chunk);
      return;
    }
    const bytes = this.#head.length === 0 ? chunk : Buffer.concat([this.#head, chunk]);
    const end = bytes.indexOf(HEAD_END);
    if (end < 0) {
      this.#head = bytes;
      return;
    }
    const head = bytes.toString("latin1", 0, end);
    this.#status = Number(head.slice(9, 12));
    const length = /\r\ncontent-length: *(\d+)/i.exec(head);
    this.#left = length ? Number(length[1]) : -1;
    this.#inBody = true;
    this.#takeBody(bytes.subarray(end + HEAD_END.length));
  }

  #takeBody(chunk: Buffer): void {
    if (chunk.length === 0 && this.#left !== 0) return;
    if (this.#isFirst) {
      this.#isFirst = false;
      this.#tally.firstByteMs.push(performance.now() - this.#sentAt);
    }
    if (this.#status !== 200 && !this.#tally.firstError)
      this.#tally.firstError = `${this.#status} ${chunk.toString().slice(0, MAX_ERROR_TEXT)}`;
    if (this.#parameters.onFrames) this.#readStamps(chunk, this.#parameters.onFrames);
    if (this.#left >= 0) {
      this.#left -= chunk.length;
      if (this.#left <= 0) this.#done();
      return;
    }
    this.#tail = chunk.length >= CHUNKS_END.length ? chunk : Buffer.concat([this.#tail, chunk]);
    this.#tail = this.#tail.subarray(-CHUNKS_END.length);
    if (this.#tail.equals(CHUNKS_END)) this.#done();
  }

  #readStamps(chunk: Buffer, onFrames: (delaysMs: readonly number[]) => void): void {
    const now = Number(process.hrtime.bigint());
    const delays = [];
    for (const [, stamp] of chunk.toString("latin1").matchAll(STAMP))
      delays.push((now - Number(stamp)) / 1e6);
    if (delays.length > 0) onFrames(delays);
  }

  #done(): void {
    const tally = this.#tally;
    tally.requests++;
    if (this.#status === 200) tally.latenciesMs.push(performance.now() - this.#sentAt);
    else tally.errors++;
    this.#next();
  }

  #fail(reason: string): void {
    this.#tally.errors++;
    this.#tally.firstError ??= reason;
  }
}
