import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { buffer } from "node:stream/consumers";
import { completion, frame, paceOf, writeAtPace } from "./mock.ts";

/** An OpenAI-compatible server that answers at once: what the gateways of the bench stand in front of. */

const server = createServer((request, response) => {
  buffer(request).then(
    (body) => {
      const pace = paceOf(body);
      if (!pace) {
        const text = JSON.stringify(completion("chatcmpl-bench"));
        const head = { "content-type": "application/json", "content-length": Buffer.byteLength(text) };
        return void response.writeHead(200, head).end(text);
      }
      response.writeHead(200, { "content-type": "text/event-stream" });
      const stop = writeAtPace(pace, (content) => response.write(frame("chatcmpl-bench", content)), {
        onDrain: (resume) => void response.once("drain", resume),
        onEnd: () => void response.end("data: [DONE]\n\n"),
      });
      response.once("close", stop);
    },
    () => response.destroy(),
  );
});
server.listen(0, "127.0.0.1", () => process.send?.({ port: (server.address() as AddressInfo).port }));
process.once("SIGTERM", () => process.exit(0));
