import type { ChildProcess } from "node:child_process";
import type { EventEmitter } from "node:events";
import type { Socket } from "node:net";
import { AimoError, isAimoError } from "@aimo/protocol/errors";
import { errorOfWire, errorToWire, type WireError } from "./wire-error.ts";

/** Names of what is asked, with question and answer; names of what is told. */
type Dialogue = { [name: string]: [question: unknown, answer: unknown] };
type News = { [name: string]: unknown };

/** The other process: a child, or, from within that, its parent. */
export type LinkPort = ChildProcess | NodeJS.Process;

export type LinkHandlers<TheirQuestions extends Dialogue, TheirNews extends News> = {
  /** Begun in the order in which they were asked; each answer goes when it is there. */
  readonly questions: {
    [K in keyof TheirQuestions]: (
      question: TheirQuestions[K][0],
    ) => TheirQuestions[K][1] | Promise<TheirQuestions[K][1]>;
  };
  readonly news: { [K in keyof TheirNews]: (body: TheirNews[K], socket: Socket | undefined) => void };
  /** What went wrong here and is no error of the table. */
  readonly onFault: (error: unknown) => void;
};

const TELL = 0;
const ASK = 1;
const ANSWER = 2;
const FAILURE = 3;
type Packet =
  | readonly [typeof TELL, name: string, body: unknown]
  | readonly [typeof ASK, id: number, name: string, body: unknown]
  | readonly [typeof ANSWER, id: number, body: unknown]
  | readonly [typeof FAILURE, id: number, error: WireError];

/** Packets that the system has not taken yet, beyond which hints are not told: some seconds' worth is hopelessly late. */
const MAX_BEFORE_HINT = 4_096;

type Waiting = { readonly resolve: (answer: never) => void; readonly reject: (error: unknown) => void };

/**
 * Questions and news between two processes, in order. What one turn of the event loop has to say travels in one message:
 * a message costs as much as all that is in it.
 */
export class Link<
  Questions extends Dialogue,
  Own extends News,
  TheirQuestions extends Dialogue,
  TheirNews extends News,
> {
  readonly #port: LinkPort;
  readonly #handlers: LinkHandlers<TheirQuestions, TheirNews>;
  readonly #waiting = new Map<number, Waiting>();
  #packets: Packet[] = [];
  #nextId = 1;
  #unsent = 0;

  constructor(port: LinkPort, handlers: LinkHandlers<TheirQuestions, TheirNews>) {
    this.#port = port;
    this.#handlers = handlers;
    const emitter: EventEmitter = port;
    emitter.on("message", (packets: readonly Packet[], socket: Socket | undefined) => {
      for (const packet of packets) this.#take(packet, socket);
    });
    emitter.on("disconnect", () => this.end());
  }

  /** Questions that are not answered yet. */
  get asked(): number {
    return this.#waiting.size;
  }

  /** Packets that the system has not taken: they grow in memory while the other side does not read. */
  get unsent(): number {
    return this.#unsent;
  }

  /** Throws what the other side throws; `overloaded` when it is gone. */
  ask<K extends keyof Questions & string>(name: K, question: Questions[K][0]): Promise<Questions[K][1]> {
    if (!this.#port.connected) return Promise.reject(gone());
    const { promise, resolve, reject } = Promise.withResolvers<Questions[K][1]>();
    const id = this.#nextId++;
    this.#waiting.set(id, { resolve, reject });
    this.#push([ASK, id, name, question]);
    return promise;
  }

  tell<K extends keyof Own & string>(name: K, body: Own[K]): void {
    this.#push([TELL, name, body]);
  }

  /** Tells what nothing hangs on: left out while the other side is far behind. */
  hint<K extends keyof Own & string>(name: K, body: Own[K]): void {
    if (this.#unsent < MAX_BEFORE_HINT) this.tell(name, body);
  }

  /**
   * Sends a connection along, which stays open here too: one that does not arrive can be given to another process. Close
   * it when the other side says that it has it. False: there is nobody any more.
   */
  give<K extends keyof Own & string>(name: K, body: Own[K], socket: Socket): boolean {
    if (!this.#port.connected) return false;
    // By itself: a message has room for one connection.
    this.#send([[TELL, name, body]], socket);
    return true;
  }

  /** Nothing more will be answered: the other side is gone. Node does not always tell that by itself. */
  end(): void {
    for (const { reject } of this.#waiting.values()) reject(gone());
    this.#waiting.clear();
  }

  #push(packet: Packet): void {
    if (this.#packets.push(packet) === 1) setImmediate(() => this.#flush());
  }

  #flush(): void {
    const packets = this.#packets;
    this.#packets = [];
    if (packets.length > 0) this.#send(packets);
  }

  #send(packets: readonly Packet[], socket?: Socket): void {
    // Who is gone has told so, or will: its end is seen to there.
    if (!this.#port.connected) return;
    const count = packets.length;
    this.#unsent += count;
    this.#port.send?.(packets, socket, { keepOpen: true }, () => {
      this.#unsent -= count;
    });
  }

  #take(packet: Packet, socket: Socket | undefined): void {
    if (packet[0] === ASK) void this.#answer(packet[1], packet[2], packet[3]);
    else if (packet[0] === TELL) this.#hear(packet[1], packet[2], socket);
    else {
      const waiting = this.#waiting.get(packet[1]);
      this.#waiting.delete(packet[1]);
      if (packet[0] === ANSWER) waiting?.resolve(packet[2] as never);
      else waiting?.reject(errorOfWire(packet[2]));
    }
  }

  #hear(name: string, body: unknown, socket: Socket | undefined): void {
    try {
      this.#handlers.news[name]?.(body as never, socket);
    } catch (error) {
      this.#handlers.onFault(error);
    }
  }

  async #answer(id: number, name: string, question: unknown): Promise<void> {
    try {
      const answer = this.#handlers.questions[name]?.(question as never);
      this.#push([ANSWER, id, answer instanceof Promise ? await answer : answer]);
    } catch (error) {
      if (!isAimoError(error)) this.#handlers.onFault(error);
      this.#push([FAILURE, id, errorToWire(error)]);
    }
  }
}

const gone = () =>
  new AimoError("overloaded", { message: "A process of the relay has ended.", retryAfterSeconds: 1 });
