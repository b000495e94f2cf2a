/**
 * Frames of many streams on one connection: `length u32 | type u8 | stream u32 | payload`, big-endian; `length` is the
 * payload's. The reader hands payloads on without copying them, the writer collects what one turn of the event loop
 * writes: a busy connection then costs one system call for many requests.
 */

export const FRAME_HEADER_BYTES = 9;

export type OnFrame = (type: number, stream: number, payload: Buffer) => void;

const NOTHING = Buffer.alloc(0);

/** Cuts a byte stream into frames, wherever it is cut itself. */
export class FrameReader {
  readonly #maxPayload: number;
  readonly #onFrame: OnFrame;
  /** A frame that came in pieces, as far as its size is known: first room for the header, then for all of it. */
  #part: Buffer = NOTHING;
  #have = 0;

  constructor(maxPayload: number, onFrame: OnFrame) {
    this.#maxPayload = maxPayload;
    this.#onFrame = onFrame;
  }

  /**
   * Calls back for each frame that `chunk` completes; payloads are views of it, but for those that came in pieces.
   * Throws a RangeError when a frame is too long: nothing that follows can be read then.
   */
  push(chunk: Buffer): void {
    let at = this.#have > 0 ? this.#fill(chunk) : 0;
    while (chunk.length - at >= FRAME_HEADER_BYTES) {
      const end = at + FRAME_HEADER_BYTES + this.#lengthAt(chunk, at);
      if (end > chunk.length) break;
      this.#emit(chunk, at, end);
      at = end;
    }
    if (at === chunk.length) return;
    const isHeaderWhole = chunk.length - at >= FRAME_HEADER_BYTES;
    const size = FRAME_HEADER_BYTES + (isHeaderWhole ? this.#lengthAt(chunk, at) : 0);
    this.#part = Buffer.allocUnsafe(size);
    this.#have = chunk.copy(this.#part, 0, at);
  }

  /** Goes on with the frame in pieces; gives where in `chunk` the next one begins. */
  #fill(chunk: Buffer): number {
    let at = this.#take(chunk, 0);
    if (this.#have === FRAME_HEADER_BYTES && this.#part.length === FRAME_HEADER_BYTES) {
      const whole = Buffer.allocUnsafe(FRAME_HEADER_BYTES + this.#lengthAt(this.#part, 0));
      this.#part.copy(whole);
      this.#part = whole;
      at = this.#take(chunk, at);
    }
    if (this.#have === this.#part.length) {
      const whole = this.#part;
      this.#part = NOTHING;
      this.#have = 0;
      if (whole.length >= FRAME_HEADER_BYTES) this.#emit(whole, 0, whole.length);
    }
    return at;
  }

  #take(chunk: Buffer, at: number): number {
    const copied = chunk.copy(this.#part, this.#have, at);
    this.#have += copied;
    return at + copied;
  }

  #lengthAt(bytes: Buffer, at: number): number {
    const length = bytes.readUInt32BE(at);
    if (length <= this.#maxPayload) return length;
    throw new RangeError(`A frame has ${length} bytes; ${this.#maxPayload} are allowed.`);
  }

  #emit(bytes: Buffer, at: number, end: number): void {
    const payload = end === at + FRAME_HEADER_BYTES ? NOTHING : bytes.subarray(at + FRAME_HEADER_BYTES, end);
    this.#onFrame(bytes[at + 4] as number, bytes.readUInt32BE(at + 5), payload);
  }
}

/** What most turns write fits in; larger frames get a buffer of their own. */
const SLAB_BYTES = 64 * 1024;

/**
 * Collects frames and hands them on together. A frame is written as `begin` with the payload's size, then exactly so
 * many bytes by the other methods.
 */
export class FrameWriter {
  readonly #send: (bytes: Buffer) => boolean;
  readonly #flush = () => this.flush();
  #slab = Buffer.allocUnsafeSlow(SLAB_BYTES);
  #at = 0;
  #isScheduled = false;

  /** `send` gives true when it has no more need of the bytes: they are overwritten then. */
  constructor(send: (bytes: Buffer) => boolean) {
    this.#send = send;
  }

  begin(type: number, stream: number, length: number): void {
    const size = FRAME_HEADER_BYTES + length;
    if (this.#at + size > this.#slab.length) this.#makeRoom(size);
    const slab = this.#slab;
    let at = this.#at;
    slab.writeUInt32BE(length, at);
    slab[at + 4] = type;
    at = slab.writeUInt32BE(stream, at + 5);
    this.#at = at;
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    // After all sockets that are readable now have been read: what they lead to goes out together.
    setImmediate(this.#flush);
  }

  frame(type: number, stream: number, payload: Uint8Array): void {
    this.begin(type, stream, payload.length);
    this.bytes(payload);
  }

  bytes(bytes: Uint8Array): void {
    this.#slab.set(bytes, this.#at);
    this.#at += bytes.length;
  }

  /** One byte for each character. */
  latin1(text: string): void {
    this.#at += this.#slab.write(text, this.#at, "latin1");
  }

  /** Half as many bytes as digits. */
  hex(digits: string): void {
    this.#at += this.#slab.write(digits, this.#at, "hex");
  }

  u8(value: number): void {
    this.#slab[this.#at++] = value;
  }

  u16(value: number): void {
    this.#at = this.#slab.writeUInt16BE(value, this.#at);
  }

  u32(value: number): void {
    this.#at = this.#slab.writeUInt32BE(value, this.#at);
  }

  u64(value: bigint): void {
    this.#at = this.#slab.writeBigUInt64BE(value, this.#at);
  }

  /** Hands on what was collected, now. */
  flush(): void {
    this.#isScheduled = false;
    if (this.#at === 0) return;
    const { length } = this.#slab;
    const mayReuse = this.#send(this.#slab.subarray(0, this.#at)) && length === SLAB_BYTES;
    this.#at = 0;
    if (!mayReuse) this.#slab = Buffer.allocUnsafeSlow(SLAB_BYTES);
  }

  #makeRoom(size: number): void {
    const isScheduled = this.#isScheduled;
    this.flush();
    this.#isScheduled = isScheduled;
    if (size > SLAB_BYTES) this.#slab = Buffer.allocUnsafeSlow(size);
  }
}
