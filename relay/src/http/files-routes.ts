import { Readable } from "node:stream";
import { AimoError } from "@aimo/protocol/errors";
import { readMultipart, textOfPart } from "@aimo/protocol/multipart";
import type { FastifyPluginAsyncTypebox } from "@fastify/type-provider-typebox";
import type { FastifyReply, FastifyRequest } from "fastify";
import { type FileRecord, fileJson } from "../core/batch-job.ts";
import type { BatchLimits, Files } from "../flow/batch-ports.ts";
import type { BatchRunner } from "../flow/batch-runner.ts";
import { keyOf } from "./access.ts";
import { onDeparture } from "./departure.ts";
import { pageOf } from "./pages.ts";
import { batching, FileForm, FileParams, FilesQuery, MAX_FILES_PAGE } from "./schemas.ts";

export type FilesOptions = {
  readonly files: Files;
  readonly batches: Pick<BatchRunner, "inUse">;
  readonly batchLimits: Pick<BatchLimits, "maxFileBytes" | "keepDays">;
  readonly now: () => number;
};

const DAY_MS = 86_400_000;
/** Uploads at once: each is in memory until it is stored. */
const MAX_UPLOADS = 4;
/** A form's own lines. */
const FORM_OVERHEAD_BYTES = 16 * 1024;
const MIN_KEEP_SECONDS = 3_600;
const MAX_KEEP_SECONDS = 2_592_000;
const MAX_NAME_LENGTH = 255;

/** Files of requests for batches, in OpenAI's shapes. */
export const filesRoutes: FastifyPluginAsyncTypebox<FilesOptions> = async (app, options) => {
  const { files, batches } = options;
  const userOf = (request: FastifyRequest) => keyOf(request).caller.userId;
  const uploads = new Set<number>();
  await app.register(async (forms) => {
    forms.removeAllContentTypeParsers();
    forms.addContentTypeParser("multipart/form-data", { parseAs: "buffer" }, (_request, body, done) =>
      done(null, body),
    );
    forms.post(
      "/v1/files",
      {
        schema: {
          ...batching("createFile", "A file of requests"),
          consumes: ["multipart/form-data"],
          body: FileForm,
        },
        validatorCompiler: () => () => true,
        bodyLimit: options.batchLimits.maxFileBytes + FORM_OVERHEAD_BYTES,
        onRequest: async (request, reply) => admitUpload(uploads, userOf(request), reply),
      },
      async (request) => {
        const body = request.body instanceof Buffer ? request.body : Buffer.alloc(0);
        return fileJson(await store(options, userOf(request), body));
      },
    );
  });
  app.get(
    "/v1/files",
    { schema: { ...batching("listFiles", "The account's files"), querystring: FilesQuery } },
    async (request) => {
      const { order = "desc", purpose, ...page } = request.query;
      const all = files
        .list(userOf(request))
        .filter((file) => purpose === undefined || file.purpose === purpose);
      const ordered = order === "asc" ? all : all.toReversed();
      return pageOf(ordered, { ...page, defaultLimit: 1_000, maxLimit: MAX_FILES_PAGE }, fileJson);
    },
  );
  const one = { params: FileParams };
  app.get("/v1/files/:id", { schema: { ...batching("readFile", "One file"), ...one } }, async (request) =>
    fileJson(files.require(userOf(request), request.params.id)),
  );
  app.get(
    "/v1/files/:id/content",
    { schema: { ...batching("readFileContent", "A file's bytes"), ...one } },
    async (request, reply) => {
      const { id, bytes } = files.require(userOf(request), request.params.id);
      reply.type("application/octet-stream").header("content-length", bytes);
      return reply.send(Readable.from(files.read(id), { objectMode: false }));
    },
  );
  app.delete(
    "/v1/files/:id",
    { schema: { ...batching("deleteFile", "Delete a file"), ...one } },
    async (request) => {
      const { id } = files.require(userOf(request), request.params.id);
      if (batches.inUse().has(id))
        throw new AimoError("invalid_request", {
          message: "A batch still needs this file.",
          param: "file_id",
        });
      await files.remove(id);
      return { id, object: "file", deleted: true };
    },
  );
};

/** One upload of an account at a time, and few in all. Before the body is read. */
function admitUpload(uploads: Set<number>, userId: number, reply: FastifyReply): void {
  if (uploads.has(userId))
    throw new AimoError("rate_limit_exceeded", {
      message: "The account uploads a file already.",
      retryAfterSeconds: 1,
    });
  if (uploads.size >= MAX_UPLOADS) throw new AimoError("overloaded", { retryAfterSeconds: 1 });
  uploads.add(userId);
  onDeparture(reply, () => uploads.delete(userId));
}

async function store(
  { files, batchLimits, now }: FilesOptions,
  userId: number,
  body: Buffer,
): Promise<FileRecord> {
  const parts = partsOf(body);
  const text = (name: string) => {
    const part = parts.find((one) => one.name === name);
    return part && textOf(body, part);
  };
  if (text("purpose") !== "batch") throw invalid('purpose must be "batch".', "purpose");
  const found = parts.filter(({ name }) => name === "file");
  const [file] = found;
  if (!file || found.length > 1 || file.end === file.start)
    throw invalid("file must be one file that is not empty.", "file");
  if (file.end - file.start > batchLimits.maxFileBytes)
    throw new AimoError("payload_too_large", {
      message: `The file is larger than ${batchLimits.maxFileBytes} bytes.`,
    });
  const filename = (file.filename ?? "file.jsonl").slice(0, MAX_NAME_LENGTH);
  const keepMs =
    readKeep(text("expires_after[anchor]"), text("expires_after[seconds]")) ?? batchLimits.keepDays * DAY_MS;
  const about = { userId, filename, purpose: "batch", expiresAt: now() + keepMs } as const;
  return files.create(about, [body.subarray(file.start, file.end)]);
}

function partsOf(body: Buffer) {
  try {
    return readMultipart(body);
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause;
    throw new AimoError("invalid_request", { message: cause.message, cause });
  }
}

function textOf(body: Buffer, part: Parameters<typeof textOfPart>[1]): string {
  try {
    return textOfPart(body, part);
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause;
    throw new AimoError("invalid_request", { message: cause.message, param: part.name, cause });
  }
}

function readKeep(anchor: string | undefined, seconds: string | undefined): number | undefined {
  if (anchor === undefined && seconds === undefined) return undefined;
  const value = /^\d{1,9}$/.test(seconds ?? "") ? Number(seconds) : 0;
  if (anchor !== "created_at" || value < MIN_KEEP_SECONDS || value > MAX_KEEP_SECONDS)
    throw invalid(
      `expires_after must have the anchor created_at and ${MIN_KEEP_SECONDS} to ${MAX_KEEP_SECONDS} seconds.`,
      "expires_after",
    );
  return value * 1000;
}

const invalid = (message: string, param: string) => new AimoError("invalid_request", { message, param });
