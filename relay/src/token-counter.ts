import { Worker } from "node:worker_threads";
import { isFlagged } from "./core/count-flag.ts";
import type { CountFlag } from "./core/types.ts";
import type { Ledger } from "./flow/ports.ts";
import type { DeliveredChat, TokenCounts } from "./flow/serve-ports.ts";
import { programOf } from "./processes.ts";

/** What came of a request that was to be counted. `skipped`: there was no room for it. */
export type CountResult = "agrees" | "flagged" | "skipped";

export type TokenCounterParameters = {
  /** Of the requests, in percent. */
  readonly percent: number;
  /** From 0 to 1, without 1. */
  readonly random: () => number;
  readonly onResult: (result: CountResult) => void;
  readonly onFlag: (chat: Pick<DeliveredChat, "generationId" | "providerId">, flag: CountFlag) => void;
  readonly onFault: (error: unknown) => void;
};

type Flagging = {
  readonly ledger: Pick<Ledger, "flag">;
  readonly log: { warn(fields: object, message: string): void };
};

/** Keeps a flag with its request, and tells the operator; who says too much too often is for people to judge. */
export function flagging({ ledger, log }: Flagging): TokenCounterParameters["onFlag"] {
  return ({ generationId, providerId }, flag) => {
    ledger.flag(generationId, flag);
    log.warn(
      { generation: generationId, provider: providerId, ...flag },
      "a provider's count is far above ours",
    );
  };
}

/** Texts that wait to be counted, and their characters together: what is above that is not counted. */
const MAX_WAITING = 1_024;
const MAX_WAITING_CHARACTERS = 8 * 1024 * 1024;
/** A longer answer is not counted: it would hold all others up. */
const MAX_CHARACTERS = 256 * 1024;
/** Texts go to the thread together: waking it costs more than what is left of a request's own work. */
const GATHER_MS = 100;
/** In the published package the thread's program is a file of its own beside the command line. */
const PROGRAM = programOf(import.meta.url, "token-counting");

/**
 * Counts the completion tokens of some requests itself, in a thread of its own, and says where a provider's signed count
 * is far above that. No request waits for it.
 */
export class TokenCounter implements TokenCounts {
  readonly #m: TokenCounterParameters;
  readonly #waiting = new Map<number, DeliveredChat>();
  /** What the thread has not got yet. */
  #gathered: (readonly [number, readonly string[]])[] = [];
  #timer: NodeJS.Timeout | undefined;
  #characters = 0;
  #nextId = 1;
  #thread: Worker | undefined;
  #isClosed = false;

  constructor(parameters: TokenCounterParameters) {
    this.#m = parameters;
  }

  wants(): boolean {
    return this.#m.percent > 0 && !this.#isClosed && this.#m.random() * 100 < this.#m.percent;
  }

  take(chat: DeliveredChat): void {
    const length = lengthOf(chat);
    const isFull = this.#waiting.size >= MAX_WAITING || this.#characters + length > MAX_WAITING_CHARACTERS;
    if (this.#isClosed || isFull || length > MAX_CHARACTERS) {
      this.#m.onResult("skipped");
      return;
    }
    const id = this.#nextId++;
    this.#waiting.set(id, chat);
    this.#characters += length;
    this.#gathered.push([id, chat.texts]);
    this.#timer ??= setTimeout(() => this.#send(), GATHER_MS).unref();
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    this.#forget();
    await this.#thread?.terminate();
  }

  #send(): void {
    this.#timer = undefined;
    const texts = this.#gathered;
    this.#gathered = [];
    if (texts.length > 0) this.#open().postMessage(texts);
  }

  /** Begun with the first text; a thread that failed is begun anew with the next. */
  #open(): Worker {
    if (this.#thread) return this.#thread;
    const thread = new Worker(PROGRAM);
    thread.unref();
    thread.on("message", (counts: readonly (readonly [number, number])[]) => {
      for (const [id, counted] of counts) this.#onCount(id, counted);
    });
    thread.on("error", (error) => this.#m.onFault(error));
    thread.on("exit", () => {
      this.#thread = undefined;
      this.#forget();
    });
    this.#thread = thread;
    return thread;
  }

  #onCount(id: number, counted: number): void {
    const chat = this.#waiting.get(id);
    if (!chat) return;
    this.#waiting.delete(id);
    this.#characters -= lengthOf(chat);
    const flag = { stated: chat.stated, counted };
    const isBad = isFlagged(flag);
    this.#m.onResult(isBad ? "flagged" : "agrees");
    if (isBad) this.#m.onFlag(chat, flag);
  }

  #forget(): void {
    for (const _chat of this.#waiting.values()) this.#m.onResult("skipped");
    this.#waiting.clear();
    this.#gathered = [];
    this.#characters = 0;
  }
}

const lengthOf = ({ texts }: DeliveredChat): number => texts.reduce((sum, { length }) => sum + length, 0);
