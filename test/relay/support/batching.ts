import type { Database } from "@aimo/node/data-dir";
import { silentLog } from "@aimo/node/log";
import { type Batching, type BatchingParts, openBatching } from "../../../relay/src/batching.ts";
import { makeConfig } from "../../../relay/src/config.ts";
import { JobStore } from "../../../relay/src/store/jobs.ts";
import { Journal } from "../../../relay/src/store/journal.ts";

/** Files and batches with the limits of the configuration's defaults. */
export async function openTestBatching(
  db: Database,
  parts: Pick<BatchingParts, "keys" | "rates" | "serving" | "admission">,
): Promise<Batching> {
  const config = makeConfig({ keyFile: "-", rpcUrl: "-", deploymentFile: "-", dataFolder: "memory" });
  const jobs = await JobStore.open(new Journal(db));
  return openBatching(config, { db, jobs, ...parts, log: silentLog() });
}
