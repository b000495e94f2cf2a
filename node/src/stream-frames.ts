import type { FrameWriter } from "./frames.ts";

/**
 * What the frames between a relay and a provider say (protocol section 12): requests one way, answers the other, many at
 * a time on one connection.
 */

/** Named in `Upgrade` when the connection is opened. */
export const STREAM_PROTOCOL = "aimo-1";

export const FRAME = {
  /** Relay: `seq u64 | mac 32 | flags u8 | path u16 + text | body`. Begins a stream. */
  request: 1,
  /** Provider: `status u16 |` content type, usage, its MAC, retry-after, each `u16 + text`. */
  head: 2,
  /** Provider: part of the body. */
  data: 3,
  /** Provider: the answer is whole. */
  end: 4,
  /** Provider: the answer broke off. */
  cut: 5,
  /** Relay: so many bytes more of `data` may come. `credit u32`. */
  window: 6,
  /** Relay: wants no more of it. */
  stop: 7,
} as const;

/** Bytes of `data` that a provider may send on a stream before the relay grants more. */
export const STREAM_WINDOW = 256 * 1024;
/** Streams at once on a connection. */
export const MAX_STREAMS = 4_096;
/** A larger body goes as a request of its own over HTTP, so that it does not hold up the others. */
export const MAX_STREAM_BODY = 256 * 1024;
/** Longest `data`: others get their turn in between. */
export const MAX_DATA_BYTES = 32 * 1024;
/** Longest path, and longest text of a head. */
export const MAX_TEXT_BYTES = 4 * 1024;
/** Longest payload of what a relay sends, and of what a provider does. */
export const MAX_REQUEST_FRAME = MAX_STREAM_BODY + 2 * MAX_TEXT_BYTES;
export const MAX_ANSWER_FRAME = Math.max(MAX_DATA_BYTES, 4 * (2 + MAX_TEXT_BYTES) + 2);

const MAC_BYTES = 32;
/** Sequence, MAC, flags and the path's length. */
const REQUEST_HEAD_BYTES = 8 + MAC_BYTES + 1 + 2;
const WANTS_STREAM = 1;

export type StreamRequest = {
  readonly seq: bigint;
  /** `0x` and 64 digits. */
  readonly mac: string;
  /** The relay takes the answer as it is made. */
  readonly stream: boolean;
  /** Only ASCII, as every path. */
  readonly path: string;
  readonly body: Uint8Array;
};

export function writeRequest(
  writer: FrameWriter,
  stream: number,
  { seq, mac, stream: wantsStream, path, body }: StreamRequest,
): void {
  writer.begin(FRAME.request, stream, REQUEST_HEAD_BYTES + path.length + body.length);
  writer.u64(seq);
  writer.hex(mac.slice(2));
  writer.u8(wantsStream ? WANTS_STREAM : 0);
  writer.u16(path.length);
  writer.latin1(path);
  writer.bytes(body);
}

/** Throws a RangeError when the payload is no request. The body is a view of it. */
export function readRequest(payload: Buffer): StreamRequest & { readonly body: Buffer } {
  const pathLength = payload.length < REQUEST_HEAD_BYTES ? -1 : payload.readUInt16BE(REQUEST_HEAD_BYTES - 2);
  const end = REQUEST_HEAD_BYTES + pathLength;
  if (pathLength < 0 || pathLength > MAX_TEXT_BYTES || end > payload.length)
    throw new RangeError("A request frame is cut short, or its path is too long.");
  return {
    seq: payload.readBigUInt64BE(0),
    mac: `0x${payload.toString("hex", 8, 8 + MAC_BYTES)}`,
    stream: payload[8 + MAC_BYTES] === WANTS_STREAM,
    path: payload.toString("latin1", REQUEST_HEAD_BYTES, end),
    body: payload.subarray(end),
  };
}

/** The head of an answer. Texts that it does not have are empty. */
export type StreamHead = {
  readonly status: number;
  readonly contentType: string;
  /** base64url of the statement's JSON, and its MAC: what a JSON answer has in its headers over HTTP. */
  readonly usage: string;
  readonly usageMac: string;
  readonly retryAfter: string;
};

/** Throws a RangeError when a text is too long for a head. */
export function writeHead(writer: FrameWriter, stream: number, head: StreamHead): void {
  const { status, contentType, usage, usageMac, retryAfter } = head;
  const length = contentType.length + usage.length + usageMac.length + retryAfter.length;
  if (length > MAX_TEXT_BYTES) throw new RangeError("The head of an answer is too long.");
  writer.begin(FRAME.head, stream, 2 + 4 * 2 + length);
  writer.u16(status);
  writeText(writer, contentType);
  writeText(writer, usage);
  writeText(writer, usageMac);
  writeText(writer, retryAfter);
}

function writeText(writer: FrameWriter, text: string): void {
  writer.u16(text.length);
  writer.latin1(text);
}

/** Throws a RangeError when the payload is no head. */
export function readHead(payload: Buffer): StreamHead {
  const texts: [string, string, string, string] = ["", "", "", ""];
  let at = 2;
  for (let index = 0; index < texts.length; index++) {
    const start = at + 2;
    if (start > payload.length) throw new RangeError("A head frame is cut short.");
    at = start + payload.readUInt16BE(at);
    if (at > payload.length) throw new RangeError("A head frame is cut short.");
    texts[index] = payload.toString("latin1", start, at);
  }
  const [contentType, usage, usageMac, retryAfter] = texts;
  return { status: payload.readUInt16BE(0), contentType, usage, usageMac, retryAfter };
}

export function writeWindow(writer: FrameWriter, stream: number, credit: number): void {
  writer.begin(FRAME.window, stream, 4);
  writer.u32(credit);
}

/** Throws a RangeError when the payload is no credit. */
export function readWindow(payload: Buffer): number {
  if (payload.length !== 4) throw new RangeError("A window frame has not 4 bytes.");
  return payload.readUInt32BE(0);
}
