import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { buffer } from "node:stream/consumers";
import { encodeAnnouncement } from "@aimo/node/announcements";
import { initFastCrypto } from "@aimo/node/fast-crypto";
import { createLog } from "@aimo/node/log";
import { startP2p } from "@aimo/node/p2p";
import { MAX_ANNOUNCEMENT_LIFE_MS, offersTopic } from "@aimo/protocol/announcement";
import { PROTOCOL_VERSION } from "@aimo/protocol/deployment";
import { USAGE_EVENT } from "@aimo/protocol/session";
import { ANSWER, completion, frame, MODEL, paceOf, writeAtPace } from "./mock.ts";
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
const ANNOUNCE_MS = 5_000;

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

const { deployment, providerId, providerKey, modelId } = world;
const p2p = await startP2p<never>({
  ...{ privateKey: providerKey, listen: [], bootstrap: bootstrap.split(","), topic: offersTopic(deployment) },
  judge: () => ({ ignore: "a provider passes nothing on" }),
  onAccepted: () => {},
  onPeer: () => void announce(),
  log: createLog({ level: "warn", name: "bench-provider" }),
});
setInterval(() => void announce(), ANNOUNCE_MS);

async function announce(): Promise<void> {
  if (p2p.peers().length === 0) return;
  const now = Date.now();
  const offer = {
    ...{ modelId, slug: MODEL, priceVersion: 1, route: "chat" as const, contextTokens: 8_192 },
    ...{
      maxOutputTokens: 4_096,
      freeSlots: 4_096,
      queued: 0,
      latencyMs: 1,
      description: "The bench's mock.",
    },
  };
  const announcement = {
    ...{
      version: PROTOCOL_VERSION,
      chainId: deployment.chainId,
      settlement: deployment.contracts.settlement,
    },
    ...{ providerId, endpoint: `http://127.0.0.1:${port}`, region: "local", models: [offer] },
    ...{ sequence: now, issuedAt: now, expiresAt: now + MAX_ANNOUNCEMENT_LIFE_MS },
  };
  await p2p.publish(encodeAnnouncement(announcement, providerKey));
}

process.once("SIGTERM", () => process.exit(0));
process.send?.({ port });
