import type { Hex } from "viem";
import { concat, hash, toBytes, toHex, uint, utf8 } from "./bytes.ts";
import { digestOf } from "./typed-data.ts";
import type { Units } from "./units.ts";

/** What a provider states about one request. `cost` in pUSD, `issuedAt` in protocol seconds. */
export type UsageReceipt = {
  readonly relayId: number;
  readonly providerId: number;
  readonly modelId: number;
  readonly priceVersion: number;
  readonly issuedAt: number;
  readonly units: Units;
  readonly cost: bigint;
  readonly requestHash: Hex;
  readonly responseHash: Hex;
};

/** What a relay states to a user about one billed request. Amounts in pUSD. */
export type BilledReceipt = {
  readonly usageReceiptHash: Hex;
  readonly relayId: number;
  readonly userId: number;
  readonly channelEpoch: number;
  readonly charge: bigint;
  readonly userCumulative: bigint;
};

/** EIP-712 digest of a usage receipt: the leaf of a group. */
export function usageDigest(separator: Uint8Array, receipt: UsageReceipt): Uint8Array {
  const { relayId, providerId, modelId, priceVersion, issuedAt, cost, requestHash, responseHash } = receipt;
  const [units0, units1, units2] = receipt.units;
  return digestOf(separator, "UsageReceipt", {
    relayId,
    providerId,
    modelId,
    priceVersion,
    issuedAt,
    units0,
    units1,
    units2,
    cost,
    requestHash,
    responseHash,
  });
}

export function billedDigest(separator: Uint8Array, receipt: BilledReceipt): Uint8Array {
  return digestOf(separator, "BilledReceipt", receipt);
}

type RequestBinding = {
  readonly userId: number;
  readonly channelEpoch: number;
  /** 16 random bytes, fresh for each attempt, given to the user and not to the provider. */
  readonly nonce: Hex;
};
export type RequestHashParameters = RequestBinding & {
  /** The client's body, byte for byte. */
  readonly body: Uint8Array;
};
export type BoundBodyHash = RequestBinding & {
  /** keccak of the client's body, byte for byte. */
  readonly bodyHash: Hex;
};

/** keccak(userId u32 | epoch u16 | nonce 16 | keccak(body)): binds a receipt to one request and hides the user. */
export function requestHash({ body, ...binding }: RequestHashParameters): Hex {
  return requestHashOf({ ...binding, bodyHash: toHex(hash(body)) });
}

/** The same hash for who keeps only keccak of the body: a bill names requests so. */
export function requestHashOf({ userId, channelEpoch, nonce, bodyHash }: BoundBodyHash): Hex {
  const nonceBytes = toBytes(nonce);
  const body = toBytes(bodyHash);
  if (nonceBytes.length !== 16) throw new RangeError(`The nonce has ${nonceBytes.length} bytes, not 16.`);
  if (body.length !== 32) throw new RangeError(`The body's hash has ${body.length} bytes, not 32.`);
  return toHex(hash(uint(userId, 4), uint(channelEpoch, 2), nonceBytes, body));
}

/** A tool call of a choice, arguments as the exact text that was sent. */
export type ToolCall = { readonly name: string; readonly arguments: string };
/** Content of one choice of a text response. */
export type TextChoice = { readonly text: string; readonly tools?: readonly ToolCall[] };

/**
 * Hash of the content of a text response, framing left out, so that a stream and a JSON body hash alike.
 * Per choice in index order keccak(text) and keccak(tool names and arguments in order); without tools the latter is
 * keccak of nothing, so that no two responses share an encoding.
 */
export function textResponseHash(choices: readonly TextChoice[]): Hex {
  const parts = choices.flatMap(({ text, tools = [] }) => [
    hash(utf8(text)),
    tools.length === 0
      ? nothing()
      : hash(concat(tools.flatMap((tool) => [utf8(tool.name), utf8(tool.arguments)]))),
  ]);
  return toHex(hash(...parts));
}

let hashOfNothing: Uint8Array | undefined;

function nothing(): Uint8Array {
  hashOfNothing ??= hash(new Uint8Array(0));
  return hashOfNothing;
}

/** Hash of a response of binary items in order: image or audio bytes. */
export function binaryResponseHash(items: readonly Uint8Array[]): Hex {
  return toHex(hash(concat(items.map((item) => hash(item)))));
}

/** Hash of embeddings: each vector as float32 little-endian. */
export function embeddingsResponseHash(vectors: readonly (readonly number[])[]): Hex {
  return binaryResponseHash(
    vectors.map((vector) => {
      const view = new DataView(new ArrayBuffer(4 * vector.length));
      vector.forEach((value, index) => view.setFloat32(4 * index, value, true));
      return new Uint8Array(view.buffer);
    }),
  );
}
