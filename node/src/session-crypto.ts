import { createSecretKey, hash, hkdfSync, type KeyObject, randomBytes, timingSafeEqual } from "node:crypto";
import { toBytes, toHex, utf8, writeHex } from "@aimo/protocol/bytes";
import {
  MAX_MAC_INPUT,
  type MacParameters,
  type SessionTranscript,
  transcriptDigest,
  transcriptHash,
  writeMacInput,
} from "@aimo/protocol/session";
import type { Address, Hex } from "viem";
import { isPrivateKey, isSignedBy, publicKeyOf, sharedSecret, sign } from "./fast-crypto.ts";

/** Cryptography of the session between a relay and a provider (protocol section 12). Pure over given randomness. */

/** What one side draws for one session: a nonce and an ephemeral key, all hex. Keep `ephemeralPrivate` in memory only. */
export type SessionSecret = {
  readonly nonce: Hex;
  readonly ephemeralPrivate: Uint8Array;
  readonly ephemeral: Hex;
};

/** Draws a session's secret. `random` is for tests; it must return as many bytes as asked. */
export function createSessionSecret(
  random: (size: number) => Uint8Array = (size) => randomBytes(size),
): SessionSecret {
  let ephemeralPrivate = random(32);
  // A draw outside of the curve's order has a chance of 2^-128; drawing again is simpler than explaining it.
  while (!isPrivateKey(ephemeralPrivate)) ephemeralPrivate = random(32);
  return { nonce: toHex(random(32)), ephemeralPrivate, ephemeral: toHex(publicKeyOf(ephemeralPrivate)) };
}

export const SESSION_ROLES = { relay: 1, provider: 2 } as const;
export type SessionRole = keyof typeof SESSION_ROLES;

/** A side's view of a session whose transcript is complete. */
export type Handshake = {
  /** This side's signature over the transcript, to send to the other. */
  readonly signature: Hex;
  /** HMAC key of the session, 32 bytes. An object, as Node takes several times longer over bytes. */
  readonly macKey: KeyObject;
  /** True when `signature` is the other side's over this transcript, by `signer`. */
  readonly isPeerSignature: (signature: Hex, signer: Address) => boolean;
};

export type HandshakeParameters = {
  readonly role: SessionRole;
  readonly transcript: SessionTranscript;
  /** Private key of the node. */
  readonly privateKey: Uint8Array | Hex;
  readonly secret: SessionSecret;
};

/**
 * Signs a complete transcript and derives the session's MAC key from it. Both sides get the same key when, and only
 * when, they saw the same transcript. Throws a RangeError when the other side's ephemeral key is no point of the curve,
 * when a nonce is not 32 bytes, or when the transcript does not carry this side's own secret.
 */
export function createHandshake({ role, transcript, privateKey, secret }: HandshakeParameters): Handshake {
  checkTranscript(role, transcript, secret);
  const hash = transcriptHash(transcript);
  const other: SessionRole = role === "relay" ? "provider" : "relay";
  const theirs = role === "relay" ? transcript.providerEphemeral : transcript.relayEphemeral;
  return {
    signature: sign(transcriptDigest(SESSION_ROLES[role], hash), privateKey),
    macKey: macKeyOf(secret.ephemeralPrivate, theirs, hash),
    isPeerSignature: (signature, signer) =>
      isSignedBy(signer, transcriptDigest(SESSION_ROLES[other], hash), signature),
  };
}

function checkTranscript(role: SessionRole, transcript: SessionTranscript, secret: SessionSecret): void {
  const mine =
    role === "relay"
      ? { nonce: transcript.relayNonce, ephemeral: transcript.relayEphemeral }
      : { nonce: transcript.providerNonce, ephemeral: transcript.providerEphemeral };
  if (mine.nonce.toLowerCase() !== secret.nonce || mine.ephemeral.toLowerCase() !== secret.ephemeral)
    throw new RangeError(`The transcript does not carry the nonce and key of this ${role}.`);
  for (const nonce of [transcript.relayNonce, transcript.providerNonce])
    if (!/^0x[0-9a-f]{64}$/i.test(nonce)) throw new RangeError("A session nonce is not 32 bytes.");
}

function macKeyOf(ephemeralPrivate: Uint8Array, theirs: Hex, transcript: Uint8Array): KeyObject {
  if (!/^0x0[23][0-9a-f]{64}$/i.test(theirs))
    throw new RangeError("The other side's session key is not a compressed public key of 33 bytes.");
  let shared: Uint8Array;
  try {
    shared = sharedSecret(ephemeralPrivate, toBytes(theirs));
  } catch (cause) {
    throw new RangeError("The other side's session key is not a point of the curve.", { cause });
  }
  const bytes = hkdfSync("sha256", shared, transcript, utf8("aimo-session-mac-v1"), 32);
  return createSecretKey(new Uint8Array(bytes));
}

/** sha-256, 32 bytes: the body hash of `MacParameters`. */
export function sha256(data: Uint8Array | string): Uint8Array {
  const out = new Uint8Array(32);
  // Through hex: a buffer of its own for each hash costs Node more than writing the digits.
  writeHex(out, 0, `0x${hash("sha256", data, "hex")}`);
  return out;
}

/** HMAC-SHA256 of a message of the session, 32 bytes as hex. Throws a RangeError when its path is too long. */
export function macOf(macKey: KeyObject, parameters: MacParameters): Hex {
  return `0x${macHex(macKey, parameters)}`;
}

const [EXPECTED, GIVEN] = [Buffer.alloc(32), Buffer.alloc(32)];

/** True when `mac` is the session's MAC of the message. Takes the same time wherever they differ. Never throws. */
export function verifyMac(macKey: KeyObject, parameters: MacParameters, mac: string): boolean {
  if (mac.length !== 66 || !writeHex(GIVEN, 0, mac) || !mac.startsWith("0x")) return false;
  EXPECTED.write(macHex(macKey, parameters), "hex");
  return timingSafeEqual(EXPECTED, GIVEN);
}

/** SHA-256 works on blocks of so many bytes; the key, filled up and masked, stands before what is hashed. */
const BLOCK = 64;
const INNER_MASK = 0x36;
const OUTER_MASK = 0x5c;
const HEX_DIGEST = 64;

type Pads = { readonly inner: Uint8Array; readonly outer: Uint8Array };
const padsOfKeys = new WeakMap<KeyObject, Pads>();

/** The key of a session is masked once. */
function padsOf(macKey: KeyObject): Pads {
  const known = padsOfKeys.get(macKey);
  if (known) return known;
  const key = macKey.export();
  const masked = (mask: number) => Uint8Array.from({ length: BLOCK }, (_, at) => (key[at] ?? 0) ^ mask);
  const pads = { inner: masked(INNER_MASK), outer: masked(OUTER_MASK) };
  padsOfKeys.set(macKey, pads);
  return pads;
}

const INNER = Buffer.alloc(BLOCK + MAX_MAC_INPUT);
const OUTER = Buffer.alloc(BLOCK + 32);

/**
 * HMAC by two plain hashes, in place: an object of Node for each message costs several times what the hashes do, and
 * there are two messages in each request. Held to Node's own by a test.
 */
function macHex(macKey: KeyObject, parameters: MacParameters): string {
  const { inner, outer } = padsOf(macKey);
  INNER.set(inner);
  const end = writeMacInput(INNER, BLOCK, parameters);
  OUTER.set(outer);
  OUTER.write(hash("sha256", INNER.subarray(0, end), "hex"), BLOCK, HEX_DIGEST, "hex");
  return hash("sha256", OUTER, "hex");
}
