import { hasEnded, type JobRecord } from "../core/batch-job.ts";
import type { JobLine, Jobs } from "../flow/batch-ports.ts";
import type { Journal } from "./journal.ts";

/** Batches of requests: all records in memory, lines that have ended in the journal. */
export class JobStore implements Jobs {
  readonly #journal: Journal;
  readonly #byId = new Map<string, JobRecord>();

  private constructor(journal: Journal) {
    this.#journal = journal;
  }

  static async open(journal: Journal): Promise<JobStore> {
    const store = new JobStore(journal);
    for await (const [id, job] of journal.entries<JobRecord>("jobs")) store.#byId.set(id, job);
    return store;
  }

  list(userId: number): readonly JobRecord[] {
    return [...this.#byId.values()]
      .filter((job) => job.userId === userId)
      .sort((a, b) => a.createdAt - b.createdAt || (a.id < b.id ? -1 : 1));
  }

  active(): readonly JobRecord[] {
    return [...this.#byId.values()].filter((job) => !hasEnded(job));
  }

  find(userId: number, id: string): JobRecord | undefined {
    const job = this.#byId.get(id);
    return job?.userId === userId ? job : undefined;
  }

  save(job: JobRecord): void {
    this.#byId.set(job.id, job);
    this.#journal.put("jobs", job.id, job);
  }

  saveLine(id: string, no: number, line: JobLine): void {
    this.#journal.put("jobLines", lineKey(id, no), line);
  }

  async endedLines(id: string): Promise<Map<number, { isError: boolean; bytes: number }>> {
    const ended = new Map<number, { isError: boolean; bytes: number }>();
    for await (const [key, { isError, text }] of this.#journal.entries<JobLine>("jobLines", `${id}!`))
      ended.set(Number(key.slice(id.length + 1)), { isError, bytes: text.length });
    return ended;
  }

  async *lines(id: string, isError: boolean): AsyncGenerator<string> {
    for await (const [, line] of this.#journal.entries<JobLine>("jobLines", `${id}!`))
      if (line.isError === isError) yield line.text;
  }

  async removeLines(id: string): Promise<void> {
    for (const no of (await this.endedLines(id)).keys()) this.#journal.delete("jobLines", lineKey(id, no));
  }

  flushed(): Promise<void> {
    return this.#journal.flushed();
  }

  sweep(before: number): void {
    for (const job of [...this.#byId.values()]) {
      if (!hasEnded(job) || job.createdAt >= before) continue;
      this.#byId.delete(job.id);
      this.#journal.delete("jobs", job.id);
    }
  }
}

const lineKey = (id: string, no: number): string => `${id}!${String(no).padStart(8, "0")}`;
