import { AimoError } from "@aimo/protocol/errors";
import { GROUP_DEADLINE_MS } from "@aimo/protocol/groups";
import type { Hex } from "viem";
import type { Job } from "./job.ts";

/** After a relay hung up it has this long to say what it got: half of what its receipt has to arrive in. */
const ABORT_WAIT_MS = GROUP_DEADLINE_MS / 2;
/** A finished stream is remembered for a relay that finds late that its client got less. About 10 s at 400 a second. */
const MAX_FINISHED = 4_096;

/** The jobs of this node by relay and attempt: running, waiting for an abort, and the latest that ended. */
export class JobTable {
  readonly #jobs = new Map<string, Job>();
  readonly #running = new Set<Job>();
  readonly #waiting = new Map<Job, NodeJS.Timeout>();
  /** Keys of ended jobs, oldest first. */
  readonly #finished = new Set<string>();
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
    this.#waiting.set(
      job,
      setTimeout(() => job.giveUp(), ABORT_WAIT_MS),
    );
  }

  ended(relayId: number, attempt: Hex, job: Job): void {
    clearTimeout(this.#waiting.get(job));
    this.#waiting.delete(job);
    this.#running.delete(job);
    this.#finished.add(keyOf(relayId, attempt));
    if (this.#finished.size > MAX_FINISHED) {
      const [oldest] = this.#finished;
      if (oldest !== undefined) {
        this.#finished.delete(oldest);
        this.#jobs.delete(oldest);
      }
    }
    if (this.#running.size === 0) this.#onEmpty?.();
  }

  /** Resolves when nothing runs; breaks off what still does after `deadlineMs`. */
  async drain(deadlineMs: number): Promise<void> {
    if (this.#running.size === 0) return;
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
