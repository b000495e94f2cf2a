import type { Hex } from "viem";
import { concat, hash, toHex } from "./bytes.ts";
import { MAX_U32 } from "./units.ts";

/** Sound as it is priced and hashed: how long a recording can be at most, and the hash of streamed audio. */

/**
 * No more may be billed than this for a byte of a recording: 4 kbit/s, below the lowest rate of any codec for speech.
 */
export const MAX_MS_PER_BYTE = 2;
/** WAVE formats whose bytes say exactly how long they last: PCM, IEEE float and their extensible form. */
const PLAIN_FORMATS: readonly number[] = [1, 3, 0xfffe];
const RIFF = 0x46464952;
const WAVE = 0x45564157;
const FMT = 0x20746d66;
/** A WAVE file has its format within the first chunks. */
const MAX_CHUNKS = 32;

/** Milliseconds that may be billed for a recording at most, rounded up: exact for plain WAVE, else by its bytes. */
export function longestAudioMs(file: Uint8Array): number {
  const rate = waveBytesPerSecond(file);
  const ms = rate === undefined ? file.length * MAX_MS_PER_BYTE : Math.ceil((file.length * 1000) / rate);
  return Math.min(ms, MAX_U32);
}

/** Bytes a second of a plain WAVE file, from its format; undefined for anything else. */
export function waveBytesPerSecond(file: Uint8Array): number | undefined {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  if (file.length < 44 || view.getUint32(0, true) !== RIFF || view.getUint32(8, true) !== WAVE)
    return undefined;
  let at = 12;
  for (let chunk = 0; chunk < MAX_CHUNKS && at + 24 <= file.length; chunk++) {
    const size = view.getUint32(at + 4, true);
    if (view.getUint32(at, true) === FMT) {
      const frames = view.getUint32(at + 12, true);
      const bytes = view.getUint16(at + 10, true) * Math.ceil(view.getUint16(at + 22, true) / 8);
      const isPlain = PLAIN_FORMATS.includes(view.getUint16(at + 8, true));
      return isPlain && frames > 0 && bytes > 0 ? frames * bytes : undefined;
    }
    at += 8 + size + (size % 2);
  }
  return undefined;
}

/** Streamed audio is hashed in blocks of this many bytes, so that what was delivered can be named before the end. */
export const AUDIO_BLOCK_BYTES = 16 * 1024;

/** Takes in audio as it passes; knows the hash of its first blocks. Keeps 32 bytes for each. */
export class AudioHash {
  readonly #blocks: Uint8Array[] = [];
  #tail: Uint8Array[] = [];
  #tailBytes = 0;
  #bytes = 0;

  /** `chunk` is copied where it has to be kept. */
  push(chunk: Uint8Array): void {
    this.#bytes += chunk.length;
    let rest = chunk;
    while (this.#tailBytes + rest.length >= AUDIO_BLOCK_BYTES) {
      const cut = AUDIO_BLOCK_BYTES - this.#tailBytes;
      this.#blocks.push(hash(concat([...this.#tail, rest.subarray(0, cut)])));
      this.#tail = [];
      this.#tailBytes = 0;
      rest = rest.subarray(cut);
    }
    if (rest.length === 0) return;
    this.#tail.push(rest.slice());
    this.#tailBytes += rest.length;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Whole blocks so far. */
  get blocks(): number {
    return this.#blocks.length;
  }

  /** The first `blocks` blocks: what a stream that was cut there has delivered. */
  hashOfBlocks(blocks: number): Hex {
    return toHex(hash(concat(this.#blocks.slice(0, blocks))));
  }

  /** All of it, the shorter last block included. */
  hashOfAll(): Hex {
    const last = this.#tailBytes > 0 ? [hash(concat(this.#tail))] : [];
    return toHex(hash(concat([...this.#blocks, ...last])));
  }
}

/** Characters of all texts of a moderation's input: a text, texts, or parts with a text. */
export function charactersOf(input: unknown): number {
  if (typeof input === "string") return countCharacters(input);
  if (!Array.isArray(input)) return 0;
  return input.reduce((sum: number, part: unknown) => {
    const text: unknown = typeof part === "object" && part !== null && "text" in part ? part.text : part;
    return typeof text === "string" ? sum + countCharacters(text) : sum;
  }, 0);
}

/** Characters as speech and moderation are priced by: Unicode code points. */
export function countCharacters(text: string): number {
  let pairs = 0;
  for (let i = 0; i < text.length - 1; i++) {
    const code = text.charCodeAt(i);
    if (code < 0xd800 || code > 0xdbff) continue;
    const next = text.charCodeAt(i + 1);
    if (next >= 0xdc00 && next <= 0xdfff) pairs++;
  }
  return text.length - pairs;
}
