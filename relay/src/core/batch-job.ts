import { AimoError } from "@aimo/protocol/errors";
import { completionsDialect } from "./dialects/completions.ts";
import { type Dialect, refuseDepth } from "./dialects/dialect.ts";
import { responsesDialect } from "./dialects/responses.ts";
import type { Route } from "./types.ts";

/** Files and batches of requests, in OpenAI's shapes. Times in wall-clock milliseconds; OpenAI's JSON has seconds. */

export type FileRecord = {
  readonly id: string;
  readonly userId: number;
  readonly filename: string;
  readonly purpose: "batch" | "batch_output";
  readonly bytes: number;
  readonly createdAt: number;
  readonly expiresAt: number;
};

export type JobStatus =
  | "validating"
  | "failed"
  | "in_progress"
  | "finalizing"
  | "completed"
  | "expired"
  | "cancelling"
  | "cancelled";
export type JobFault = {
  readonly code: string;
  readonly message: string;
  readonly line: number | null;
  readonly param: string | null;
};
export type JobCounts = { readonly total: number; readonly completed: number; readonly failed: number };

/** A batch. Its finished lines are kept apart until its files are written. */
export type JobRecord = {
  readonly id: string;
  readonly userId: number;
  /** Whose limits its requests count against. */
  readonly keyHash: string;
  readonly endpoint: string;
  readonly inputFileId: string;
  readonly outputFileId?: string;
  readonly errorFileId?: string;
  readonly status: JobStatus;
  /** When it came into each of its states. */
  readonly times: Readonly<Partial<Record<JobStatus, number>>>;
  readonly createdAt: number;
  readonly expiresAt: number;
  /** How long its files are kept. */
  readonly keepMs: number;
  readonly counts: JobCounts;
  readonly faults: readonly JobFault[];
  readonly metadata: Readonly<Record<string, string>> | null;
};

/** Where the requests of a batch may go. */
export const BATCH_ENDPOINTS: Readonly<Record<string, BatchEndpoint>> = {
  "/v1/chat/completions": { route: "chat" },
  "/v1/completions": { route: "chat", dialect: completionsDialect },
  "/v1/responses": { route: "chat", dialect: responsesDialect },
  "/v1/embeddings": { route: "embeddings" },
  "/v1/images/generations": { route: "images" },
  "/v1/moderations": { route: "moderations" },
};
type BatchEndpoint = { readonly route: Route; readonly dialect?: Dialect };
export const ENDED: ReadonlySet<JobStatus> = new Set(["failed", "completed", "expired", "cancelled"]);

export const hasEnded = ({ status }: Pick<JobRecord, "status">): boolean => ENDED.has(status);

/** The record in a new state. */
export function moveTo(
  job: JobRecord,
  status: JobStatus,
  now: number,
  more: Partial<JobRecord> = {},
): JobRecord {
  return { ...job, ...more, status, times: { ...job.times, [status]: now } };
}

const seconds = (ms: number) => Math.floor(ms / 1000);

export function fileJson(file: FileRecord): object {
  return {
    id: file.id,
    object: "file",
    bytes: file.bytes,
    created_at: seconds(file.createdAt),
    expires_at: seconds(file.expiresAt),
    filename: file.filename,
    purpose: file.purpose,
    status: "processed",
    status_details: null,
  };
}

export function jobJson(job: JobRecord): object {
  const { times, faults, counts } = job;
  const at = (status: JobStatus) => {
    const time = times[status];
    return time === undefined ? null : seconds(time);
  };
  return {
    id: job.id,
    object: "batch",
    endpoint: job.endpoint,
    errors: faults.length === 0 ? null : { object: "list", data: faults },
    input_file_id: job.inputFileId,
    completion_window: "24h",
    status: job.status,
    output_file_id: job.outputFileId ?? null,
    error_file_id: job.errorFileId ?? null,
    created_at: seconds(job.createdAt),
    in_progress_at: at("in_progress"),
    expires_at: seconds(job.expiresAt),
    finalizing_at: at("finalizing"),
    completed_at: at("completed"),
    failed_at: at("failed"),
    expired_at: at("expired"),
    cancelling_at: at("cancelling"),
    cancelled_at: at("cancelled"),
    request_counts: { ...counts },
    metadata: job.metadata,
  };
}

/** One request of a batch. */
export type BatchLine = { readonly customId: string; readonly body: Json };
type Json = Readonly<Record<string, unknown>>;

const MAX_ID_LENGTH = 512;

/** Reads a line of an input file. Throws `invalid_request` naming the field. */
export function readLine(text: string, endpoint: string): BatchLine {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw invalid("The line is not valid JSON.", undefined, cause);
  }
  if (!isObject(value)) throw invalid("The line must be a JSON object.");
  const { custom_id: customId, method, url, body } = value;
  if (typeof customId !== "string" || customId.length === 0 || customId.length > MAX_ID_LENGTH)
    throw invalid(`custom_id must be a string of 1 to ${MAX_ID_LENGTH} characters.`, "custom_id");
  if (method !== "POST") throw invalid('method must be "POST".', "method");
  if (url !== endpoint) throw invalid(`url must be the endpoint of the batch, ${endpoint}.`, "url");
  if (!isObject(body)) throw invalid("body must be a JSON object.", "body");
  refuseDepth(body);
  if (body["stream"] === true) throw invalid("A batch does not stream.", "body.stream");
  return { customId, body };
}

/** A line of an output file. `body` is JSON text and stays as it is. */
export function outputLine(
  lineId: string,
  customId: string,
  reply: { status: number; id: string; body: string },
): string {
  const { status, id, body } = reply;
  const about = `"id":${JSON.stringify(lineId)},"custom_id":${JSON.stringify(customId)}`;
  const response = `{"status_code":${status},"request_id":${JSON.stringify(id)},"body":${body}}`;
  return `{${about},"response":${response},"error":null}`;
}

/** A line of an error file, for a request that was never sent. */
export function unsentLine(
  lineId: string,
  customId: string,
  error: { code: string; message: string },
): string {
  return JSON.stringify({ id: lineId, custom_id: customId, response: null, error });
}

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

function invalid(message: string, param?: string, cause?: unknown): AimoError {
  return new AimoError("invalid_request", {
    message,
    ...(param === undefined ? {} : { param }),
    ...(cause === undefined ? {} : { cause }),
  });
}

const LF = 0x0a;

/** Lines of a file with their numbers from 1; empty ones are left out. Throws a RangeError when one is too long. */
export async function* linesOf(
  chunks: AsyncIterable<Uint8Array>,
  maxBytes: number,
): AsyncGenerator<{ readonly no: number; readonly text: string }> {
  const decoder = new TextDecoder();
  let parts: Uint8Array[] = [];
  let size = 0;
  let no = 0;
  const refuseLong = (bytes: number) => {
    if (bytes > maxBytes) throw new RangeError(`Line ${no + 1} is longer than ${maxBytes} bytes.`);
  };
  const take = () => {
    refuseLong(parts.reduce((sum, part) => sum + part.length, 0));
    no++;
    const text = parts.map((part) => decoder.decode(part, { stream: true })).join("") + decoder.decode();
    parts = [];
    size = 0;
    return text.trim();
  };
  for await (const chunk of chunks) {
    let start = 0;
    for (let at = chunk.indexOf(LF); at !== -1; at = chunk.indexOf(LF, start)) {
      parts.push(chunk.subarray(start, at));
      start = at + 1;
      const text = take();
      if (text !== "") yield { no, text };
    }
    parts.push(chunk.subarray(start));
    size += chunk.length - start;
    refuseLong(size);
  }
  const text = take();
  if (text !== "") yield { no, text };
}
