import { type Address, type Hex, recoverAddress } from "viem";
import { concat, isWord, readUint, toBytes, toHex, uint } from "./bytes.ts";

/** An ERC-2098 signature: r, and s with the parity of y in its highest bit. 64 bytes. */
export type CompactSignature = { readonly r: Hex; readonly vs: Hex };

const ORDER = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;
/** Signatures above it are the malleable twins that the chain refuses. */
const HALF_ORDER = ORDER / 2n;
const PARITY = 1n << 255n;

/** Why the chain recovers nobody from a compact signature, whatever was signed; undefined: it may recover somebody. */
export function compactFault({ r, vs }: CompactSignature): string | undefined {
  if (!isWord(r)) return "r is not 32 bytes";
  if (!isWord(vs)) return "vs is not 32 bytes";
  const s = BigInt(vs) & (PARITY - 1n);
  if (BigInt(r) === 0n || BigInt(r) >= ORDER) return "r is not below the order";
  return s === 0n || s > HALF_ORDER ? "s is zero or above half the order" : undefined;
}

/** 65 bytes (r, s, v of 27 or 28) in 64. Throws a RangeError on another length or v, and where the chain recovers nobody. */
export function toCompact(signature: Hex): CompactSignature {
  const bytes = toBytes(signature);
  if (bytes.length !== 65) throw new RangeError(`The signature has ${bytes.length} bytes, not 65.`);
  const s = readUint(bytes, 32, 32);
  const v = bytes[64];
  if (v !== 27 && v !== 28) throw new RangeError(`The signature's v is ${v}, not 27 or 28.`);
  if (s >= PARITY) throw new RangeError("The signature's s is zero or above half the order.");
  const compact = { r: toHex(bytes.slice(0, 32)), vs: toHex(uint(v === 28 ? s | PARITY : s, 32)) };
  const fault = compactFault(compact);
  if (fault) throw new RangeError(`The signature's ${fault}.`);
  return compact;
}

/** Inverse of `toCompact`. Throws a RangeError where the chain recovers nobody. */
export function fromCompact(compact: CompactSignature): Hex {
  const fault = compactFault(compact);
  if (fault) throw new RangeError(`The signature's ${fault}.`);
  const vs = BigInt(compact.vs);
  const isOdd = vs >= PARITY;
  return toHex(concat([toBytes(compact.r), uint(isOdd ? vs - PARITY : vs, 32), uint(isOdd ? 28 : 27, 1)]));
}

/** Who signed a digest, as the chain sees it: 65 bytes, v of 27 or 28, low s. Undefined: nobody. Never throws. */
export async function recoverSigner(digest: Uint8Array, signature: Hex): Promise<Address | undefined> {
  try {
    return await recoverAddress({ hash: toHex(digest), signature: fromCompact(toCompact(signature)) });
  } catch {
    // Of another length, malleable, or no point of the curve: nobody's signature.
    return undefined;
  }
}
