import { EventEmitter, once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** How the upstream answers the next requests. The test writes frames itself where it needs to. */
type Script = (body: Record<string, unknown>, response: ServerResponse, path: string) => void;

export type FaultUpstream = {
  readonly url: string;
  /** Bodies received, as text. */
  readonly bodies: string[];
  /** Emits `request`, and `gone` when a client hung up before the answer ended. */
  readonly events: EventEmitter;
  play(script: Script): void;
  close(): Promise<void>;
};

/** An inference server that misbehaves as a test tells it to. */
export async function startFaultUpstream(): Promise<FaultUpstream> {
  const events = new EventEmitter();
  const bodies: string[] = [];
  let script: Script = (_, response) => response.writeHead(500).end("{}");
  const answer = async (request: IncomingMessage, response: ServerResponse) => {
    const parts: Buffer[] = [];
    for await (const part of request as AsyncIterable<Buffer>) parts.push(part);
    const text = Buffer.concat(parts).toString();
    bodies.push(text);
    response.on("close", () => {
      if (!response.writableFinished) events.emit("gone");
    });
    events.emit("request", response);
    script(JSON.parse(text) as Record<string, unknown>, response, request.url ?? "");
  };
  const server = createServer((request, response) => void answer(request, response));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`,
    bodies,
    events,
    play: (next) => {
      script = next;
    },
    close: async () => {
      const closed = once(server, "close");
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

/** The data of a chunk of a chat stream, as the inference server words it. */
export function chunkOf(delta: object, rest: { finish?: string; usage?: unknown } = {}): string {
  const { finish = null, usage } = rest;
  const choices = [{ index: 0, delta, logprobs: null, finish_reason: finish }];
  return JSON.stringify({
    id: "chatcmpl-upstream",
    object: "chat.completion.chunk",
    created: 1_767_225_600,
    model: "served-name",
    choices,
    ...(usage === undefined ? {} : { usage }),
  });
}

export const usageChunk = (usage: object): string =>
  JSON.stringify({
    id: "chatcmpl-upstream",
    object: "chat.completion.chunk",
    model: "served-name",
    choices: [],
    usage,
  });

/** Opens an event stream and writes frames. */
export function writeFrames(response: ServerResponse, frames: readonly string[]): void {
  if (!response.headersSent) response.writeHead(200, { "content-type": "text/event-stream" });
  for (const frame of frames) response.write(`data: ${frame}\n\n`);
}
