import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { buffer } from "node:stream/consumers";
import { initFastCrypto } from "@aimo/node/fast-crypto";
import { USAGE_EVENT } from "@aimo/protocol/session";
import { startAnnouncing } from "./announcing.ts";
import { ANSWER, completion, frame, paceOf, writeAtPace } from "./mock.ts";
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
const JSON_TYPE = { "content-type": "application/json" };

const server = createServer((request, response) => {
  buffer(request).then(
    (body) => {
      if (sessions.handle(request, body, response)) return;
      const call = sessions.open(request, body);
      if (!call) return void response.writeHead(401, JSON_TYPE).end("{}");
      const pace = paceOf(body);
      if (!pace) {
        const { statement, mac } = call.state(ANSWER, 16);
        const usage = { "aimo-usage": Buffer.from(statement).toString("base64url"), "aimo-usage-mac": mac };
        const text = JSON.stringify(completion(call.id));
        response
          .writeHead(200, { ...JSON_TYPE, ...usage, "content-length": Buffer.byteLength(text) })
          .end(text);
        return;
      }
      const said: string[] = [];
      response.writeHead(200, { "content-type": "text/event-stream" });
      const write = (content: string) => {
        said.push(content);
        return response.write(frame(call.id, content));
      };
      const stop = writeAtPace(pace, write, {
        onDrain: (resume) => void response.once("drain", resume),
        onEnd: () => {
          const { statement, mac } = call.state(said.join(""), said.length);
          response.write(`event: ${USAGE_EVENT}\ndata: {"statement":${statement},"mac":"${mac}"}\n\n`);
          response.end("data: [DONE]\n\n");
        },
      });
      response.once("close", stop);
    },
    () => response.destroy(),
  );
});
await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
const { port } = server.address() as AddressInfo;

await startAnnouncing({ world, port, bootstrap: bootstrap.split(",") });

process.once("SIGTERM", () => process.exit(0));
process.send?.({ port });
