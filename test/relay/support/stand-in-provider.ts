import type { KeyObject } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { buffer } from "node:stream/consumers";
import { sign } from "@aimo/node/fast-crypto";
import { createHandshake, createSessionSecret, macOf, sha256, verifyMac } from "@aimo/node/session-crypto";
import { toHex } from "@aimo/protocol/bytes";
import { buildGroup, groupDigest } from "@aimo/protocol/groups";
import { textResponseHash, type UsageReceipt, usageDigest } from "@aimo/protocol/receipts";
import {
  receiptToJson,
  type SessionEvent,
  type SessionOffer,
  USAGE_EVENT,
  type UsageStatement,
} from "@aimo/protocol/session";
import { costOf, type Units } from "@aimo/protocol/units";
import type { Hex } from "viem";
import { privateKeyToAccount } from "viem/accounts";
import type { Offer } from "../../../relay/src/core/types.ts";

/**
 * A stand-in for a provider: real sockets that speak protocol/session.ts, with an answer scripted by the test instead
 * of a model behind it, so that a test can have a provider that lies, breaks off or floods.
 */

/** One request as it came, with the means to answer it. */
export type Ask = {
  readonly route: string;
  readonly query: URLSearchParams;
  readonly body: Buffer;
  readonly response: ServerResponse;
  /** Content frames written so far. */
  frames: number;
  /** Text of choice 0 so far, per frame. */
  readonly pieces: string[];
  /** Starts a stream and writes one frame of text; false when the relay reads slowly. */
  say(text: string, padding?: string): boolean;
  /** States usage and ends the stream. */
  finish(change?: Partial<{ completion: number; responseHash: Hex; cost: bigint }>): void;
  /** Answers a whole chat completion. */
  reply(text: string, change?: Partial<{ completion: number }>): void;
  /** Answers any JSON with a statement. */
  replyJson(body: object, about: { units: Units; responseHash: Hex }): void;
};

export type StandIn = {
  readonly url: string;
  readonly signer: Hex;
  readonly asks: Ask[];
  readonly aborts: { attempt: Hex; frames: number }[];
  readonly acks: bigint[];
  onAsk: (ask: Ask) => void | Promise<void>;
  /** Whether an abort with frames is answered with a statement. */
  statesAborts: boolean;
  /** Sends what was stated so far as one signed group. */
  sendGroup(): void;
  offer(change?: Partial<Offer>): Offer;
  /** Forgets all sessions, as a restart does. */
  forget(): void;
  close(): Promise<void>;
};

export type StandInOptions = {
  readonly providerId: number;
  readonly relayId: number;
  readonly relaySigner: Hex;
  readonly chainId: number;
  readonly separator: Uint8Array;
  readonly privateKey: Hex;
};

type Session = {
  macKey: KeyObject;
  isPeer: (signature: Hex) => boolean;
  confirmed: boolean;
  eventSeq: number;
};

const PRICES = [100_000n, 50_000n, 400_000n] as const;

export async function startStandIn(options: StandInOptions): Promise<StandIn> {
  const { providerId, relayId, chainId, separator, privateKey } = options;
  const sessions = new Map<string, Session>();
  const asks = new Map<string, Ask & { receiptOf(frames: number): UsageReceipt }>();
  const open: { session: Session; path: string; response: ServerResponse }[] = [];
  const receipts: UsageReceipt[] = [];
  const protocolNow = () => Math.floor(Date.now() / 1000);

  const server: Server = createServer((request, response) => {
    void handle(request, response).catch(() => response.destroy());
  });

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = request.url ?? "";
    const url = new URL(path, "http://stand-in");
    const body = await buffer(request);
    if (url.pathname === "/aimo/v1/session") return offerSession(JSON.parse(body.toString()), response);
    const [, id = "", action = ""] = /^\/aimo\/v1\/session\/([^/]+)\/(\w+)$/.exec(url.pathname) ?? [];
    const session = sessions.get(id || String(request.headers["aimo-session"]));
    if (!session) return void response.writeHead(401).end("{}");
    if (action === "confirm") {
      session.confirmed = session.isPeer(JSON.parse(body.toString()).signature);
      return void response.writeHead(session.confirmed ? 204 : 401).end();
    }
    const seq = BigInt(String(request.headers["aimo-seq"]));
    const signed = { seq, method: request.method ?? "", path };
    const bodyHash = sha256(body);
    if (
      !verifyMac(session.macKey, { ...signed, direction: 0, bodyHash }, String(request.headers["aimo-mac"]))
    )
      return void response.writeHead(401).end("{}");
    const mac = (text: string) => macOf(session.macKey, { ...signed, direction: 1, bodyHash: sha256(text) });
    if (action === "events") {
      response.writeHead(200, { "content-type": "application/x-ndjson" });
      open.push({ session, path, response });
      return send(open.at(-1), { type: "ready" });
    }
    // It stays with one HTTP request for each inference request: relays must know both ways.
    if (action === "stream") return void response.writeHead(404).end("{}");
    if (action === "ack") {
      standIn.acks.push(BigInt(JSON.parse(body.toString()).cumulative));
      return void response.writeHead(204).end();
    }
    if (action === "abort") {
      const abort = JSON.parse(body.toString()) as { attempt: Hex; frames: number };
      standIn.aborts.push(abort);
      const ask = asks.get(abort.attempt);
      ask?.response.destroy();
      if (!ask || abort.frames === 0 || !standIn.statesAborts) return void response.writeHead(204).end();
      const statement = stateOf(ask.receiptOf(abort.frames), abort.attempt);
      const text = JSON.stringify(statement);
      return void response.writeHead(200).end(`{"statement":${text},"mac":"${mac(text)}"}`);
    }
    return infer({ url, body, response, mac });
  }

  function offerSession(offer: SessionOffer, response: ServerResponse): void {
    const secret = createSessionSecret();
    const { signature, macKey, isPeerSignature } = createHandshake({
      role: "provider",
      transcript: {
        ...{ chainId, relayId, providerId, relayNonce: offer.nonce, relayEphemeral: offer.ephemeral },
        ...{ providerNonce: secret.nonce, providerEphemeral: secret.ephemeral },
      },
      privateKey,
      secret,
    });
    const sessionId = crypto.randomUUID();
    const isPeer = (theirs: Hex) => isPeerSignature(theirs, options.relaySigner);
    sessions.set(sessionId, { macKey, isPeer, confirmed: false, eventSeq: 1 });
    const { nonce, ephemeral } = secret;
    response.writeHead(200).end(JSON.stringify({ sessionId, nonce, ephemeral, signature }));
  }

  function send(stream: (typeof open)[number] | undefined, event: SessionEvent): void {
    if (!stream) return;
    const { session, path, response } = stream;
    const seq = session.eventSeq++;
    const text = JSON.stringify(event);
    const mac = macOf(session.macKey, {
      direction: 1,
      seq: BigInt(seq),
      method: "GET",
      path,
      bodyHash: sha256(text),
    });
    response.write(`{"seq":${seq},"event":${text},"mac":"${mac}"}\n`);
  }

  function stateOf(receipt: UsageReceipt, attempt: Hex): UsageStatement {
    receipts.push(receipt);
    const { issuedAt, units, cost, responseHash } = receipt;
    const receiptHash = toHex(usageDigest(separator, receipt));
    return { attempt, issuedAt, units, cost: cost.toString(), responseHash, receiptHash };
  }

  type Exchange = { url: URL; body: Buffer; response: ServerResponse; mac: (text: string) => Hex };

  async function infer({ url, body, response, mac }: Exchange): Promise<void> {
    const query = url.searchParams;
    const attempt = String(query.get("attempt")) as Hex;
    const receiptWith = (units: Units, responseHash: Hex, cost = costOf(units, PRICES)): UsageReceipt => ({
      ...{
        relayId,
        providerId,
        modelId: Number(query.get("model")),
        priceVersion: Number(query.get("price")),
      },
      ...{ issuedAt: protocolNow(), units, cost, responseHash },
      requestHash: String(query.get("request")) as Hex,
    });
    const receiptOf = (frames: number) => {
      const text = ask.pieces.slice(0, frames).join("");
      return receiptWith([10, 0, frames], textResponseHash([{ text }]));
    };
    const ask: Ask & { receiptOf(frames: number): UsageReceipt } = {
      ...{
        route: url.pathname.split("/").at(-1) ?? "",
        query,
        body,
        response,
        frames: 0,
        pieces: [],
        receiptOf,
      },
      say: (text, padding) => {
        if (!response.headersSent) response.writeHead(200, { "content-type": "text/event-stream" });
        ask.frames++;
        ask.pieces.push(text);
        const choices = [{ index: 0, delta: { content: text }, finish_reason: null }];
        const head = { id: query.get("id"), object: "chat.completion.chunk", created: 7, model: "stand-in" };
        const chunk = { ...head, choices, padding };
        return response.write(`data: ${JSON.stringify(chunk)}\n\n`);
      },
      finish: ({ completion = ask.frames, responseHash, cost } = {}) => {
        const hash = responseHash ?? textResponseHash([{ text: ask.pieces.join("") }]);
        const statement = stateOf(receiptWith([10, 0, completion], hash, cost), attempt);
        const text = JSON.stringify(statement);
        response.write(`event: ${USAGE_EVENT}\ndata: {"statement":${text},"mac":"${mac(text)}"}\n\n`);
        response.end("data: [DONE]\n\n");
      },
      reply: (text, { completion = 3 } = {}) => {
        const choices = [{ index: 0, message: { role: "assistant", content: text }, finish_reason: "stop" }];
        const whole = {
          id: query.get("id"),
          object: "chat.completion",
          created: 7,
          model: "stand-in",
          choices,
        };
        ask.replyJson(whole, { units: [10, 0, completion], responseHash: textResponseHash([{ text }]) });
      },
      replyJson: (whole, { units, responseHash }) => {
        const statement = JSON.stringify(stateOf(receiptWith(units, responseHash), attempt));
        response.writeHead(200, {
          "content-type": "application/json",
          "aimo-usage": Buffer.from(statement).toString("base64url"),
          "aimo-usage-mac": mac(statement),
        });
        response.end(JSON.stringify(whole));
      },
    };
    asks.set(attempt, ask);
    standIn.asks.push(ask);
    await standIn.onAsk(ask);
  }

  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const standIn: StandIn = {
    url,
    signer: privateKeyToAccount(privateKey).address,
    asks: [],
    aborts: [],
    acks: [],
    statesAborts: true,
    onAsk: (ask) => ask.reply("Hello there."),
    sendGroup: () => {
      const digests = receipts.map((receipt) => usageDigest(separator, receipt));
      const { root } = buildGroup(digests);
      const group = { relayId, providerId, count: digests.length, closedAt: protocolNow(), root };
      const signature = sign(groupDigest(separator, group), privateKey);
      send(open.at(-1), { type: "group", group, signature, receipts: receipts.map(receiptToJson) });
      receipts.length = 0;
    },
    offer: (change = {}) => ({
      providerId,
      signer: privateKeyToAccount(privateKey).address,
      endpoint: url,
      region: "here",
      model: {
        ...{ modelId: 1, slug: "stand-in", priceVersion: 1, route: "chat", contextTokens: 8_192 },
        ...{ maxOutputTokens: 1_024, freeSlots: 8, queued: 0, latencyMs: 5, description: "A stand-in." },
      },
      price: { version: 1, prices: PRICES, kinds: ["token", "token", "token"] },
      expiresAt: Number.MAX_SAFE_INTEGER,
      ...change,
    }),
    forget: () => {
      sessions.clear();
      for (const { response } of open.splice(0)) response.destroy();
    },
    close: async () => {
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      await closed;
    },
  };
  return standIn;
}
