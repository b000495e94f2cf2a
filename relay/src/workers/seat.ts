import type { ChildProcess } from "node:child_process";
import type { Socket } from "node:net";
import { isAimoError } from "@aimo/protocol/errors";
import { Link } from "./link.ts";
import type { ClientConnection, MainNews, MainQuestions, WorkerNews, WorkerQuestions } from "./messages.ts";
import type { WorkerBooks } from "./worker-books.ts";

export type SeatParameters = {
  readonly child: ChildProcess;
  readonly books: WorkerBooks;
  /** A connection from this address is gone. */
  readonly onLeft: (address: string) => void;
  /** A connection that it was given and has not taken when it ended, or will never take: untouched. */
  readonly onUntaken: (socket: Socket, about: ClientConnection) => void;
  /** It has ended; not told when it could not be started. */
  readonly onEnd: (how: { readonly code: number | null; readonly signal: string | null }) => void;
  /** It does not answer; later, it has not answered for so long that it is killed. */
  readonly onLate: () => void;
  readonly onHung: () => void;
  readonly onFault: (error: unknown) => void;
};

type Given = { readonly socket: Socket; readonly about: ClientConnection };

const CLOSE_MS = 5_000;
/**
 * A group of receipts waits this long for a worker to say what it has sent, once: far longer than a worker is ever busy
 * with one thing, and a tenth of the time in which a group has to be billed (GROUP_DEADLINE_MS).
 */
export const PING_MS = 1_000;
/**
 * Pings missed in a row, one in each PING_MS, after which it is taken for hung and killed. Below GROUP_DEADLINE_MS, so that
 * nobody waits for a worker longer than for a provider; counted rather than timed, for this process may have slept as well.
 */
const MAX_MISSED_PINGS = 8;
/** Packets that wait for it, of some 100 B each, after which it is killed too: some seconds of a busy relay's. */
const MAX_UNSENT = 65_536;

/** One worker, as the process that started it sees it. */
export class Seat {
  readonly link: Link<MainQuestions, MainNews, WorkerQuestions, WorkerNews>;
  /** Resolves when it takes connections; rejects when it ends before that. */
  readonly started: Promise<void>;
  /** Resolves when it has ended, and all that it said is heard. */
  readonly ended: Promise<void>;
  readonly #m: SeatParameters;
  readonly #starting = Promise.withResolvers<void>();
  readonly #ending = Promise.withResolvers<void>();
  /** Connections that are on their way to it: Node hands over one at a time, and forgets those that wait when it ends. */
  readonly #given = new Map<number, Given>();
  #nextConnection = 1;
  /** Connections that it has, by address. */
  readonly #connections = new Map<string, number>();
  #connectionCount = 0;
  #isReady = false;
  #isLate = false;
  /** Pings of the watch: whether one is out, and how many were missed. */
  #isWatched = false;
  #missedPings = 0;
  #hasEnded = false;

  constructor(parameters: SeatParameters) {
    const { child, books, onFault } = parameters;
    this.#m = parameters;
    this.started = this.#starting.promise;
    this.ended = this.#ending.promise;
    // Who waits for it may come later.
    this.started.catch(() => {});
    this.link = new Link<MainQuestions, MainNews, WorkerQuestions, WorkerNews>(child, {
      questions: books.questions,
      news: {
        ...books.news,
        ready: () => {
          this.#isReady = true;
          this.#starting.resolve();
        },
        taken: (number) => this.#onTaken(number),
        left: (address) => this.#onLeft(address),
      },
      onFault,
    });
    // Later than "exit": by then all that it said is heard, so what it committed last is not freed.
    child.once("close", (code, signal) => this.#end({ code, signal }));
    child.on("error", (error) => {
      this.#starting.reject(error);
      // It was never started, and no other event tells of that.
      if (child.pid === undefined) this.#end();
    });
  }

  get connectionCount(): number {
    return this.#connectionCount;
  }

  get isReady(): boolean {
    return this.#isReady;
  }

  /** Whether requests are held for in its name. */
  get holds(): boolean {
    return this.#m.books.held > 0;
  }

  /** It did not answer in time. Until it does nothing waits for it, and it gets connections only if there is none else. */
  get isLate(): boolean {
    return this.#isLate;
  }

  /** Resolves when all that it had said by now is heard, or it is late. */
  heard(): Promise<void> {
    if (!this.#isReady || this.#isLate) return Promise.resolve();
    const { promise, resolve } = Promise.withResolvers<void>();
    let isOut = true;
    const onTime = () => {
      this.#isLate ||= isOut;
      resolve();
    };
    // What arrived while this process was busy itself is heard by the turn after.
    const timer = setTimeout(() => setImmediate(onTime), PING_MS);
    timer.unref();
    void this.#ping().then(() => {
      isOut = false;
      clearTimeout(timer);
      resolve();
    });
    return promise;
  }

  /** To be called each PING_MS: ends it when it has not answered for long, and finds connections that did not arrive. */
  watch(): void {
    if (!this.#isReady) return;
    if (this.link.unsent > MAX_UNSENT) {
      this.#m.onHung();
      this.kill();
      return;
    }
    if (!this.#isWatched) {
      this.#isWatched = true;
      const next = this.#nextConnection;
      void this.#ping().then((isAnswered) => {
        this.#isWatched = false;
        if (isAnswered) this.#takeBack(next);
      });
      return;
    }
    setImmediate(() => {
      if (!this.#isWatched) return;
      if (this.#missedPings === 0) this.#m.onLate();
      this.#isLate = true;
      if (++this.#missedPings === MAX_MISSED_PINGS) this.#m.onHung();
      if (this.#missedPings >= MAX_MISSED_PINGS) this.kill();
    });
  }

  /** False: it is gone, though it has yet to be heard of. */
  give(socket: Socket, about: ClientConnection): boolean {
    const number = this.#nextConnection++;
    if (!this.link.give("connection", { ...about, number }, socket)) return false;
    this.#given.set(number, { socket, about });
    this.#connectionCount++;
    return true;
  }

  kill(): void {
    this.#m.child.kill("SIGKILL");
  }

  /** Ends it. What it still serves breaks off. */
  async close(): Promise<void> {
    this.link.tell("close", null);
    const timer = setTimeout(() => this.kill(), CLOSE_MS);
    await this.ended;
    clearTimeout(timer);
  }

  /** False: it is gone, and nothing more will be heard of it. */
  async #ping(): Promise<boolean> {
    try {
      await this.link.ask("ping", null);
      this.#isLate = false;
      this.#missedPings = 0;
      return true;
    } catch (error) {
      if (!isAimoError(error)) throw error;
      return false;
    }
  }

  /**
   * Connections given before a ping that was answered either arrived before it, or never will: Node drops what comes to a
   * process that has no file descriptor left, and keeps the order of all else.
   */
  #takeBack(next: number): void {
    // Those that may come back to it have numbers from `next` on.
    for (const [number, { socket, about }] of this.#given) {
      if (number >= next) return;
      this.#given.delete(number);
      this.#connectionCount--;
      this.#m.onUntaken(socket, about);
    }
  }

  #onTaken(number: number): void {
    const given = this.#given.get(number);
    if (!given) return;
    this.#given.delete(number);
    const { address } = given.about;
    this.#connections.set(address, (this.#connections.get(address) ?? 0) + 1);
    // It is the worker's alone now.
    given.socket.destroy();
  }

  #onLeft(address: string): void {
    this.#connectionCount--;
    if (takeOne(this.#connections, address)) this.#m.onLeft(address);
  }

  #end(how?: Parameters<SeatParameters["onEnd"]>[0]): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    this.#isReady = false;
    this.#starting.reject(new Error(`It ended with ${how?.code ?? how?.signal} before it was ready.`));
    this.link.end();
    this.#m.books.close();
    for (const [address, count] of this.#connections) for (let i = 0; i < count; i++) this.#m.onLeft(address);
    this.#connections.clear();
    for (const { socket, about } of this.#given.values()) this.#m.onUntaken(socket, about);
    this.#given.clear();
    if (how) this.#m.onEnd(how);
    this.#ending.resolve();
  }
}

/** True when there was one. */
function takeOne(counts: Map<string, number>, name: string): boolean {
  const count = counts.get(name) ?? 0;
  if (count > 1) counts.set(name, count - 1);
  else counts.delete(name);
  return count > 0;
}
