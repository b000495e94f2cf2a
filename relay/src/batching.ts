import type { Database } from "@aimo/node/data-dir";
import type { Log } from "@aimo/node/log";
import { randomHex } from "@aimo/node/random";
import type { RelayConfig } from "./config.ts";
import type { Admission } from "./flow/admission.ts";
import type { Files, Jobs } from "./flow/batch-ports.ts";
import { BatchRunner } from "./flow/batch-runner.ts";
import type { Keys } from "./flow/ports.ts";
import type { RequestRates } from "./flow/request-rates.ts";
import type { Serving } from "./flow/serve.ts";
import { FileStore } from "./store/files.ts";

export type BatchingParts = {
  readonly db: Database;
  readonly jobs: Jobs;
  readonly keys: Pick<Keys, "byHash" | "find">;
  readonly rates: Pick<RequestRates, "takeSpare">;
  readonly serving: Serving;
  readonly admission: Pick<Admission, "inFlight">;
  readonly log: Log;
};

/** Files and batches over a relay's serving. The runner is not started yet. */
export type Batching = {
  readonly files: Files;
  readonly jobs: Jobs;
  readonly batches: BatchRunner;
  readonly batchLimits: RelayConfig["batches"];
};

export async function openBatching(config: RelayConfig, parts: BatchingParts): Promise<Batching> {
  const { db, jobs, keys, rates, serving, admission, log } = parts;
  const batchLimits = config.batches;
  const files = await FileStore.open(db, batchLimits, Date.now);
  const batches = new BatchRunner({
    ...{ files, jobs, keys, rates, serving, admission, log, limits: batchLimits, now: Date.now },
    maxInFlight: config.serving.maxInFlight,
    maxBodyBytes: config.http.maxBodyBytes,
    randomHex: (bytes) => `0x${randomHex(bytes)}`,
  });
  return { files, jobs, batches, batchLimits };
}
