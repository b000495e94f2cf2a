import { bytesToHex, type Hex, hexToBytes, keccak256 as viemKeccak } from "viem";

/** keccak-256 of bytes, 32 bytes. */
export type Keccak = (data: Uint8Array) => Uint8Array;

let keccak: Keccak = (data) => viemKeccak(data, "bytes");

/** Nodes install a native keccak here at start; it must agree with viem's (`test/protocol/bytes.test.ts`). */
export function useKeccak(implementation: Keccak): void {
  keccak = implementation;
}

/** keccak-256 of the parts, concatenated. */
export function hash(...parts: readonly Uint8Array[]): Uint8Array {
  return keccak(parts.length === 1 && parts[0] ? parts[0] : concat(parts));
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
  let rest = BigInt(value);
  if (rest < 0n || rest >= 1n << BigInt(8 * byteLength))
    throw new RangeError(`${value} does not fit ${8 * byteLength} bits.`);
  const out = new Uint8Array(byteLength);
  for (let i = byteLength - 1; i >= 0; i--) {
    out[i] = Number(rest & 0xffn);
    rest >>= 8n;
  }
  return out;
}

/** Unsigned integer at `offset`. Throws a RangeError when the bytes end before it. */
export function readUint(data: Uint8Array, offset: number, byteLength: number): bigint {
  if (offset + byteLength > data.length)
    throw new RangeError(`Expected ${byteLength} bytes at ${offset}, have ${data.length}.`);
  let value = 0n;
  for (let i = 0; i < byteLength; i++) value = (value << 8n) | BigInt(data[offset + i] ?? 0);
  return value;
}

export function utf8(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

export const toBytes = (hex: Hex): Uint8Array => hexToBytes(hex);
export const toHex = (bytes: Uint8Array): Hex => bytesToHex(bytes);
/** True for 0x and exactly 32 bytes of hex: what a path from someone else must consist of. */
export const isWord = (value: unknown): value is Hex =>
  typeof value === "string" && /^0x[0-9a-f]{64}$/i.test(value);
export const ZERO_32: Hex = `0x${"00".repeat(32)}`;

/** Levels of a binary tree over `count` leaves: ceil(log2 count), 0 for one leaf or none. */
export function depthOf(count: number): number {
  return count <= 1 ? 0 : 32 - Math.clz32(count - 1);
}
