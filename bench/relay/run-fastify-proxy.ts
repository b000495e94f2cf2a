import fastify from "fastify";
import { Pool } from "undici";
import { Forward } from "./forward.ts";

/** The same behind Fastify: what a relay that checks, counts and records nothing would do. */

const pool = new Pool(`http://127.0.0.1:${process.argv[2]}`, { connections: 512, pipelining: 1 });
const app = fastify({ bodyLimit: 1_048_576 });
app.addContentTypeParser("application/json", { parseAs: "buffer" }, (_request, body, done) =>
  done(null, body),
);
app.post("/v1/chat/completions", (request, reply) => {
  reply.hijack();
  const headers = { "content-type": "application/json" };
  const options = { path: request.url, method: "POST" as const, headers, body: request.body as Buffer };
  pool.dispatch(options, new Forward(reply.raw));
});
const url = await app.listen({ host: "127.0.0.1", port: 0 });
process.send?.({ port: new URL(url).port });
process.once("SIGTERM", () => process.exit(0));
