/** Frames of a server-sent event stream, found on bytes: nothing is decoded, nothing is copied unless a frame is split. */

/** No frame of a chat stream comes near this; a longer one is junk, and would otherwise grow without end. */
export const MAX_FRAME_BYTES = 1024 * 1024;

const LF = 0x0a;
const CR = 0x0d;
const EMPTY = new Uint8Array(0);

/** Cuts a byte stream into frames, each with the empty line that ends it. Takes LF and CRLF, and cuts anywhere. */
export class FrameSplitter {
  #rest: Uint8Array = EMPTY;
  /** Where the search goes on, and where the line it is in began; both in `#rest`. */
  #scanned = 0;
  #lineStart = 0;

  /** Calls `onFrame` for every frame that `chunk` completes. Throws a RangeError when a frame is too long. */
  push(chunk: Uint8Array, onFrame: (frame: Uint8Array) => void): void {
    const data = this.#rest.length === 0 ? chunk : joined(this.#rest, chunk);
    let start = 0;
    let lineStart = this.#lineStart;
    let at = data.indexOf(LF, this.#scanned);
    for (; at !== -1; at = data.indexOf(LF, at + 1)) {
      const isEmpty = at === lineStart || (at === lineStart + 1 && data[lineStart] === CR);
      lineStart = at + 1;
      if (!isEmpty) continue;
      onFrame(data.subarray(start, at + 1));
      start = at + 1;
    }
    this.#rest = data.subarray(start);
    if (this.#rest.length > MAX_FRAME_BYTES)
      throw new RangeError(`A frame of the stream is longer than ${MAX_FRAME_BYTES} bytes.`);
    this.#scanned = this.#rest.length;
    this.#lineStart = lineStart - start;
  }

  /** Bytes of a frame that has begun and not ended. */
  get pendingBytes(): number {
    return this.#rest.length;
  }
}

function joined(a: Uint8Array, b: Uint8Array): Uint8Array {
  const out = new Uint8Array(a.length + b.length);
  out.set(a);
  out.set(b, a.length);
  return out;
}

export type Frame = {
  readonly event: string | undefined;
  /** Data lines joined by a newline; undefined when there is none (a comment). */
  readonly data: string | undefined;
};

const decoder = new TextDecoder();
const DATA = [0x64, 0x61, 0x74, 0x61, 0x3a, 0x20]; // "data: "

/** Reads a whole frame. The usual one, a single `data: …` line, takes a short path. */
export function readFrame(frame: Uint8Array): Frame {
  const firstEnd = frame.indexOf(LF);
  const lineEnd = firstEnd > 0 && frame[firstEnd - 1] === CR ? firstEnd - 1 : firstEnd;
  const isSingle =
    firstEnd !== -1 && frame.length - firstEnd <= 3 && DATA.every((byte, i) => frame[i] === byte);
  if (isSingle) return { event: undefined, data: decoder.decode(frame.subarray(DATA.length, lineEnd)) };
  return readLines(decoder.decode(frame));
}

function readLines(text: string): Frame {
  let event: string | undefined;
  const data: string[] = [];
  for (const line of text.split(/\r?\n/)) {
    const colon = line.indexOf(":");
    if (colon <= 0) continue;
    const value = line.slice(line.charAt(colon + 1) === " " ? colon + 2 : colon + 1);
    const field = line.slice(0, colon);
    if (field === "event") event = value;
    if (field === "data") data.push(value);
  }
  return { event, data: data.length > 0 ? data.join("\n") : undefined };
}

/** A frame with one JSON value. */
export function dataFrame(value: unknown): Uint8Array {
  return new TextEncoder().encode(`data: ${JSON.stringify(value)}\n\n`);
}

export const DONE_FRAME = new TextEncoder().encode("data: [DONE]\n\n");
/** Keeps connections open in silence. One newline: an empty event in front of `data:` crashes some clients. */
export const KEEP_ALIVE = new TextEncoder().encode(": aimo\n");
