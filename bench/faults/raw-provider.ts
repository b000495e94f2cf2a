import { once } from "node:events";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { buffer } from "node:stream/consumers";
import { USAGE_EVENT } from "@aimo/protocol/session";
import { startAnnouncing } from "../relay/announcing.ts";
import { ANSWER, ANSWER_TOKENS, completion, frame } from "../relay/mock.ts";
import { type Call, MockSessions } from "../relay/mock-sessions.ts";
import type { World } from "../relay/world.ts";

/** One request at a provider that speaks the protocol and does what the fault says. */
export type RawAsk = {
  readonly call: Call;
  readonly streamed: boolean;
  readonly response: ServerResponse;
};
export type RawScript = (ask: RawAsk) => void;

export type RawProvider = {
  readonly id: number;
  play: RawScript;
  /** Inference requests so far. */
  asked: number;
  /** Of those, how many the relay let go of before they were answered. */
  abandoned: number;
  /** Groups of receipts that were signed so far. */
  readonly groups: number;
  close(): Promise<void>;
};

/** A provider of our own making: real sessions, MACs and signed groups around whatever the script answers. */
export async function startRawProvider(
  world: World,
  bootstrap: readonly string[],
  maxOutputTokens = 4_096,
): Promise<RawProvider> {
  const sessions = new MockSessions(world);
  const server = createServer((request, response) => {
    buffer(request).then(
      (body) => {
        if (sessions.handle(request, body, response)) return;
        const call = sessions.open(request, body);
        if (!call) return void response.writeHead(401).end("{}");
        provider.asked++;
        response.once("close", () => {
          if (!response.writableFinished) provider.abandoned++;
        });
        provider.play({ call, response, streamed: JSON.parse(body.toString()).stream === true });
      },
      () => response.destroy(),
    );
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const announcing = await startAnnouncing({ world, port, bootstrap, maxOutputTokens });
  const provider: RawProvider = {
    ...{ id: world.providerId, play: serveWell, asked: 0, abandoned: 0 },
    get groups() {
      return sessions.groups;
    },
    close: async () => {
      await announcing.close();
      sessions.close();
      const closed = once(server, "close");
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
  return provider;
}

/** What a provider without faults does. */
export const serveWell: RawScript = (ask) => {
  if (!ask.streamed) return reply(ask);
  say(ask, ANSWER_TOKENS);
  state(ask, ANSWER_TOKENS);
  ask.response.end("data: [DONE]\n\n");
};

/** The whole answer; `change` sees it before it is sent. */
export function reply({ call, response }: RawAsk): void {
  const text = JSON.stringify(completion(call.id));
  const head = { "content-type": "application/json", "content-length": Buffer.byteLength(text) };
  response.writeHead(200, { ...head, ...usageHeaders(call) }).end(text);
}

/** States the usage of the whole answer, and so puts its receipt into the next group. */
export function usageHeaders(call: Call): Record<string, string> {
  const { statement, mac } = call.state(ANSWER, ANSWER_TOKENS);
  return { "aimo-usage": Buffer.from(statement).toString("base64url"), "aimo-usage-mac": mac };
}

const WORD = "word ";

/** Opens the stream and writes so many frames of a word each. */
export function say({ call, response }: Pick<RawAsk, "call" | "response">, frames: number): void {
  if (!response.headersSent) response.writeHead(200, { "content-type": "text/event-stream" });
  for (let index = 0; index < frames; index++) response.write(frame(call.id, WORD));
}

/** States the usage of so many frames that were said. */
export function state({ call, response }: Pick<RawAsk, "call" | "response">, frames: number): void {
  const { statement, mac } = call.state(WORD.repeat(frames), frames);
  response.write(`event: ${USAGE_EVENT}\ndata: {"statement":${statement},"mac":"${mac}"}\n\n`);
}
