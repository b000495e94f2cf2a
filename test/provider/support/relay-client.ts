import type { KeyObject } from "node:crypto";
import { EventEmitter, once } from "node:events";
import { type ClientRequest, request as httpRequest, type IncomingMessage } from "node:http";
import type { NodeKey } from "@aimo/node/keys";
import { createHandshake, createSessionSecret, macOf, sha256, verifyMac } from "@aimo/node/session-crypto";
import { PROTOCOL_VERSION } from "@aimo/protocol/deployment";
import {
  type GroupEvent,
  INFER_PATH,
  type MacedLine,
  SESSION_PATH,
  type SessionAnswer,
  type SessionOffer,
  type UsageFrame,
  type UsageStatement,
  type VoucherEvent,
} from "@aimo/protocol/session";
import { expect } from "chai";
import type { Address, Hex } from "viem";

/** A relay's side of a session, over plain node:http, so that a test can send anything at all. */

export type Answer = {
  readonly status: number;
  readonly headers: IncomingMessage["headers"];
  readonly text: string;
};

export type ConnectParameters = {
  readonly url: string;
  readonly chainId: number;
  readonly relayId: number;
  readonly providerId: number;
  readonly key: NodeKey;
  readonly providerSigner: Address;
  /** Signs vouchers. */
  readonly sign: (cumulative: bigint) => Hex;
  readonly offer?: Partial<SessionOffer>;
};

export class RelayClient {
  readonly url: string;
  readonly sessionId: string;
  readonly macKey: KeyObject;
  /** Signs a voucher. */
  readonly sign: (cumulative: bigint) => Hex;
  /** The voucher that the provider showed when the events stream opened. */
  shown: VoucherEvent | undefined;
  /** Emits `group` with a verified GroupEvent. */
  readonly events = new EventEmitter();
  readonly groups: GroupEvent[] = [];
  #seq = 0n;
  #stream: ClientRequest | undefined;

  constructor(url: string, sessionId: string, macKey: KeyObject, sign: (cumulative: bigint) => Hex) {
    this.url = url;
    this.sign = sign;
    this.sessionId = sessionId;
    this.macKey = macKey;
  }

  nextSeq(): bigint {
    this.#seq += 1n;
    return this.#seq;
  }

  headersFor(method: string, path: string, body: string, seq: bigint): Record<string, string> {
    const mac = macOf(this.macKey, { direction: 0, seq, method, path, bodyHash: sha256(body) });
    return { "aimo-session": this.sessionId, "aimo-seq": String(seq), "aimo-mac": mac };
  }

  /** Sends a MACed request and reads the whole answer. */
  async send(
    method: string,
    path: string,
    body: string,
    seq = this.nextSeq(),
  ): Promise<Answer & { seq: bigint }> {
    const answer = await exchange(this.url + path, method, body, this.headersFor(method, path, body, seq));
    return { ...answer, seq };
  }

  /** Sends a MACed request and gives the answer as soon as its head is there. */
  async open(
    path: string,
    body: string,
  ): Promise<{ response: IncomingMessage; request: ClientRequest; seq: bigint }> {
    const seq = this.nextSeq();
    const request = begin(this.url + path, "POST", body, this.headersFor("POST", path, body, seq));
    const [response] = (await once(request, "response")) as [IncomingMessage];
    return { response, request, seq };
  }

  /** Answers with a voucher, signed for real unless the test has another signature. */
  ack(cumulative: bigint, signature = this.sign(cumulative)): Promise<Answer> {
    const body = JSON.stringify({ cumulative: cumulative.toString(), signature });
    return this.send("POST", `${SESSION_PATH}/${this.sessionId}/ack`, body);
  }

  /** The provider's statement for the delivered frames, its MAC checked; undefined when nothing is owed. */
  async abort(attempt: Hex, frames: number): Promise<UsageStatement | undefined> {
    const path = `${SESSION_PATH}/${this.sessionId}/abort`;
    const { status, text, seq } = await this.send("POST", path, JSON.stringify({ attempt, frames }));
    if (status === 204) return undefined;
    expect(status, text).to.equal(200);
    return this.checkUsage(JSON.parse(text) as UsageFrame, seq, path);
  }

  /** The usage frame of a finished stream, its MAC checked. */
  usageOf(text: string, seq: bigint, path: string): UsageStatement {
    const data = /event: aimo\.usage\ndata: (.*)\n\ndata: \[DONE\]\n\n$/.exec(text)?.[1] ?? "";
    return this.checkUsage(JSON.parse(data) as UsageFrame, seq, path);
  }

  checkUsage({ statement, mac }: UsageFrame, seq: bigint, path: string): UsageStatement {
    const bodyHash = sha256(JSON.stringify(statement));
    expect(verifyMac(this.macKey, { direction: 1, seq, method: "POST", path, bodyHash }, mac)).to.equal(true);
    return statement;
  }

  /** Opens the events stream; resolves at `ready`. */
  async listen(): Promise<void> {
    const path = `${SESSION_PATH}/${this.sessionId}/events`;
    const request = begin(this.url + path, "GET", "", this.headersFor("GET", path, "", this.nextSeq()));
    this.#stream = request;
    request.on("error", () => {});
    const [response] = (await once(request, "response")) as [IncomingMessage];
    expect(response.statusCode).to.equal(200);
    const ready = once(this.events, "ready");
    let rest = "";
    response.setEncoding("utf8");
    response.on("error", () => {});
    response.once("close", () => this.events.emit("end"));
    response.on("data", (text: string) => {
      const lines = (rest + text).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) this.#onLine(JSON.parse(line) as MacedLine, path);
    });
    await ready;
  }

  /** Waits until the provider has sent `count` groups in all. */
  async untilGroups(count: number): Promise<readonly GroupEvent[]> {
    while (this.groups.length < count) await once(this.events, "group");
    return this.groups;
  }

  close(): void {
    this.#stream?.destroy();
  }

  #onLine({ seq, event, mac }: MacedLine, path: string): void {
    const bodyHash = sha256(JSON.stringify(event));
    const about = { direction: 1, seq: BigInt(seq), method: "GET", path, bodyHash } as const;
    expect(verifyMac(this.macKey, about, mac)).to.equal(true);
    if (event.type === "group") this.groups.push(event);
    if (event.type === "voucher") this.shown = event;
    this.events.emit(event.type, event);
  }
}

/** Shakes hands. Fails the test when the provider refuses. */
export async function connectRelay(parameters: ConnectParameters): Promise<RelayClient> {
  const { answer, client, signature } = await offerSession(parameters);
  expect(answer.status, answer.text).to.equal(200);
  if (!client) throw new Error("No session.");
  const path = `${SESSION_PATH}/${client.sessionId}/confirm`;
  const confirmed = await exchange(client.url + path, "POST", JSON.stringify({ signature }));
  expect(confirmed.status, confirmed.text).to.equal(204);
  return client;
}

/** The first half of the handshake, and what would confirm it. */
export async function offerSession(parameters: ConnectParameters) {
  const { url, chainId, relayId, providerId, key, providerSigner } = parameters;
  const secret = createSessionSecret();
  const offer: SessionOffer = {
    version: PROTOCOL_VERSION,
    chainId,
    relayId,
    providerId,
    nonce: secret.nonce,
    ephemeral: secret.ephemeral,
    ...parameters.offer,
  };
  const answer = await exchange(url + SESSION_PATH, "POST", JSON.stringify(offer));
  if (answer.status !== 200) return { answer, client: undefined, signature: undefined };
  const { sessionId, nonce, ephemeral, signature: theirs } = JSON.parse(answer.text) as SessionAnswer;
  const transcript = {
    chainId,
    relayId,
    providerId,
    relayNonce: secret.nonce,
    providerNonce: nonce,
    relayEphemeral: secret.ephemeral,
    providerEphemeral: ephemeral,
  };
  const handshake = createHandshake({ role: "relay", transcript, privateKey: key.privateKey, secret });
  expect(handshake.isPeerSignature(theirs, providerSigner)).to.equal(true);
  return {
    answer,
    client: new RelayClient(url, sessionId, handshake.macKey, parameters.sign),
    signature: handshake.signature,
  };
}

export type InferQuery = {
  attempt: Hex;
  request: Hex;
  model: string;
  price: number;
  max?: number;
  id?: string;
};

export function inferPath(route: string, query: InferQuery): string {
  const parts = Object.entries(query).map(([key, value]) => `${key}=${encodeURIComponent(String(value))}`);
  return `${INFER_PATH}/${route}?${parts.join("&")}`;
}

function begin(url: string, method: string, body: string, headers: Record<string, string>): ClientRequest {
  const length = Buffer.byteLength(body);
  const request = httpRequest(url, {
    method,
    headers: { ...headers, "content-length": length },
    agent: false,
  });
  request.end(body);
  return request;
}

export async function exchange(
  url: string,
  method: string,
  body: string,
  headers: Record<string, string> = {},
): Promise<Answer> {
  const request = begin(url, method, body, headers);
  const [response] = (await once(request, "response")) as [IncomingMessage];
  return { status: response.statusCode ?? 0, headers: response.headers, text: await textOf(response) };
}

export async function textOf(response: IncomingMessage): Promise<string> {
  let text = "";
  response.setEncoding("utf8");
  for await (const part of response as AsyncIterable<string>) text += part;
  return text;
}

/** Reads a stream until `frames` data frames came; leaves it open. */
export async function readFrames(response: IncomingMessage, frames: number): Promise<string> {
  let text = "";
  response.setEncoding("utf8");
  while (text.split("\n\n").length - 1 < frames) {
    const [part] = (await once(response, "data")) as [string];
    text += part;
  }
  return text;
}
