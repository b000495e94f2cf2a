import { once } from "node:events";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { completion, PROMPT_TOKENS } from "../relay/mock.ts";

/** What a client of the soak asks of the inference server, in the `user` field: which every node passes on. */
export type Wish = {
  /** Number of the request. */
  readonly no: number;
  readonly frames: number;
  readonly everyMs: number;
  /** Bytes that a frame has on top, so that a slow reader stops the stream. */
  readonly padding: number;
};

export const wishText = ({ no, frames, everyMs, padding }: Wish): string =>
  `soak-${no}-${frames}-${everyMs}-${padding}`;

export type SoakUpstream = {
  readonly url: string;
  /** Frames written for each request that is a stream. */
  readonly written: ReadonlyMap<number, number>;
  close(): Promise<void>;
};

const MODEL = "soak";

/** An inference server that counts what it delivers: JSON, streams at a pace, embeddings. */
export async function startSoakUpstream(): Promise<SoakUpstream> {
  const written = new Map<number, number>();
  const server = createServer((request, response) => {
    text(request).then(
      (body) => {
        if (request.url?.endsWith("/embeddings")) return json(response, vectors());
        const wish = readWish(body);
        if (!wish || wish.frames === 0) return json(response, completion("chatcmpl-soak"));
        stream(response, wish, written);
      },
      () => response.destroy(),
    );
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`,
    written,
    close: async () => {
      const closed = once(server, "close");
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

function readWish(body: string): Wish | undefined {
  const found = /"soak-(\d+)-(\d+)-(\d+)-(\d+)"/.exec(body);
  if (!found) return undefined;
  const [no = 0, frames = 0, everyMs = 0, padding = 0] = found.slice(1).map(Number);
  return { no, frames, everyMs, padding };
}

function json(response: ServerResponse, body: object): void {
  response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(body));
}

const VECTOR = Array.from({ length: 16 }, (_, index) => index / 16);

function vectors(): object {
  const usage = { prompt_tokens: PROMPT_TOKENS, total_tokens: PROMPT_TOKENS };
  return {
    object: "list",
    model: MODEL,
    data: [{ object: "embedding", index: 0, embedding: VECTOR }],
    usage,
  };
}

function stream(response: ServerResponse, wish: Wish, written: Map<number, number>): void {
  const head = { id: "chatcmpl-soak", object: "chat.completion.chunk", created: 1_750_000_000, model: MODEL };
  const padding = "x".repeat(wish.padding);
  response.writeHead(200, { "content-type": "text/event-stream" });
  let frames = 0;
  const timer = setInterval(() => {
    if (response.writableNeedDrain) return;
    frames++;
    // A request that another node was asked for before counts from the start again.
    written.set(wish.no, Math.max(frames, written.get(wish.no) ?? 0));
    const isLast = frames === wish.frames;
    const choices = [{ index: 0, delta: { content: " word" }, finish_reason: isLast ? "stop" : null }];
    response.write(`data: ${JSON.stringify({ ...head, choices, padding })}\n\n`);
    if (!isLast) return;
    clearInterval(timer);
    const usage = { prompt_tokens: PROMPT_TOKENS, completion_tokens: frames };
    const total = { ...usage, total_tokens: PROMPT_TOKENS + frames };
    response.end(`data: ${JSON.stringify({ ...head, choices: [], usage: total })}\n\ndata: [DONE]\n\n`);
  }, wish.everyMs);
  response.once("close", () => clearInterval(timer));
}
