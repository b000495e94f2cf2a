import { setTimeout as wait } from "node:timers/promises";
import { MAX_ANNOUNCEMENT_LIFE_MS } from "@aimo/protocol/announcement";
import { AimoError } from "@aimo/protocol/errors";
import { hasEnded, type JobRecord, moveTo } from "../core/batch-job.ts";
import { BatchPace } from "../core/batch-pace.ts";
import { checkInput, type FileModules, finish, inputLines } from "./batch-files.ts";
import { expiredLine, type LineModules, runLine } from "./batch-line.ts";
import type { JobLine } from "./batch-ports.ts";
import { BatchRoom, type RoomModules } from "./batch-room.ts";
import type { Keys } from "./ports.ts";
import type { RequestRates } from "./request-rates.ts";
import type { Serving } from "./serve.ts";

export type BatchModules = FileModules &
  RoomModules & {
    readonly serving: Pick<Serving, "serve">;
    readonly keys: Pick<Keys, "byHash" | "find">;
    readonly rates: Pick<RequestRates, "takeSpare">;
    readonly randomHex: (bytes: number) => string;
    readonly log: {
      error(fields: object, message: string): void;
      info(fields: object, message: string): void;
    };
  };

const DAY_MS = 86_400_000;
/** The one window of OpenAI's. */
const WINDOW_MS = DAY_MS;
/** Batches of one account that have not ended. */
const MAX_ACTIVE = 64;
const FIRST_RETRY_MS = 500;
const SWEEP_MS = 3_600_000;

type JobRequest = Pick<JobRecord, "userId" | "keyHash" | "endpoint" | "inputFileId" | "metadata" | "keepMs">;
/** A batch on its way; `signal` fires when it is cancelled or the node stops. */
type Running = {
  readonly job: JobRecord;
  readonly signal: AbortSignal;
  readonly counts: { completed: number; failed: number };
  readonly pace: BatchPace;
};

/**
 * Runs batches in the background: a bounded number of their lines at a time, and none while the relay is busy with
 * others. A line that ended is kept before anything is said of it, so that no restart sends it again. One that is refused
 * for now gives its place back and is sent again after the lines behind it; its batch begins no other for a while.
 */
export class BatchRunner {
  readonly #m: BatchModules;
  readonly #room: BatchRoom;
  readonly #stopped = new AbortController();
  readonly #running = new Map<string, { cancel: () => void; done: Promise<void> }>();
  readonly #startedAt: number;
  #sweep: NodeJS.Timeout | undefined;

  constructor(modules: BatchModules) {
    this.#m = modules;
    this.#startedAt = modules.now();
    this.#room = new BatchRoom(modules);
  }

  /** Takes up what a restart interrupted. */
  start(): void {
    for (const job of this.#m.jobs.active()) this.#launch(job);
    this.#sweep = setInterval(() => void this.#sweepFiles(), SWEEP_MS).unref();
  }

  /** Begins nothing more; resolves when no batch runs. Lines in flight end as all requests do. */
  async stop(): Promise<void> {
    clearInterval(this.#sweep);
    this.#stopped.abort();
    await Promise.all([...this.#running.values()].map(({ done }) => done));
  }

  /** Throws `invalid_request`, `not_found` and `rate_limit_exceeded`. */
  create(request: JobRequest): JobRecord {
    const { files, jobs, now, randomHex } = this.#m;
    if (this.#stopped.signal.aborted) throw new AimoError("shutting_down", { retryAfterSeconds: 5 });
    const param = "input_file_id";
    if (files.require(request.userId, request.inputFileId, param).purpose !== "batch")
      throw new AimoError("invalid_request", {
        message: `${param} must name a file of purpose batch.`,
        param,
      });
    if (jobs.list(request.userId).filter((job) => !hasEnded(job)).length >= MAX_ACTIVE)
      throw new AimoError("rate_limit_exceeded", {
        message: `An account has at most ${MAX_ACTIVE} batches at once.`,
        retryAfterSeconds: 60,
      });
    const createdAt = now();
    const job: JobRecord = {
      ...request,
      ...{ id: `batch_${randomHex(12).slice(2)}`, status: "validating", times: { validating: createdAt } },
      ...{ createdAt, expiresAt: createdAt + WINDOW_MS, faults: [] },
      counts: { total: 0, completed: 0, failed: 0 },
    };
    jobs.save(job);
    this.#launch(job);
    return job;
  }

  /** Stops what has not begun. Throws `not_found`, and `invalid_request` when the batch has ended. */
  cancel(userId: number, id: string): JobRecord {
    const { jobs, now } = this.#m;
    const job = this.require(userId, id);
    if (job.status === "cancelling") return job;
    if (hasEnded(job) || job.status === "finalizing")
      throw new AimoError("invalid_request", {
        message: `The batch is ${job.status}; it cannot be cancelled.`,
      });
    const cancelling = moveTo(job, "cancelling", now());
    jobs.save(cancelling);
    this.#running.get(id)?.cancel();
    return cancelling;
  }

  require(userId: number, id: string): JobRecord {
    const job = this.#m.jobs.find(userId, id);
    if (job) return job;
    throw new AimoError("not_found", { message: "The account has no such batch.", param: "batch_id" });
  }

  /** Files that a batch still needs. */
  inUse(): ReadonlySet<string> {
    return new Set(this.#m.jobs.active().map(({ inputFileId }) => inputFileId));
  }

  async #sweepFiles(): Promise<void> {
    const { files, jobs, limits, now, log } = this.#m;
    try {
      await files.sweep(this.inUse());
      jobs.sweep(now() - limits.keepDays * DAY_MS);
    } catch (error) {
      log.error({ err: error }, "Expired files were not removed.");
    }
  }

  #launch(job: JobRecord): void {
    const cancelled = new AbortController();
    const signal = AbortSignal.any([this.#stopped.signal, cancelled.signal]);
    const done = this.#run({ job, signal, counts: { completed: 0, failed: 0 }, pace: new BatchPace() })
      .catch((error: unknown) => this.#m.log.error({ err: error, batch: job.id }, "A batch stopped."))
      .finally(() => this.#running.delete(job.id));
    this.#running.set(job.id, { cancel: () => cancelled.abort(), done });
  }

  /** The record as it is now: a cancellation may have come meanwhile. */
  #now({ job: { userId, id } }: Running): JobRecord {
    return this.require(userId, id);
  }

  async #run(running: Running): Promise<void> {
    const { jobs, now, log } = this.#m;
    if (this.#now(running).status === "validating" && !(await this.#validate(running))) return;
    if (this.#now(running).status !== "finalizing" && !(await this.#sendLines(running))) return;
    const job = this.#now(running);
    if (job.status === "in_progress") jobs.save(moveTo(job, "finalizing", now()));
    const ended = await finish(this.#m, job);
    this.#room.forget(job.id);
    log.info({ batch: job.id, status: ended?.status, ...ended?.counts }, "A batch has ended.");
  }

  /** False: the batch failed, or the node stops. */
  async #validate(running: Running): Promise<boolean> {
    const { jobs, now } = this.#m;
    const { total, faults } = await checkInput(this.#m, running.job);
    const job = this.#now(running);
    const counts = { total, completed: 0, failed: 0 };
    if (faults.length > 0) jobs.save(moveTo(job, "failed", now(), { faults, counts }));
    else if (job.status === "cancelling") jobs.save({ ...job, counts });
    else jobs.save(moveTo(job, "in_progress", now(), { counts }));
    return faults.length === 0 && !this.#stopped.signal.aborted;
  }

  /** Sends what has not ended yet. False: the node stops, and goes on with it after the next start. */
  async #sendLines(running: Running): Promise<boolean> {
    const { jobs } = this.#m;
    const { job, counts } = running;
    const ended = await jobs.endedLines(job.id);
    for (const { isError, bytes } of ended.values()) {
      this.#room.store(job.id, job.userId, bytes);
      counts[isError ? "failed" : "completed"]++;
    }
    let aside = await this.#sendOnce(running, (no) => !ended.has(no));
    while (aside.size > 0) {
      const due = aside;
      aside = await this.#sendOnce(running, (no) => due.has(no));
    }
    return !this.#stopped.signal.aborted;
  }

  /** Sends those of the lines that are due, each once; gives the numbers of those that are to be sent again. */
  async #sendOnce(running: Running, isDue: (no: number) => boolean): Promise<ReadonlySet<number>> {
    const { job, signal } = running;
    const lines = new Set<Promise<void>>();
    /** Their numbers only: the texts are read again. */
    const aside = new Set<number>();
    for await (const { no, text } of inputLines(this.#m, job)) {
      if (signal.aborted || this.#now(running).status === "cancelling") break;
      if (!isDue(no)) continue;
      if (await this.#enter(running)) {
        const line = this.#send(running, no, text)
          .then((isLater) => void (isLater && aside.add(no)))
          .finally(() => lines.delete(line));
        lines.add(line);
      } else if (!signal.aborted) this.#keep(running, no, expiredLine(this.#m.randomHex, job, text), true);
    }
    await Promise.all(lines);
    return aside;
  }

  /**
   * Waits for the batch's pause to end, for a place, and for a request of the key's rate. False: the batch's time is over,
   * or its signal fired.
   */
  async #enter({ job, signal, pace }: Running): Promise<boolean> {
    const { now } = this.#m;
    let ms = pace.waitMs(now());
    while (!signal.aborted && now() <= job.expiresAt) {
      if (ms > 0) {
        await wait(Math.min(ms, job.expiresAt + 1 - now()), undefined, { signal }).catch(() => {});
        ms = 0;
      } else if (await this.#room.enter(job.userId, signal)) {
        // Another line may have been refused while this one waited for its place.
        ms = pace.waitMs(now()) || this.#takeRate(job);
        if (ms === 0) return true;
        this.#room.leave(job.userId);
      }
    }
    return false;
  }

  /** Milliseconds to wait; 0: taken. A key that is gone has no rate, its lines end with that. */
  #takeRate({ userId, keyHash }: JobRecord): number {
    const record = this.#m.keys.find(userId, keyHash);
    return record ? this.#m.rates.takeSpare(record) : 0;
  }

  /** True: the line is to be sent again. */
  async #send(running: Running, no: number, text: string): Promise<boolean> {
    const { job, pace } = running;
    try {
      const refusal = await runLine(this.#modulesOf(running, no), job, text);
      if (refusal) pace.onRefusal(this.#m.now(), refusal.retryAfterSeconds);
      return refusal !== undefined;
    } finally {
      this.#room.leave(job.userId);
    }
  }

  #modulesOf(running: Running, no: number): LineModules {
    const { serving, keys, randomHex, now } = this.#m;
    const { job, signal } = running;
    return {
      ...{ serving, keys, randomHex },
      // A batch of before a restart: whoever made it knew the model.
      isYoung: () => job.createdAt < this.#startedAt && now() < this.#startedAt + MAX_ANNOUNCEMENT_LIFE_MS,
      isFull: this.#room.isFull(job.userId),
      save: (line) => this.#keep(running, no, line),
      note: (line) => this.#m.jobs.saveLine(job.id, no, line),
      waitBefore: async (tries) => {
        const ms = FIRST_RETRY_MS * 2 ** (tries - 1);
        if (now() + ms > job.expiresAt) return "over";
        return wait(ms, "again" as const, { signal }).catch(() => "left" as const);
      },
    };
  }

  #keep(running: Running, no: number, line: JobLine, isLate = false): void {
    const { jobs, now } = this.#m;
    const { job, counts } = running;
    jobs.saveLine(job.id, no, line);
    this.#room.store(job.id, job.userId, line.text.length);
    counts[line.isError ? "failed" : "completed"]++;
    if (!line.isError) running.pace.onServed();
    const current = this.#now(running);
    const times = isLate ? { times: { ...current.times, expired: now() } } : {};
    jobs.save({ ...current, ...times, counts: { ...current.counts, ...counts } });
  }
}
