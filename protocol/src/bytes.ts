import { type Hex, hexToBytes, keccak256 as viemKeccak } from "viem";

/** keccak-256 of bytes, 32 bytes. */
export type Keccak = (data: Uint8Array) => Uint8Array;

let keccak: Keccak = (data) => viemKeccak(data, "bytes");

/** Nodes install a native keccak here at start; it must agree with viem's (`test/protocol/bytes.test.ts`). */
export function useKeccak(implementation: Keccak): void {
  keccak = implementation;
}

/** What is hashed is mostly a few words; room for them is not made each time. */
const SCRATCH = new Uint8Array(1_024);

/** keccak-256 of the parts, concatenated. */
export function hash(...parts: readonly Uint8Array[]): Uint8Array {
  const [only] = parts;
  if (parts.length === 1 && only) return keccak(only);
  let end = 0;
  for (const part of parts) {
    if (end + part.length > SCRATCH.length) return keccak(concat(parts));
    SCRATCH.set(part, end);
    end += part.length;
  }
  return keccak(SCRATCH.subarray(0, end));
}

export function concat(parts: readonly Uint8Array[]): Uint8Array {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    out.set(part, offset);
    offset += part.length;
  }
  return out;
}

/** Big-endian bytes of an unsigned integer. Throws a RangeError when it does not fit. */
export function uint(value: bigint | number, byteLength: number): Uint8Array {
  const out = new Uint8Array(byteLength);
  writeUint(out, 0, value, byteLength);
  return out;
}

/** The same, into place. `out` is zero there and long enough. */
export function writeUint(out: Uint8Array, offset: number, value: bigint | number, byteLength: number): void {
  // Most numbers are small, and arithmetic of big integers is the dearest part of a digest.
  let rest = typeof value === "bigint" && value <= MAX_SAFE ? Number(value) : value;
  if (typeof rest === "number" && Number.isSafeInteger(rest) && rest >= 0) {
    for (let i = offset + byteLength - 1; rest > 0 && i >= offset; i--) {
      out[i] = rest % 256;
      rest = Math.floor(rest / 256);
    }
    if (rest === 0) return;
  } else rest = writeLarge(out, offset, BigInt(value), byteLength);
  if (rest !== 0) throw new RangeError(`${value} does not fit ${8 * byteLength} bits.`);
}

const MAX_SAFE = BigInt(Number.MAX_SAFE_INTEGER);

/** Gives 0, or something else when the value does not fit. */
function writeLarge(out: Uint8Array, offset: number, value: bigint, byteLength: number): number {
  if (value < 0n || value >= 1n << BigInt(8 * byteLength)) return 1;
  let rest = value;
  for (let i = offset + byteLength - 1; i >= offset; i--) {
    out[i] = Number(rest & 0xffn);
    rest >>= 8n;
  }
  return 0;
}

/** Unsigned integer at `offset`. Throws a RangeError when the bytes end before it. */
export function readUint(data: Uint8Array, offset: number, byteLength: number): bigint {
  if (offset + byteLength > data.length)
    throw new RangeError(`Expected ${byteLength} bytes at ${offset}, have ${data.length}.`);
  let value = 0n;
  for (let i = 0; i < byteLength; i++) value = (value << 8n) | BigInt(data[offset + i] ?? 0);
  return value;
}

const ENCODER = new TextEncoder();

export function utf8(text: string): Uint8Array {
  return ENCODER.encode(text);
}

/** UTF-8 bytes of a string, without encoding it. */
export function utf8Length(text: string): number {
  let bytes = text.length;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code < 0x80) continue;
    // A surrogate pair is two units and four bytes: two each.
    bytes += code < 0x800 || (code >= 0xd800 && code <= 0xdfff) ? 1 : 2;
  }
  return bytes;
}

/** UTF-8 of a text into place, of which there is enough. Gives how many bytes it took. */
export function writeText(out: Uint8Array, offset: number, text: string): number {
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    // Most texts of the protocol are ASCII; the encoder's detour costs more than they do.
    if (code > 0x7f) return ENCODER.encodeInto(text, out.subarray(offset)).written;
    out[offset + i] = code;
  }
  return text.length;
}

/** Bytes of hex after 0x; an odd digit stands for a byte of its own. Throws an Error when something else is in it. */
export function toBytes(hex: Hex): Uint8Array {
  const length = (hex.length - 2) / 2;
  if (!Number.isInteger(length) || length < 0) return hexToBytes(hex);
  const out = new Uint8Array(length);
  return writeHex(out, 0, hex) ? out : hexToBytes(hex);
}

/** Bytes of hex after 0x, into place. False when something is no digit. */
export function writeHex(out: Uint8Array, offset: number, hex: string): boolean {
  for (let i = 2, at = offset; i < hex.length; i += 2, at++) {
    const byte = (DIGITS[hex.charCodeAt(i)] ?? NONE) * 16 + (DIGITS[hex.charCodeAt(i + 1)] ?? NONE);
    if (byte > 255) return false;
    out[at] = byte;
  }
  return true;
}

/** Makes any byte that it is in too large. */
const NONE = 256;
/** Value of a hex digit by its character code. */
const DIGITS: readonly number[] = Array.from({ length: 128 }, (_, code) => {
  const value = Number.parseInt(String.fromCharCode(code), 16);
  return Number.isNaN(value) ? NONE : value;
});
const PAIRS: readonly string[] = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"));

let hex = (bytes: Uint8Array): string => Array.from(bytes, (byte) => PAIRS[byte]).join("");

/** Nodes install a native encoder here at start: bytes to hex without 0x. */
export function useHex(implementation: (bytes: Uint8Array) => string): void {
  hex = implementation;
}

export function toHex(bytes: Uint8Array): Hex {
  return `0x${hex(bytes)}`;
}
/** True for 0x and exactly 32 bytes of hex: what a path from someone else must consist of. */
export const isWord = (value: unknown): value is Hex =>
  typeof value === "string" && /^0x[0-9a-f]{64}$/i.test(value);
export const ZERO_32: Hex = `0x${"00".repeat(32)}`;

/** Levels of a binary tree over `count` leaves: ceil(log2 count), 0 for one leaf or none. */
export function depthOf(count: number): number {
  return count <= 1 ? 0 : 32 - Math.clz32(count - 1);
}
