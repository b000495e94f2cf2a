import type { FastifyPluginAsyncTypebox } from "@fastify/type-provider-typebox";
import type { FastifyRequest } from "fastify";
import { type JobRecord, jobJson } from "../core/batch-job.ts";
import type { BatchLimits, Jobs } from "../flow/batch-ports.ts";
import type { BatchRunner } from "../flow/batch-runner.ts";
import { keyOf } from "./access.ts";
import { pageOf } from "./pages.ts";
import { BatchBody, BatchesQuery, BatchIdParams, batching, MAX_BATCHES_PAGE } from "./schemas.ts";

export type BatchOptions = {
  readonly batches: Pick<BatchRunner, "create" | "cancel" | "require">;
  readonly jobs: Pick<Jobs, "list" | "flushed">;
  readonly batchLimits: Pick<BatchLimits, "keepDays">;
};

const DAY_MS = 86_400_000;

/** Batches of requests, in OpenAI's shapes. */
export const batchRoutes: FastifyPluginAsyncTypebox<BatchOptions> = async (app, options) => {
  const { batches, jobs, batchLimits } = options;
  const userOf = (request: FastifyRequest) => keyOf(request).caller.userId;
  /** What a client is told of its batch outlasts a crash. */
  const kept = async (job: JobRecord) => {
    await jobs.flushed();
    return jobJson(job);
  };
  app.post(
    "/v1/batches",
    { schema: { ...batching("createBatch", "A batch from a file of requests"), body: BatchBody } },
    async (request) => {
      const { caller } = keyOf(request);
      const { input_file_id: inputFileId, endpoint, metadata, output_expires_after: keep } = request.body;
      const keepMs = keep ? keep.seconds * 1000 : batchLimits.keepDays * DAY_MS;
      const { userId, keyHash } = caller;
      return kept(
        batches.create({ userId, keyHash, endpoint, inputFileId, keepMs, metadata: metadata ?? null }),
      );
    },
  );
  app.get(
    "/v1/batches",
    {
      schema: {
        ...batching("listBatches", "The account's batches, newest first"),
        querystring: BatchesQuery,
      },
    },
    async (request) => {
      const newestFirst = jobs.list(userOf(request)).toReversed();
      return pageOf(newestFirst, { ...request.query, defaultLimit: 20, maxLimit: MAX_BATCHES_PAGE }, jobJson);
    },
  );
  const one = { params: BatchIdParams };
  app.get("/v1/batches/:id", { schema: { ...batching("readBatch", "One batch"), ...one } }, async (request) =>
    jobJson(batches.require(userOf(request), request.params.id)),
  );
  app.post(
    "/v1/batches/:id/cancel",
    { schema: { ...batching("cancelBatch", "Stop what has not begun"), ...one } },
    async (request) => kept(batches.cancel(userOf(request), request.params.id)),
  );
};
