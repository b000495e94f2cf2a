import { once } from "node:events";
import { request as httpRequest, type IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { FrameReader, FrameWriter } from "@aimo/node/frames";
import { macOf, sha256 } from "@aimo/node/session-crypto";
import {
  FRAME,
  readHead,
  STREAM_PROTOCOL,
  STREAM_WINDOW,
  type StreamHead,
  writeRequest,
  writeWindow,
} from "@aimo/node/stream-frames";
import { SESSION_PATH } from "@aimo/protocol/session";
import { eventually } from "../../node/support/eventually.ts";
import type { RelayClient } from "./relay-client.ts";

/** The relay's side of a session's connection, in the hands of a test. */

/** An answer as far as it came. */
export type Heard = {
  readonly stream: number;
  readonly seq: bigint;
  readonly path: string;
  head: StreamHead | undefined;
  text: string;
  bytes: number;
  /** What the provider was granted in all. */
  granted: number;
  end: "end" | "cut" | undefined;
};

export type Changes = { readonly seq?: bigint; readonly mac?: string; readonly stream?: number };

export class RawStream {
  readonly socket: Duplex;
  readonly writer: FrameWriter;
  readonly closed: Promise<unknown>;
  readonly #relay: RelayClient;
  readonly #heard = new Map<number, Heard>();
  /** Whether what came is granted anew at once. */
  grants = true;
  /** The most that one stream had sent above what was granted and taken. */
  overdrawn = 0;
  #lastId = 0;

  constructor(relay: RelayClient, socket: Duplex) {
    this.#relay = relay;
    this.socket = socket;
    this.closed = new Promise((resolve) => socket.once("close", resolve));
    this.writer = new FrameWriter((bytes) => !socket.write(bytes) && false);
    const reader = new FrameReader(1 << 20, (type, stream, payload) => this.#onFrame(type, stream, payload));
    socket.on("data", (chunk: Buffer) => reader.push(chunk));
    socket.on("error", () => {});
    socket.on("end", () => socket.destroy());
  }

  /** Sends a request; its MAC is right unless the test has another. */
  ask(path: string, body: string, changes: Changes = {}): Heard {
    const seq = changes.seq ?? this.#relay.nextSeq();
    const about = { direction: 0, seq, method: "POST", path, bodyHash: sha256(body) } as const;
    const stream = changes.stream ?? ++this.#lastId;
    const mac = changes.mac ?? macOf(this.#relay.macKey, about);
    const heard: Heard = {
      ...{ stream, seq, path, head: undefined, text: "", bytes: 0, granted: STREAM_WINDOW, end: undefined },
    };
    this.#heard.set(stream, heard);
    writeRequest(this.writer, stream, { seq, mac, stream: true, path, body: Buffer.from(body) });
    return heard;
  }

  grant(heard: Heard, credit: number): void {
    heard.granted += credit;
    writeWindow(this.writer, heard.stream, credit);
  }

  stop({ stream }: Heard): void {
    this.writer.begin(FRAME.stop, stream, 0);
  }

  async untilEnd(heard: Heard): Promise<Heard> {
    await eventually("the end of the answer", () => heard.end !== undefined);
    return heard;
  }

  #onFrame(type: number, stream: number, payload: Buffer): void {
    const heard = this.#heard.get(stream);
    if (!heard) throw new Error(`Nobody asked on stream ${stream}.`);
    if (type === FRAME.head) heard.head = readHead(payload);
    if (type === FRAME.end) heard.end = "end";
    if (type === FRAME.cut) heard.end = "cut";
    if (type !== FRAME.data) return;
    heard.text += payload.toString();
    heard.bytes += payload.length;
    this.overdrawn = Math.max(this.overdrawn, heard.bytes - heard.granted);
    if (this.grants) this.grant(heard, payload.length);
  }
}

/** Sends the upgrade; gives the status when it was refused. */
export async function upgrade(
  relay: RelayClient,
  {
    path = `${SESSION_PATH}/${relay.sessionId}/stream`,
    protocol = STREAM_PROTOCOL,
    seq = relay.nextSeq(),
  } = {},
): Promise<Duplex | number> {
  const headers = { ...relay.headersFor("GET", path, "", seq), connection: "upgrade", upgrade: protocol };
  const request = httpRequest(relay.url + path, { headers, agent: false });
  request.end();
  const refused = once(request, "response").then(([response]) => {
    (response as IncomingMessage).resume();
    return (response as IncomingMessage).statusCode ?? 0;
  });
  const accepted = once(request, "upgrade").then(([, socket]) => socket as Duplex);
  return Promise.race([refused, accepted]);
}

export async function openStream(relay: RelayClient): Promise<RawStream> {
  const socket = await upgrade(relay);
  if (typeof socket === "number") throw new Error(`The upgrade was answered with ${socket}.`);
  return new RawStream(relay, socket);
}
