import {
  type Address,
  encodeAbiParameters,
  type Hex,
  hashTypedData,
  keccak256,
  toHex as viemToHex,
} from "viem";
import { hash, toBytes, utf8, writeHex, writeUint } from "./bytes.ts";

/** EIP-712 messages of the protocol. Field order and widths are normative. */
export const TYPES = {
  SpendAuthorization: [
    { name: "user", type: "address" },
    { name: "relayId", type: "uint32" },
    { name: "sessionKey", type: "address" },
    { name: "amount", type: "uint96" },
    { name: "expiry", type: "uint40" },
    { name: "mode", type: "uint8" },
    { name: "nonce", type: "uint256" },
    { name: "deadline", type: "uint40" },
  ],
  SpendVoucher: [
    { name: "relayId", type: "uint32" },
    { name: "userId", type: "uint32" },
    { name: "channelEpoch", type: "uint16" },
    { name: "cumulative", type: "uint80" },
  ],
  UsageReceipt: [
    { name: "relayId", type: "uint32" },
    { name: "providerId", type: "uint32" },
    { name: "modelId", type: "uint32" },
    { name: "priceVersion", type: "uint32" },
    { name: "issuedAt", type: "uint40" },
    { name: "units0", type: "uint32" },
    { name: "units1", type: "uint32" },
    { name: "units2", type: "uint32" },
    { name: "cost", type: "uint64" },
    { name: "requestHash", type: "bytes32" },
    { name: "responseHash", type: "bytes32" },
  ],
  ReceiptGroup: [
    { name: "relayId", type: "uint32" },
    { name: "providerId", type: "uint32" },
    { name: "count", type: "uint32" },
    { name: "closedAt", type: "uint40" },
    { name: "root", type: "bytes32" },
  ],
  BilledReceipt: [
    { name: "usageReceiptHash", type: "bytes32" },
    { name: "relayId", type: "uint32" },
    { name: "userId", type: "uint32" },
    { name: "channelEpoch", type: "uint16" },
    { name: "charge", type: "uint64" },
    { name: "userCumulative", type: "uint80" },
  ],
  ProviderVoucher: [
    { name: "relayId", type: "uint32" },
    { name: "providerId", type: "uint32" },
    { name: "cumulative", type: "uint80" },
  ],
  Withdraw: [
    { name: "userId", type: "uint32" },
    { name: "to", type: "address" },
    { name: "amount", type: "uint96" },
    { name: "nonce", type: "uint256" },
    { name: "deadline", type: "uint40" },
  ],
  SignerProof: [
    { name: "owner", type: "address" },
    { name: "role", type: "uint8" },
    { name: "deadline", type: "uint40" },
  ],
} as const;

export type MessageName = keyof typeof TYPES;

/** Which deployment a signature is for. `verifyingContract`: Settlement, CreditVault (Withdraw) or Registry (SignerProof). */
export type DomainParameters = { readonly chainId: number; readonly verifyingContract: Address };

export function domainOf({ chainId, verifyingContract }: DomainParameters) {
  return { name: "AiMo", version: "1", chainId, verifyingContract } as const;
}

const DOMAIN_TYPE = "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)";

/** Separator of the domain, 32 bytes: computed once per deployment and passed to the digest functions. */
export function domainSeparator({ chainId, verifyingContract }: DomainParameters): Uint8Array {
  const text = (value: string) => keccak256(viemToHex(value));
  return toBytes(
    keccak256(
      encodeAbiParameters(
        [
          { type: "bytes32" },
          { type: "bytes32" },
          { type: "bytes32" },
          { type: "uint256" },
          { type: "address" },
        ],
        [text(DOMAIN_TYPE), text("AiMo"), text("1"), BigInt(chainId), verifyingContract],
      ),
    ),
  );
}

const typeHashes = new Map<MessageName, Uint8Array>();

function typeHashOf(name: MessageName): Uint8Array {
  const known = typeHashes.get(name);
  if (known) return known;
  const fields = TYPES[name].map((field) => `${field.type} ${field.name}`).join(",");
  const made = hash(utf8(`${name}(${fields})`));
  typeHashes.set(name, made);
  return made;
}

type FieldValue = Hex | bigint | number;

const WORD = 32;
const WORDS = new Uint8Array(WORD * (1 + Math.max(...Object.values(TYPES).map(({ length }) => length))));
/** 0x1901, the separator, the message's hash. */
const SIGNED = new Uint8Array(2 + 2 * WORD);
SIGNED.set([0x19, 0x01]);
/** Bytes of each field's type; hex for "bytes32" and "address", otherwise a number. */
const FIELDS = new Map(
  Object.entries(TYPES).map(([name, fields]) => [
    name,
    fields.map(({ name, type }) => {
      const isHex = type === "bytes32" || type === "address";
      const length = type === "bytes32" ? 32 : type === "address" ? 20 : Number(type.slice(4)) / 8;
      return { name, isHex, length };
    }),
  ]),
);

/**
 * Full EIP-712 digest (0x1901) of a message, 32 bytes. Every field of the protocol is one word, which makes this
 * several times cheaper than a general encoder; `test/protocol/typed-data.test.ts` holds it to viem's.
 */
export function digestOf(
  separator: Uint8Array,
  name: MessageName,
  message: Readonly<Record<string, FieldValue>>,
): Uint8Array {
  const fields = FIELDS.get(name) ?? [];
  // One for all messages: nothing of this awaits, and no hash keeps what it was given.
  const words = WORDS.subarray(0, WORD * (fields.length + 1)).fill(0);
  words.set(typeHashOf(name));
  let end = WORD;
  for (const field of fields) {
    const value = message[field.name];
    if (value === undefined) throw new TypeError(`${name}.${field.name} is missing.`);
    end += WORD;
    if (!field.isHex) writeUint(words, end - field.length, value as bigint | number, field.length);
    else writeFixed(words, end - field.length, value as Hex, field);
  }
  SIGNED.set(separator, 2);
  SIGNED.set(hash(words), 2 + WORD);
  return hash(SIGNED);
}

type FixedField = { readonly name: string; readonly length: number };

/** A word of another length would shift those after it and make two messages alike. */
function writeFixed(out: Uint8Array, offset: number, value: Hex, { name, length }: FixedField): void {
  if (value.length !== 2 + 2 * length || !writeHex(out, offset, value))
    throw new RangeError(`${name} is not ${length} bytes of hex.`);
}

/** The same digest by viem: for messages off the hot path, and as the reference in tests. */
export function digestByViem(
  domain: DomainParameters,
  name: MessageName,
  message: Readonly<Record<string, FieldValue>>,
): Hex {
  return hashTypedData({ domain: domainOf(domain), types: TYPES, primaryType: name, message } as never);
}
