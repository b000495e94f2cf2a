import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

type Seen = {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingMessage["headers"];
  readonly body: Buffer;
};
/** Answers the n-th request; a test that needs no more of a relay writes it in a line. */
export type Script = (seen: Seen, response: ServerResponse, n: number) => void | Promise<void>;

/** A real HTTP server on loopback that answers by script and remembers what it was sent. */
export async function startServer(script: Script) {
  const seen: Seen[] = [];
  const server = createServer(async (request, response) => {
    const parts: Buffer[] = [];
    for await (const part of request) parts.push(part as Buffer);
    const entry = {
      method: request.method ?? "",
      url: request.url ?? "",
      headers: request.headers,
      body: Buffer.concat(parts),
    };
    seen.push(entry);
    await script(entry, response, seen.length - 1);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/v1`,
    seen,
    close: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

export type TestServer = Awaited<ReturnType<typeof startServer>>;

export function sendJson(
  response: ServerResponse,
  status: number,
  body: unknown,
  headers: Record<string, string> = {},
): void {
  response.writeHead(status, { "content-type": "application/json", ...headers });
  response.end(JSON.stringify(body));
}

export const META = {
  request_id: "req_1",
  generation_id: "gen-1",
  relay: 1,
  provider: { id: 2, address: `0x${"22".repeat(20)}` },
  model_id: 3,
  price_version: 1,
  receipt_hash: `0x${"aa".repeat(32)}`,
  request_hash: `0x${"bb".repeat(32)}`,
  nonce: `0x${"cc".repeat(16)}`,
  channel: { user: 7, epoch: 1 },
  cost_pusd: "1234",
  provider_cost_pusd: "1200",
  relay_fee_pusd: "34",
  attempts: [],
  latency_ms: 5,
} as const;

export const COMPLETION = {
  id: "gen-1",
  object: "chat.completion",
  created: 1,
  model: "demo-text",
  choices: [{ index: 0, finish_reason: "stop", message: { role: "assistant", content: "Hi!" } }],
  aimo: META,
};

export const chunkOf = (content: string) => ({
  id: "gen-1",
  object: "chat.completion.chunk",
  created: 1,
  model: "demo-text",
  choices: [{ index: 0, delta: { content }, finish_reason: null }],
});
export const LAST_CHUNK = { ...chunkOf(""), choices: [], aimo: META };
export const frame = (value: unknown) => `data: ${JSON.stringify(value)}\n\n`;
