import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { buffer } from "node:stream/consumers";
import { Pool } from "undici";
import { Forward } from "./forward.ts";

/** The least that a proxy does in Node: node:http in front, undici's dispatch behind. No check, no count, no record. */

const pool = new Pool(`http://127.0.0.1:${process.argv[2]}`, { connections: 512, pipelining: 1 });
const server = createServer((request, response) => {
  buffer(request).then(
    (body) => {
      const headers = { "content-type": "application/json" };
      const options = { path: request.url ?? "/", method: "POST" as const, headers, body };
      pool.dispatch(options, new Forward(response));
    },
    () => response.destroy(),
  );
});
server.listen(0, "127.0.0.1", () => process.send?.({ port: (server.address() as AddressInfo).port }));
process.once("SIGTERM", () => process.exit(0));
