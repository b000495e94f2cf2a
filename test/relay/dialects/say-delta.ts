import type { Ask } from "../support/stand-in-provider.ts";

/** Streams one frame with any delta. The test states the usage of the whole. */
export function sayDelta(ask: Ask, delta: object, finish_reason: string | null = null): void {
  const { response } = ask;
  if (!response.headersSent) response.writeHead(200, { "content-type": "text/event-stream" });
  const head = { id: ask.query.get("id"), object: "chat.completion.chunk", created: 7, model: "stand-in" };
  response.write(`data: ${JSON.stringify({ ...head, choices: [{ index: 0, delta, finish_reason }] })}\n\n`);
}
