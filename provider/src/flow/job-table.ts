import { AimoError } from "@aimo/protocol/errors";
import { GROUP_DEADLINE_MS } from "@aimo/protocol/groups";
import type { UsageStatement } from "@aimo/protocol/session";
import type { Hex } from "viem";

/** After a relay hung up it has this long to say what it got: half of what its receipt has to arrive in. */
const ABORT_WAIT_MS = GROUP_DEADLINE_MS / 2;
/** A finished stream is remembered for a relay that finds late that its client got less, until its group lapses. */
const REMEMBERED_MS = GROUP_DEADLINE_MS;
/** A stream holds some 100 KB with its pieces, so this many are bounded memory; 100 a second fit. */
const MAX_FINISHED = 1_024;

/** A job as the table needs it. */
type Job = {
  abort(frames: number): UsageStatement | undefined;
  cancel(error: AimoError): void;
  giveUp(): void;
};

/** The jobs of this node by relay and attempt: running, waiting for an abort, and the latest that ended. */
export class JobTable {
  readonly #jobs = new Map<string, Job>();
  readonly #running = new Set<Job>();
  readonly #waiting = new Map<Job, NodeJS.Timeout>();
  /** Keys of streams that ended, oldest first, with the time until which they are remembered. */
  readonly #finished = new Map<string, number>();
  #closed = false;
  #onEmpty: (() => void) | undefined;

  /** Throws `request_in_progress` for an attempt that is known: its abort could not be told apart. */
  refuseTwin(relayId: number, attempt: Hex): void {
    if (this.#jobs.has(keyOf(relayId, attempt)))
      throw new AimoError("request_in_progress", {
        message: `Attempt ${attempt} was sent before.`,
        param: "attempt",
      });
  }

  add(relayId: number, attempt: Hex, job: Job): void {
    this.#jobs.set(keyOf(relayId, attempt), job);
    this.#running.add(job);
  }

  of(relayId: number, attempt: Hex): Job | undefined {
    return this.#jobs.get(keyOf(relayId, attempt));
  }

  /** The relay hung up: gives the job up unless an abort comes in time. */
  awaitAbort(job: Job): void {
    if (this.#closed) {
      job.giveUp();
      return;
    }
    this.#waiting.set(
      job,
      setTimeout(() => job.giveUp(), ABORT_WAIT_MS),
    );
  }

  ended(relayId: number, attempt: Hex, job: Job, streamed: boolean): void {
    clearTimeout(this.#waiting.get(job));
    this.#waiting.delete(job);
    this.#running.delete(job);
    const key = keyOf(relayId, attempt);
    if (streamed) this.#remember(key);
    else this.#jobs.delete(key);
    if (this.#running.size === 0) this.#onEmpty?.();
  }

  #remember(key: string): void {
    const now = performance.now();
    this.#finished.delete(key);
    this.#finished.set(key, now + REMEMBERED_MS);
    for (const [oldest, until] of this.#finished) {
      if (until > now && this.#finished.size <= MAX_FINISHED) break;
      this.#finished.delete(oldest);
      this.#jobs.delete(oldest);
    }
  }

  /** Resolves when nothing runs; breaks off what still does after `deadlineMs`. */
  async drain(deadlineMs: number): Promise<void> {
    if (this.#running.size > 0) await this.#untilEmpty(deadlineMs);
    this.#closed = true;
  }

  async #untilEmpty(deadlineMs: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#onEmpty = resolve;
    const deadline = setTimeout(() => {
      for (const job of this.#running) job.cancel(new AimoError("shutting_down"));
      resolve();
    }, deadlineMs);
    await promise;
    clearTimeout(deadline);
  }
}

function keyOf(relayId: number, attempt: Hex): string {
  return `${relayId}:${attempt}`;
}
