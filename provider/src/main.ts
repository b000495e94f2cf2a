import { createLog } from "@aimo/node/log";
import { onShutdown } from "@aimo/node/shutdown";
import { loadConfig } from "./config.ts";
import { startProvider } from "./node.ts";

/** Runs a provider node from a configuration file until a signal stops it. Throws what `startProvider` throws. */
export async function runProvider(configPath: string): Promise<void> {
  const log = createLog({ level: "info", name: "provider" });
  const node = await startProvider(await loadConfig(configPath), { log });
  onShutdown({
    drain: () => node.close(),
    onEvent: (event, error) => log.info({ event, err: error }, "The node stops."),
    exit: (code) => process.exit(code),
    source: process,
  });
}
