import type { Hex } from "viem";
import { hash, toBytes, uint, utf8, writeText, writeUint } from "./bytes.ts";
import type { ReceiptGroup } from "./groups.ts";
import type { UsageReceipt } from "./receipts.ts";
import type { Units } from "./units.ts";
import type { UsageDetails } from "./usage-details.ts";

/**
 * Session between a relay and a provider over HTTP (protocol section 12).
 *
 * 1. `POST /aimo/v1/session` {SessionOffer} -> {SessionAnswer}, signed by the provider's node key.
 * 2. `POST /aimo/v1/session/:id/confirm` {signature} by the relay's node key -> 204. From here on requests are MACed.
 * 3. `GET /aimo/v1/session/:id/events` -> NDJSON of {MacedLine}: receipts groups as they close; held open.
 * 4. `POST /aimo/v1/session/:id/ack` {SessionAck}: the relay's ProviderVoucher, after each verified group.
 * 5. `POST /aimo/v1/session/:id/abort` {SessionAbort}: how many frames of an attempt reached the relay.
 * 6. `POST /aimo/v1/infer/:route?attempt=…&request=…&model=…&price=…`: the client's body, byte for byte.
 * 7. `GET /aimo/v1/session/:id/stream` with an upgrade: requests of 6 as frames on one connection (docs/protocol.md, 12).
 *
 * A MACed request carries the headers below; a response's usage is MACed with the other direction and the request's seq,
 * method and path, over sha-256 of the statement's JSON text.
 *
 * `infer` also takes `max` (completion tokens at most, enforced upstream) and `id` (the generation id that the response
 * carries). `model` is the registry's id. A JSON response states its usage in the headers `aimo-usage` (base64url of the
 * JSON text) and `aimo-usage-mac`; a stream in one `event: aimo.usage` frame whose data is a {UsageFrame}, followed by
 * `data: [DONE]`. A stream that ends without that frame was cut and is free.
 * `abort` answers 200 with a {UsageFrame} when the provider will sign for what was delivered, else 204: nothing is owed.
 * A content frame is an SSE frame with data, other than the usage frame and `[DONE]`; the provider forwards no others.
 * A line of events is MACed as a GET of the events path: toRelay, the line's seq, sha-256 of the JSON text of `event`.
 */
export const SESSION_HEADERS = {
  session: "aimo-session",
  seq: "aimo-seq",
  mac: "aimo-mac",
  usage: "aimo-usage",
  usageMac: "aimo-usage-mac",
} as const;
export const SESSION_PATH = "/aimo/v1/session";
export const INFER_PATH = "/aimo/v1/infer";
/** SSE event name of the frame in which the provider states the usage of a stream; never forwarded to the client. */
export const USAGE_EVENT = "aimo.usage";
/**
 * Workers of one relay at most. Providers keep 16 sessions of one relay, each process has one, and those of processes
 * that are gone leave first.
 */
export const MAX_WORKERS = 12;

export type SessionOffer = {
  readonly version: number;
  readonly chainId: number;
  readonly relayId: number;
  readonly providerId: number;
  /** 32 random bytes. */
  readonly nonce: Hex;
  /** Compressed secp256k1 key of this session, 33 bytes. */
  readonly ephemeral: Hex;
};
export type SessionAnswer = {
  readonly sessionId: string;
  readonly nonce: Hex;
  readonly ephemeral: Hex;
  readonly signature: Hex;
};
export type SessionConfirm = { readonly signature: Hex };

export type SessionTranscript = {
  readonly chainId: number;
  readonly relayId: number;
  readonly providerId: number;
  readonly relayNonce: Hex;
  readonly providerNonce: Hex;
  readonly relayEphemeral: Hex;
  readonly providerEphemeral: Hex;
};

/** Hash of everything both sides said; both sign it (with their role in front) and derive the MAC key from it. */
export function transcriptHash(t: SessionTranscript): Uint8Array {
  return hash(
    utf8("aimo-session-v1"),
    uint(t.chainId, 8),
    uint(t.relayId, 4),
    uint(t.providerId, 4),
    toBytes(t.relayNonce),
    toBytes(t.providerNonce),
    toBytes(t.relayEphemeral),
    toBytes(t.providerEphemeral),
  );
}

/** What a side signs: its role byte (1 relay, 2 provider) and the transcript. */
export function transcriptDigest(role: 1 | 2, transcript: Uint8Array): Uint8Array {
  return hash(uint(role, 1), transcript);
}

export const DIRECTION = { toProvider: 0, toRelay: 1 } as const;

export type MacParameters = {
  readonly direction: 0 | 1;
  readonly seq: bigint;
  readonly method: string;
  /** Path with query, as sent. */
  readonly path: string;
  /** sha-256 of the body, 32 bytes. */
  readonly bodyHash: Uint8Array;
};

/** Bytes under a MAC at most: no path of the protocol comes near it. */
export const MAX_MAC_INPUT = 4_096;
/** Of what stands beside the texts: direction, sequence, two lengths, the body's hash. */
const MAC_FRAME = 1 + 8 + 2 + 2 + 32;

/** Bytes under the HMAC-SHA256: direction | seq u64 | method | path | sha256(body), strings length-prefixed (u16). */
export function macInput(parameters: MacParameters): Uint8Array {
  const out = new Uint8Array(MAX_MAC_INPUT);
  return out.slice(0, writeMacInput(out, 0, parameters));
}

/**
 * The same into place, which has `MAX_MAC_INPUT` bytes from `offset` on. Gives where it ends. Throws a RangeError when
 * that is not enough.
 */
export function writeMacInput(
  out: Uint8Array,
  offset: number,
  { direction, seq, method, path, bodyHash }: MacParameters,
): number {
  // A character is three bytes of UTF-8 at most.
  if (3 * (method.length + path.length) + MAC_FRAME > MAX_MAC_INPUT)
    throw new RangeError(`The path has ${path.length} characters; it is too long for a MAC.`);
  out.fill(0, offset, offset + 9);
  out[offset] = direction;
  writeUint(out, offset + 1, seq, 8);
  let end = offset + 9;
  for (const text of [method, path]) {
    const written = writeText(out, end + 2, text);
    out[end] = written >> 8;
    out[end + 1] = written & 0xff;
    end += 2 + written;
  }
  out.set(bodyHash, end);
  return end + bodyHash.length;
}

/** Usage that ends a response, stated at once under the MAC; the signed group follows on the session. */
export type UsageStatement = {
  readonly attempt: Hex;
  readonly issuedAt: number;
  readonly units: Units;
  /** pUSD, decimal string. */
  readonly cost: string;
  readonly responseHash: Hex;
  /** EIP-712 digest of the receipt that will be in a group. */
  readonly receiptHash: Hex;
  /** What the inference server said of the counts of a stream, for the client: in no receipt, under the MAC only. */
  readonly details?: UsageDetails;
};

/** A statement with its MAC, over the JSON text of `statement` exactly as it stands in the frame. */
export type UsageFrame = { readonly statement: UsageStatement; readonly mac: Hex };

/** One line of the events stream. `mac` is over the JSON text of `event` with the line's seq. */
export type MacedLine = { readonly seq: number; readonly event: SessionEvent; readonly mac: Hex };
export type SessionEvent = { readonly type: "ready" } | { readonly type: "ping" } | GroupEvent | VoucherEvent;
/** The newest voucher that the provider holds, told once when a stream opens: a relay that lost its books goes on from it. */
export type VoucherEvent = { readonly type: "voucher" } & SessionAck;
export type GroupEvent = {
  readonly type: "group";
  readonly group: ReceiptGroup;
  readonly signature: Hex;
  readonly receipts: readonly UsageReceiptJson[];
};
/** A usage receipt in JSON: the same fields, `cost` as a decimal string. */
export type UsageReceiptJson = Omit<UsageReceipt, "cost"> & { readonly cost: string };

export const receiptToJson = (receipt: UsageReceipt): UsageReceiptJson => ({
  ...receipt,
  cost: receipt.cost.toString(),
});
export const receiptFromJson = (json: UsageReceiptJson): UsageReceipt => ({
  ...json,
  cost: BigInt(json.cost),
});

/**
 * A ProviderVoucher of the session's two parties: the relay owes the provider `cumulative` pUSD (decimal string) over all
 * time. `signature`: 65 bytes over its EIP-712 digest in Settlement's domain, by the relay's current signer.
 */
export type SessionAck = { readonly cumulative: string; readonly signature: Hex };
/** The relay got `frames` content frames of the attempt before it was cut; the provider signs usage for those at most. */
export type SessionAbort = { readonly attempt: Hex; readonly frames: number };
