import { once } from "node:events";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { ANSWER_TOKENS, completion, frame, PROMPT_TOKENS } from "../relay/mock.ts";

/** How an inference server answers: `streamed` is what was asked for. */
export type UpstreamScript = (response: ServerResponse, streamed: boolean) => void;

export type ScriptedUpstream = {
  readonly url: string;
  play: UpstreamScript;
  asked: number;
  /** How many requests the provider let go of before they were answered. */
  abandoned: number;
  close(): Promise<void>;
};

/** An OpenAI-compatible server that fails as it is told: what stands behind a real provider node. */
export async function startScriptedUpstream(): Promise<ScriptedUpstream> {
  const server = createServer((request, response) => {
    text(request).then(
      (body) => {
        upstream.asked++;
        response.once("close", () => {
          if (!response.writableFinished) upstream.abandoned++;
        });
        upstream.play(response, JSON.parse(body).stream === true);
      },
      () => response.destroy(),
    );
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const upstream: ScriptedUpstream = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`,
    ...{ play: answerWell, asked: 0, abandoned: 0 },
    close: async () => {
      const closed = once(server, "close");
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
  return upstream;
}

const ID = "chatcmpl-upstream";

/** What an inference server without faults does. */
export const answerWell: UpstreamScript = (response, streamed) => {
  if (!streamed) return json(response, 200, completion(ID));
  stream(response, ANSWER_TOKENS);
  finish(response);
  response.end("data: [DONE]\n\n");
};

export function json(response: ServerResponse, status: number, body: object, headers: object = {}): void {
  response.writeHead(status, { "content-type": "application/json", ...headers }).end(JSON.stringify(body));
}

/** Opens the stream and writes so many frames of a word each. */
export function stream(response: ServerResponse, frames: number): void {
  if (!response.headersSent) response.writeHead(200, { "content-type": "text/event-stream" });
  for (let index = 0; index < frames; index++) response.write(frame(ID, "word "));
}

/** The finish reason, and the usage unless it is left out. */
export function finish(response: ServerResponse, withUsage = true): void {
  const chunk = (choices: object[], rest = {}) =>
    `data: ${JSON.stringify({ id: ID, object: "chat.completion.chunk", created: 1, model: "m", choices, ...rest })}\n\n`;
  response.write(chunk([{ index: 0, delta: {}, finish_reason: "stop" }]));
  const usage = { prompt_tokens: PROMPT_TOKENS, completion_tokens: ANSWER_TOKENS };
  if (withUsage)
    response.write(chunk([], { usage: { ...usage, total_tokens: PROMPT_TOKENS + ANSWER_TOKENS } }));
}
