import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { createLog } from "@aimo/node/log";
import { loadConfig } from "@aimo/relay/config";
import { startRelay } from "@aimo/relay/node";
import { WORLD_FILE, type World } from "./world.ts";

/** Our relay, whole: its own books on disk, the chain, gossip, sessions. */

const [folder = ""] = process.argv.slice(2);
const world: World = JSON.parse(await readFile(join(folder, WORLD_FILE), "utf8"));
const config = await loadConfig({ file: world.relayConfig, environment: {} });
const node = await startRelay(config, { log: createLog({ level: "warn", name: "bench-relay" }) });
process.once("SIGTERM", () => void node.close().finally(() => process.exit(0)));
process.send?.({ port: new URL(node.url).port, p2p: node.p2pAddresses.join(",") });
