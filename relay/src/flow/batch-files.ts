import { isAimoError } from "@aimo/protocol/errors";
import { type JobFault, type JobRecord, linesOf, moveTo, readLine } from "../core/batch-job.ts";
import type { BatchLimits, Files, Jobs } from "./batch-ports.ts";

/** What comes out of a batch's input file, and how its output files are made. */

const MAX_FAULTS = 50;
/** Beside its body a line has its address and an id of at most 512 characters. */
const LINE_OVERHEAD_BYTES = 8_192;

export type FileModules = {
  readonly files: Files;
  readonly jobs: Jobs;
  readonly limits: BatchLimits;
  /** Longest body of a request. */
  readonly maxBodyBytes: number;
  /** Wall-clock milliseconds. */
  readonly now: () => number;
};

/** Lines of the input. Throws a RangeError when one is too long. */
export function inputLines({ files, maxBodyBytes }: FileModules, { inputFileId }: JobRecord) {
  return linesOf(files.read(inputFileId), maxBodyBytes + LINE_OVERHEAD_BYTES);
}

/** Reads every line once, before the first is sent. */
export async function checkInput(
  modules: FileModules,
  job: JobRecord,
): Promise<{ readonly total: number; readonly faults: readonly JobFault[] }> {
  const { maxLines } = modules.limits;
  const faults: JobFault[] = [];
  const seen = new Set<string>();
  let total = 0;
  const note = (line: number | null, code: string, message: string, param: string | null = null) =>
    faults.push({ code, message, line, param });
  try {
    for await (const { no, text } of inputLines(modules, job)) {
      if (++total > maxLines) note(no, "too_many_requests", `A batch has at most ${maxLines} requests.`);
      else noteLine(no, text);
      if (total > maxLines || faults.length >= MAX_FAULTS) break;
    }
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    note(total + 1, "invalid_request", error.message);
  }
  if (total === 0 && faults.length === 0) note(null, "empty_file", "The input file has no requests.");
  return { total, faults };

  function noteLine(no: number, text: string): void {
    try {
      const { customId } = readLine(text, job.endpoint);
      if (seen.has(customId)) note(no, "duplicate_custom_id", "custom_id stands twice.", "custom_id");
      seen.add(customId);
    } catch (error) {
      if (!isAimoError(error)) throw error;
      note(no, error.code, error.message, error.param ?? null);
    }
  }
}

/** Makes files of the lines and forgets them. May be repeated after a crash: the files' names follow from the batch. */
export async function finish(
  modules: FileModules,
  { userId, id }: Pick<JobRecord, "userId" | "id">,
): Promise<JobRecord | undefined> {
  const { jobs, now } = modules;
  await jobs.flushed();
  const job = jobs.find(userId, id);
  if (!job) return undefined;
  const outputFileId = await writeFile(modules, job, false);
  const errorFileId = await writeFile(modules, job, true);
  const end = job.status === "cancelling" ? "cancelled" : job.times.expired ? "expired" : "completed";
  const files = { ...(outputFileId ? { outputFileId } : {}), ...(errorFileId ? { errorFileId } : {}) };
  const ended = moveTo(job, end, now(), files);
  jobs.save(ended);
  await jobs.flushed();
  await jobs.removeLines(id);
  return ended;
}

/** Undefined without lines. */
async function writeFile(
  { files, jobs, now }: FileModules,
  job: JobRecord,
  isError: boolean,
): Promise<string | undefined> {
  const name = isError ? "error" : "output";
  const lines = jobs.lines(job.id, isError);
  const first = await lines.next();
  if (first.done) return undefined;
  async function* content() {
    yield Buffer.from(`${first.value}\n`);
    for await (const line of lines) yield Buffer.from(`${line}\n`);
  }
  const id = `file-${name}-${job.id.slice("batch_".length)}`;
  const about = { id, userId: job.userId, filename: `${job.id}_${name}.jsonl` };
  await files.create({ ...about, purpose: "batch_output", expiresAt: now() + job.keepMs }, content());
  return id;
}
