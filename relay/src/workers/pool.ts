import { fork } from "node:child_process";
import type { Socket } from "node:net";
import { setTimeout as wait } from "node:timers/promises";
import type { Log } from "@aimo/node/log";
import type { ClientConnection, MainNews } from "./messages.ts";
import { PING_MS, Seat } from "./seat.ts";
import { WorkerBooks, type WorkerBooksParameters } from "./worker-books.ts";

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
/** Workers that a connection is given to, one after the other, when none takes it: all may be out of file descriptors. */
const MAX_GIVEN = 4;
/** To load its modules on a busy machine. */
const READY_MS = 60_000;

/** The processes that serve for this one, which has the books. One that ends is replaced. */
export class WorkerPool {
  readonly #m: WorkerPoolParameters;
  readonly #seats = new Set<Seat>();
  /** Connections that came back, and how many times. */
  readonly #untaken = new WeakMap<Socket, number>();
  readonly #closing = new AbortController();
  readonly #running: Promise<void>[] = [];
  readonly #watch: NodeJS.Timeout;
  #stopping: NodeJS.Timeout | undefined;
  /** Workers are asked what they have said: those who ask by now wait for the round that comes next. */
  #round: Promise<void> | undefined;
  #nextRound: Promise<void> | undefined;

  private constructor(parameters: WorkerPoolParameters) {
    this.#m = parameters;
    this.#watch = setInterval(() => {
      for (const seat of this.#seats) seat.watch();
    }, PING_MS);
    this.#watch.unref();
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

  /**
   * Gives a connection to the worker that has the fewest, of those that answer, and to another one if it ends before it
   * has it. False: there is none to take it.
   */
  take(socket: Socket, about: ClientConnection): boolean {
    return this.#give([...this.#seats], socket, about);
  }

  #give(seats: readonly Seat[], socket: Socket, about: ClientConnection): boolean {
    const able = seats.filter((seat) => seat.isReady);
    for (let best = bestOf(able); best; best = bestOf(able)) {
      if (best.give(socket, about)) return true;
      able.splice(able.indexOf(best), 1);
    }
    return false;
  }

  /** Whether another one has a connection now that this one has not taken. */
  #takeFrom(seat: Seat, socket: Socket, about: ClientConnection): boolean {
    const times = (this.#untaken.get(socket) ?? 1) + 1;
    this.#untaken.set(socket, times);
    if (this.#closing.signal.aborted || times > MAX_GIVEN) return false;
    const others = [...this.#seats].filter((other) => other !== seat);
    return this.#give(others, socket, about);
  }

  /** Tells all workers. */
  tell<K extends keyof MainNews & string>(name: K, news: MainNews[K]): void {
    for (const { link } of this.#seats) link.tell(name, news);
  }

  /**
   * Resolves when all that workers had said by now has been heard; those that are late are left out. One round of
   * questions is for all who ask: not the one that runs, for a worker may have answered it before it said what is meant.
   */
  heard(): Promise<void> {
    if (!this.#round) return this.#hear();
    this.#nextRound ??= this.#round.then(() => this.#hear());
    return this.#nextRound;
  }

  async #hear(): Promise<void> {
    this.#nextRound = undefined;
    const round = Promise.all([...this.#seats].map((seat) => seat.heard())).then(() => {
      this.#round = undefined;
    });
    this.#round = round;
    await round;
  }

  /** Ends what runs. Workers that hold for something `limitMs` later end with it; from now on none is replaced. */
  stop(limitMs: number): void {
    if (this.#stopping) return;
    this.tell("stop", null);
    this.#stopping = setTimeout(() => {
      for (const seat of this.#seats) if (seat.holds) seat.kill();
    }, limitMs);
  }

  /** Ends all workers. What they still serve breaks off. */
  async close(): Promise<void> {
    this.#closing.abort();
    clearInterval(this.#watch);
    clearTimeout(this.#stopping);
    await Promise.all([...this.#seats].map((seat) => seat.close()));
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
      await seat?.ended;
      if (signal.aborted || this.#stopping) return;
      if (performance.now() - began > SOUND_MS) backoffMs = FIRST_BACKOFF_MS;
      await wait(backoffMs, undefined, { signal }).catch(() => {});
      backoffMs = Math.min(2 * backoffMs, MAX_BACKOFF_MS);
      if (signal.aborted || this.#stopping) return;
      seat = await this.#seat(number).catch((error: unknown) => {
        this.#m.log.error({ worker: number, err: error }, "A worker did not start.");
        return undefined;
      });
    }
  }

  /** A worker that has started; throws when it ends, or takes too long, before that. */
  async #seat(number: number): Promise<Seat> {
    const seat = this.#sit(number);
    const late = Promise.withResolvers<never>();
    const timer = setTimeout(() => late.reject(new Error("It did not start in time.")), READY_MS);
    seat.link.tell("start", this.#m.start);
    const { offers, behind } = this.#m.greetings();
    seat.link.tell("offers", offers);
    seat.link.tell("behind", behind);
    try {
      await Promise.race([seat.started, late.promise]);
      return seat;
    } catch (cause) {
      seat.kill();
      throw new Error(`Worker ${number} did not start.`, { cause });
    } finally {
      clearTimeout(timer);
    }
  }

  #sit(number: number): Seat {
    const { program, onLeft, onSticky, log } = this.#m;
    const child = fork(program, {
      // No flags of the program around it: it may be a test runner, or be debugged.
      ...{ execArgv: [], serialization: "advanced", stdio: ["ignore", "inherit", "inherit", "ipc"] },
    });
    const onFault = (error: unknown) =>
      log.error({ worker: number, err: error }, "A worker's message failed.");
    const books = new WorkerBooks({
      ...this.#m.books,
      onFault,
      onSticky: (news) => {
        onSticky(news);
        for (const other of this.#seats) if (other !== seat) other.link.hint("sticky", news);
      },
    });
    const seat = new Seat({
      ...{ child, books, onLeft, onFault },
      onLate: () => log.warn({ worker: number }, "A worker does not answer; others serve meanwhile."),
      onHung: () => log.error({ worker: number }, "A worker did not answer any more, and was killed."),
      onUntaken: (socket, about) => {
        if (this.#takeFrom(seat, socket, about)) return;
        socket.destroy();
        onLeft(about.address);
      },
      onEnd: (how) => {
        if (!this.#closing.signal.aborted)
          log.error(
            { worker: number, ...how },
            "A worker has ended; what it served is free, and another takes its place.",
          );
      },
    });
    this.#seats.add(seat);
    void seat.ended.then(() => this.#seats.delete(seat));
    seat.started.then(
      () => log.info({ worker: number, worker_pid: child.pid }, "A worker serves."),
      () => {},
    );
    return seat;
  }
}

/** Who is to be given the next connection. */
function bestOf(seats: readonly Seat[]): Seat | undefined {
  let best = seats[0];
  for (const seat of seats) if (best && isBefore(seat, best)) best = seat;
  return best;
}

function isBefore(one: Seat, other: Seat): boolean {
  return one.isLate === other.isLate ? one.connectionCount < other.connectionCount : other.isLate;
}
