import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { initFastCrypto } from "@aimo/node/fast-crypto";
import { startAnnouncing } from "./announcing.ts";
import { answerOn } from "./mock-answer.ts";
import { MockSessions } from "./mock-sessions.ts";
import { WORLD_FILE, type World } from "./world.ts";

/**
 * The mock behind our relay. It answers what the plain mock answers, and does what the protocol asks of a provider on top:
 * it checks the MAC of each request, states usage under a MAC, and signs receipts in groups.
 */

const [folder = "", bootstrap = ""] = process.argv.slice(2);
const world: World = JSON.parse(await readFile(join(folder, WORLD_FILE), "utf8"));
await initFastCrypto();
const sessions = new MockSessions(world);

const server = createServer();
answerOn(server, sessions);
await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
const { port } = server.address() as AddressInfo;

await startAnnouncing({ world, port, bootstrap: bootstrap.split(",") });

process.once("SIGTERM", () => process.exit(0));
process.send?.({ port });
