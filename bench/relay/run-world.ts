import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { makeWorld } from "./make-world.ts";
import { WORLD_FILE } from "./world.ts";

/** A real chain with a relay, a provider and a user on it, for the relay of the bench. Writes `world.json`. */

const [folder = ""] = process.argv.slice(2);
const settings = `
[http]
port = 0
requests_per_minute = 10000000

[serving]
max_in_flight_per_account = 4096

[upstream]
connections = 4096

[settling]
amount_usd = "100"
`;
const { world, close } = await makeWorld(folder, { settings });
await writeFile(join(folder, WORLD_FILE), JSON.stringify(world), { mode: 0o600 });
process.once("SIGTERM", () => void close().finally(() => process.exit(0)));
process.send?.({ rpcUrl: world.rpcUrl });
