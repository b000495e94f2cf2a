import { connect, type Socket } from "node:net";
import { expect } from "chai";
import fc from "fast-check";
import { type RelayWithProvider, startRelayWithProvider } from "../support/relay-with-provider.ts";
import { expectInForm } from "./laws.ts";
import { change, exchange, mutated } from "./mutants.ts";
import { RUNS, SEED, WAIT_MS } from "./runs.ts";

/** What follows each mutant: whatever it was, the connection ends. */
const LAST = "GET /v1/last HTTP/1.1\r\nhost: relay\r\nconnection: close\r\n\r\n";
const AT_ONCE = 24;
const WORKERS = 2;
/** Enough to use all connections that the others' requests went by. */
const OTHERS = 8 * WORKERS;

const head = (line: string, rest = "") => `${line} HTTP/1.1\r\nhost: relay\r\n${rest}\r\n`;
/** A request that waits for its body: what comes next on its connection would be that. */
const swallowing = (key: string) =>
  head(
    "POST /v1/chat/completions",
    `authorization: Bearer ${key}\r\ncontent-type: application/json\r\ncontent-length: 4000\r\n`,
  );
/** Requests that are passed on, with bodies that look like requests. */
const requests = (key: string): string[] => {
  const swallow = swallowing(key);
  const inside = head("GET /v1/inside", "aimo-counted: 1\r\nx-forwarded-for: 9.9.9.9\r\n") + swallow;
  const chunkedOf = (text: string) => `${text.length.toString(16)}\r\n${text}\r\n0\r\n\r\n`;
  const chunked = chunkedOf(inside);
  const length = `content-length: ${inside.length}\r\n`;
  const te = "transfer-encoding: chunked\r\n";
  return [
    ...["GET", "HEAD", "DELETE", "OPTIONS", "POST", "PATCH"].flatMap((method) => [
      head(`${method} /v1/outside`, te) + chunkedOf(swallow),
      head(`${method} /v1/outside`, te) + chunked,
      head(`${method} /health`, length) + inside,
    ]),
    head("GET /v1/outside", length + te) + chunked,
    head("GET /v1/outside", `connection: keep-alive, content-length\r\n${length}`) + inside,
    head("GET /v1/outside", "upgrade: websocket\r\nconnection: upgrade\r\n") + inside,
    head("GET /v1/outside", `expect: 100-continue\r\n${te}`) + chunked,
    head("GET /v1/outside") + head("HEAD /health") + head("DELETE /v1/keys/x", te) + chunked,
    head("POST /v1/chat/completions", `authorization: Bearer ${key}\r\nidempotency-key: a\r\n${te}`) +
      chunked,
  ];
};

/** A client of its own connection, which asks for what nobody else asks for. */
class Other {
  readonly #socket: Socket;
  readonly #name: number;
  #text = "";
  #asked = 0;
  #onNews = () => {};

  constructor(url: string, name: number) {
    this.#name = name;
    const { port } = new URL(url);
    this.#socket = connect(Number(port), "127.0.0.1")
      .on("error", () => {})
      .on("data", (piece) => {
        this.#text += piece;
        this.#onNews();
      })
      .on("close", () => this.#onNews());
  }

  /** Throws when it gets another answer than its own. */
  async ask(): Promise<void> {
    const path = `/v1/of-${this.#name}-${++this.#asked}`;
    this.#text = "";
    this.#socket.write(head(`GET ${path}`));
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#onNews = () => {
      if (this.#text.includes('"}}}') || this.#socket.destroyed) resolve();
    };
    const timer = setTimeout(resolve, WAIT_MS);
    await promise;
    clearTimeout(timer);
    expect(this.#text).to.match(/^HTTP\/1\.1 404 /);
    expect(this.#text).to.contain(`"There is no ${path} here."`);
    expect(this.#text.split("HTTP/1.1 ")).to.have.length(2);
  }

  close(): void {
    this.#socket.destroy();
  }
}

describe(`bytes near to HTTP that workers pass on (seed ${SEED})`, function () {
  this.timeout(60_000);
  let relay: RelayWithProvider;
  before(async () => {
    const limits = { headersTimeoutMs: 1_000, requestTimeoutMs: 1_000, requestsPerMinute: 10_000_000 };
    relay = await startRelayWithProvider({ workers: WORKERS, http: { port: 0, ...limits } });
  });
  after(() => relay.close());

  it("are answered in form, or closed; other clients of the same workers get their own answers", async function () {
    this.timeout(0);
    const mutant = fc.record({ which: fc.nat(), changes: fc.array(change, { maxLength: 4 }) });
    const mutants = fc.array(mutant, { minLength: AT_ONCE, maxLength: AT_ONCE });
    const known = requests(relay.key);
    const law = fc.asyncProperty(mutants, async (some) => {
      const others = Array.from({ length: OTHERS }, (_, at) => new Other(relay.url, at));
      let isOver = false;
      const replies = Promise.all(
        some.map(({ which, changes }) =>
          exchange(relay.url, [mutated(known[which % known.length] ?? "", changes), LAST]),
        ),
      ).finally(() => {
        isOver = true;
      });
      const asking = Promise.all(
        others.map(async (other) => {
          do await other.ask();
          while (!isOver);
          await other.ask();
        }),
      );
      for (const reply of (await Promise.all([replies, asking]))[0]) expectInForm(reply);
      for (const other of others) other.close();
    });
    await fc.assert(law, { numRuns: RUNS, seed: SEED, endOnFailure: true });
  });
});
