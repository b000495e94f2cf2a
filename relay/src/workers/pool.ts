import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import type { Socket } from "node:net";
import { setTimeout as wait } from "node:timers/promises";
import type { Log } from "@aimo/node/log";
import { Link } from "./link.ts";
import type { MainNews, MainQuestions, WorkerNews, WorkerQuestions } from "./messages.ts";
import { WorkerBooks, type WorkerBooksParameters } from "./worker-books.ts";

type Seat = {
  readonly child: ChildProcess;
  readonly link: Link<MainQuestions, MainNews, WorkerQuestions, WorkerNews>;
  readonly books: WorkerBooks;
  /** Connections that it has, by address. */
  readonly connections: Map<string, number>;
  connectionCount: number;
  isReady: boolean;
};

export type WorkerPoolParameters = {
  /** What a worker runs. */
  readonly program: URL;
  readonly count: number;
  /** What each is told first. */
  readonly start: object;
  readonly books: Omit<WorkerBooksParameters, "onSticky" | "onFault">;
  /** Another process has served a session. */
  readonly onSticky: WorkerBooksParameters["onSticky"];
  /** The state that a new worker has to know. */
  readonly greetings: () => Pick<MainNews, "offers" | "behind">;
  /** A connection from this address is gone. */
  readonly onLeft: (address: string) => void;
  readonly log: Log;
};

const FIRST_BACKOFF_MS = 100;
const MAX_BACKOFF_MS = 10_000;
/** A worker that ran for so long did not fail by its start. */
const SOUND_MS = 60_000;
/** To load its modules on a busy machine. */
const READY_MS = 60_000;
const CLOSE_MS = 5_000;
/** A group of receipts waits this long for a worker to say what it has sent. */
const PING_MS = 1_000;

/** The processes that serve for this one, which has the books. One that ends is replaced. */
export class WorkerPool {
  readonly #m: WorkerPoolParameters;
  readonly #seats = new Set<Seat>();
  readonly #closing = new AbortController();
  readonly #running: Promise<void>[] = [];

  private constructor(parameters: WorkerPoolParameters) {
    this.#m = parameters;
  }

  /** Resolves when all workers take connections. Throws an Error when one ends before that. */
  static async start(parameters: WorkerPoolParameters): Promise<WorkerPool> {
    const pool = new WorkerPool(parameters);
    try {
      const numbers = Array.from({ length: parameters.count }, (_, index) => index + 1);
      await Promise.all(numbers.map((number) => pool.#open(number)));
      return pool;
    } catch (error) {
      await pool.close();
      throw error;
    }
  }

  /** Gives a connection to the worker that has the fewest. False: there is none to take it. */
  take(socket: Socket, about: MainNews["connection"]): boolean {
    let least: Seat | undefined;
    for (const seat of this.#seats)
      if (seat.isReady && (!least || seat.connectionCount < least.connectionCount)) least = seat;
    if (!least) return false;
    least.connectionCount++;
    least.connections.set(about.address, (least.connections.get(about.address) ?? 0) + 1);
    least.link.give("connection", about, socket);
    return true;
  }

  /** Tells all workers. */
  tell<K extends keyof MainNews & string>(name: K, news: MainNews[K]): void {
    for (const { link } of this.#seats) link.tell(name, news);
  }

  /** Resolves when all that workers had said by now has been heard, or they are too busy to say. */
  async heard(): Promise<void> {
    const answers = [...this.#seats].map(({ link }) => link.ask("ping", null));
    const late = new AbortController();
    await Promise.race([
      Promise.allSettled(answers),
      wait(PING_MS, undefined, { signal: late.signal, ref: false }).catch(() => {}),
    ]);
    late.abort();
  }

  /** Ends all workers. What they still serve breaks off. */
  async close(): Promise<void> {
    this.#closing.abort();
    await Promise.all([...this.#seats].map((seat) => endSeat(seat)));
    await Promise.all(this.#running);
  }

  async #open(number: number): Promise<void> {
    const seat = await this.#seat(number);
    this.#running.push(this.#keep(number, seat));
  }

  /** Replaces a worker whenever it ends, until the pool closes. */
  async #keep(number: number, first: Seat): Promise<void> {
    const { signal } = this.#closing;
    let seat: Seat | undefined = first;
    let backoffMs = FIRST_BACKOFF_MS;
    while (!signal.aborted) {
      const began = performance.now();
      if (seat) await ended(seat.child);
      if (signal.aborted) return;
      if (performance.now() - began > SOUND_MS) backoffMs = FIRST_BACKOFF_MS;
      await wait(backoffMs, undefined, { signal }).catch(() => {});
      backoffMs = Math.min(2 * backoffMs, MAX_BACKOFF_MS);
      if (signal.aborted) return;
      seat = await this.#seat(number).catch((error: unknown) => {
        this.#m.log.error({ worker: number, err: error }, "A worker did not start.");
        return undefined;
      });
    }
  }

  /** A worker that has started; throws when it ends, or takes too long, before that. */
  async #seat(number: number): Promise<Seat> {
    const child = fork(this.#m.program, {
      // No flags of the program around it: it may be a test runner, or be debugged.
      ...{ execArgv: [], serialization: "advanced", stdio: ["ignore", "inherit", "inherit", "ipc"] },
    });
    const seat = this.#sit(child, number);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const timer = setTimeout(() => reject(new Error(`Worker ${number} did not start.`)), READY_MS);
    child.once("exit", (code, signal) => {
      reject(new Error(`Worker ${number} ended with ${code ?? signal} before it was ready.`));
      this.#onEnd(seat, { number, code, signal });
    });
    child.once("error", reject);
    seat.onReady = resolve;
    seat.link.tell("start", this.#m.start);
    const { offers, behind } = this.#m.greetings();
    seat.link.tell("offers", offers);
    seat.link.tell("behind", behind);
    try {
      await promise;
      this.#m.log.info({ worker: number, worker_pid: child.pid }, "A worker serves.");
      return seat;
    } catch (error) {
      child.kill("SIGKILL");
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }

  #sit(child: ChildProcess, number: number): Seat & { onReady: () => void } {
    const { onLeft, onSticky, log } = this.#m;
    const onFault = (error: unknown) =>
      log.error({ worker: number, err: error }, "A worker's message failed.");
    const books = new WorkerBooks({
      ...this.#m.books,
      onFault,
      onSticky: (news) => {
        onSticky(news);
        for (const { link, books: other } of this.#seats) if (other !== books) link.tell("sticky", news);
      },
    });
    const seat: Seat & { onReady: () => void } = {
      ...{ child, books, connections: new Map(), connectionCount: 0, isReady: false, onReady: () => {} },
      link: new Link<MainQuestions, MainNews, WorkerQuestions, WorkerNews>(child, {
        questions: books.questions,
        news: {
          ...books.news,
          ready: () => {
            seat.isReady = true;
            seat.onReady();
          },
          left: (address) => {
            if (takeOne(seat.connections, address)) onLeft(address);
            seat.connectionCount--;
          },
        },
        onFault,
      }),
    };
    this.#seats.add(seat);
    return seat;
  }

  #onEnd(seat: Seat, about: { number: number; code: number | null; signal: string | null }): void {
    seat.isReady = false;
    this.#seats.delete(seat);
    if (!this.#closing.signal.aborted)
      this.#m.log.error(about, "A worker has ended; what it served is free, and another takes its place.");
    seat.books.close();
    for (const [address, count] of seat.connections) for (let i = 0; i < count; i++) this.#m.onLeft(address);
    seat.connections.clear();
  }
}

async function endSeat({ child, link }: Seat): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const end = ended(child);
  link.tell("close", null);
  const timer = setTimeout(() => child.kill("SIGKILL"), CLOSE_MS);
  await end;
  clearTimeout(timer);
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
}

/** True when there was one. */
function takeOne(counts: Map<string, number>, name: string): boolean {
  const count = counts.get(name) ?? 0;
  if (count > 1) counts.set(name, count - 1);
  else counts.delete(name);
  return count > 0;
}
