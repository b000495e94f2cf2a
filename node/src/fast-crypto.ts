import { setImmediate as turn } from "node:timers/promises";
import { hash, toBytes, useHex, useKeccak } from "@aimo/protocol/bytes";
import { createKeccak, type IHasher } from "hash-wasm";
import secp256k1 from "secp256k1";
import { type Address, checksumAddress, type Hex } from "viem";

/**
 * The signatures and hashes of the hot path: native secp256k1 and keccak in WebAssembly, more than ten times as fast as
 * the portable code. Nothing else in a node imports these packages; tests hold every function here to viem's answers.
 */

let starting: Promise<void> | undefined;

/** Installs the fast keccak and hex for all of `@aimo/protocol`. Call once at start; calling again is free. */
export function initFastCrypto(): Promise<void> {
  starting ??= createKeccak(256).then((hasher: IHasher) => {
    // One hasher serves all calls: init, update and digest run without a pause, so no two calls can mix.
    useKeccak((data) => hasher.init().update(data).digest("binary"));
    useHex(hexOf);
  });
  return starting;
}

/** keccak-256 of the parts, concatenated: native once `initFastCrypto` has resolved. */
export const keccak: (...parts: readonly Uint8Array[]) => Uint8Array = hash;

/** Takes about a millisecond: what comes in between waits no longer. What is no longer is hashed at once. */
export const STEP_BYTES = 256 * 1024;

/** keccak-256 of data that may be long: others have their turn in between. The data must not change until it resolves. */
export async function keccakInSteps(data: Uint8Array): Promise<Uint8Array> {
  if (data.length <= STEP_BYTES) return hash(data);
  const hasher = (await createKeccak(256)).init();
  for (let at = 0; at < data.length; at += STEP_BYTES) {
    hasher.update(data.subarray(at, at + STEP_BYTES));
    await turn();
  }
  return hasher.digest("binary");
}

/** Half of the curve's order, the highest `s` that the contracts take. */
const MAX_S = Buffer.from("7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0", "hex");

/**
 * Signs a 32-byte digest: r | s | v, 65 bytes, v 27 or 28, s in the lower half. Deterministic (RFC 6979), so equal to
 * viem's. Throws a RangeError when the digest is not 32 bytes or the key is no private key.
 */
export function sign(digest: Uint8Array | Hex, privateKey: Uint8Array | Hex): Hex {
  const message = bytesOf(digest);
  const key = bytesOf(privateKey);
  if (message.length !== 32) throw new RangeError(`The digest is ${message.length} bytes, not 32.`);
  if (key.length !== 32 || !secp256k1.privateKeyVerify(key))
    throw new RangeError("The private key is not valid.");
  const { signature, recid } = secp256k1.ecdsaSign(message, key);
  return `0x${hexOf(signature)}${recid === 0 ? "1b" : "1c"}`;
}

/**
 * The address whose key signed the digest, or undefined when the signature is malformed, has a high `s` (so that no
 * signature has a second form) or fits no key. Never throws.
 */
export function recoverAddress(digest: Uint8Array | Hex, signature: Uint8Array | Hex): Address | undefined {
  try {
    const message = bytesOf(digest);
    const data = bytesOf(signature);
    const v = data[64];
    if (message.length !== 32 || data.length !== 65 || (v !== 27 && v !== 28)) return undefined;
    if (Buffer.compare(data.subarray(32, 64), MAX_S) > 0) return undefined;
    return addressOfPublicKey(secp256k1.ecdsaRecover(data.subarray(0, 64), v - 27, message, false));
  } catch {
    // secp256k1 reports "no such point" and the like by throwing; all of them mean: not a signature.
    return undefined;
  }
}

/** True when `signer` signed the digest. Never throws. */
export function isSignedBy(signer: Address, digest: Uint8Array | Hex, signature: Uint8Array | Hex): boolean {
  return recoverAddress(digest, signature)?.toLowerCase() === signer.toLowerCase();
}

/** Ethereum address of a public key, compressed (33 bytes) or not (65). Throws an Error when it is no point. */
export function addressOfPublicKey(publicKey: Uint8Array): Address {
  const point = publicKey.length === 65 ? publicKey : secp256k1.publicKeyConvert(publicKey, false);
  return checksumAddress(`0x${hexOf(hash(point.subarray(1)).subarray(12))}`);
}

/** Compressed public key (33 bytes) of a private key. Throws a RangeError when it is no private key. */
export function publicKeyOf(privateKey: Uint8Array | Hex): Uint8Array {
  const key = bytesOf(privateKey);
  if (key.length !== 32 || !secp256k1.privateKeyVerify(key))
    throw new RangeError("The private key is not valid.");
  return secp256k1.publicKeyCreate(key, true);
}

/** True for a key that can sign: 32 bytes, not zero, below the curve's order. */
export function isPrivateKey(key: Uint8Array): boolean {
  return key.length === 32 && secp256k1.privateKeyVerify(key);
}

/** X coordinate (32 bytes) of the shared point of Diffie-Hellman. Throws an Error when the public key is no point. */
export function sharedSecret(privateKey: Uint8Array, publicKey: Uint8Array): Uint8Array {
  const buffers = { xbuf: new Uint8Array(32), ybuf: new Uint8Array(32) };
  return secp256k1.ecdh(publicKey, privateKey, { ...buffers, hashfn: (x) => x }, new Uint8Array(32));
}

function bytesOf(value: Uint8Array | Hex): Uint8Array {
  return typeof value === "string" ? toBytes(value) : value;
}

/** Digests and signatures fit; a view for each of them would cost more than their digits. */
const SHORT = Buffer.alloc(128);

function hexOf(bytes: Uint8Array): string {
  if (bytes.length > SHORT.length)
    return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("hex");
  SHORT.set(bytes);
  return SHORT.toString("hex", 0, bytes.length);
}
