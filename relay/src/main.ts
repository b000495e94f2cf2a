import { createLog } from "@aimo/node/log";
import { onShutdown } from "@aimo/node/shutdown";
import { loadConfig } from "./config.ts";
import { startRelay } from "./node.ts";

/** Runs a relay from a configuration file until a signal stops it. Throws what `startRelay` throws. */
export async function runRelay(file: string): Promise<void> {
  const config = await loadConfig({ file });
  const log = createLog({ level: config.logLevel, name: "relay" });
  const node = await startRelay(config, { log });
  onShutdown({
    drain: () => node.close(),
    onEvent: (event, error) => log.info({ event, err: error }, "relay stops"),
    exit: (code) => process.exit(code),
    source: process,
  });
}
