import { concat, readUint, toBytes, toHex, uint } from "@aimo/protocol/bytes";
import { buildGroup, encodeEvidence, groupDigest } from "@aimo/protocol/groups";
import { domainSeparator } from "@aimo/protocol/typed-data";
import { type Hex, keccak256 } from "viem";
import { bytes32, type Case, providerAccount, VECTOR_DOMAIN } from "./case.ts";

const COUNTS = [1, 2, 3, 4, 5, 6, 7, 8, 9, 255, 256];
const ORDER = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;
const separator = domainSeparator(VECTOR_DOMAIN);

/** Groups of signed receipts and the evidence of single receipts in them; `valid` is false where it must be refused. */
export async function groupCases(): Promise<Case[]> {
  const cases: Case[] = [];
  for (const count of COUNTS) {
    const digests = Array.from({ length: count }, (_, index) => bytes32(`receipt-${count}-${index}`));
    const indices = count < 10 ? digests.keys() : [0, 1, 127, 128, count - 1];
    for (const index of indices) cases.push(await groupCase(digests, index));
  }
  return [...cases, ...falseCases(cases)];
}

async function groupCase(digests: readonly Hex[], index: number): Promise<Case> {
  const { root, paths } = buildGroup(digests.map(toBytes));
  const group = { relayId: 3, providerId: 0xfffffffe, count: digests.length, closedAt: 2 ** 40 - 1, root };
  const digest = toHex(groupDigest(separator, group));
  const signature = await providerAccount.sign({ hash: digest });
  const path = paths[index] ?? [];
  const evidence = toHex(encodeEvidence({ group, index, path, signature }));
  return {
    name: `receipt ${index} of ${digests.length}`,
    valid: true,
    separator: toHex(separator),
    relayId: String(group.relayId),
    providerId: String(group.providerId),
    count: String(group.count),
    closedAt: String(group.closedAt),
    ...(index === 0 ? { digests } : {}),
    digest: digests[index] ?? "0x",
    index: String(index),
    path,
    root,
    groupDigest: digest,
    signature,
    signer: providerAccount.address,
    evidence,
    evidenceHash: keccak256(evidence),
  };
}

/** With the malleable twin of the signature that it ends with: n - s, and the other parity. */
function mirrored(evidence: Uint8Array): Uint8Array {
  const s = evidence.length - 33;
  const twin = ORDER - readUint(evidence, s, 32);
  return concat([evidence.slice(0, s), uint(twin, 32), uint(evidence.at(-1) === 27 ? 28 : 27, 1)]);
}

/** The third of five, with one thing wrong at a time. Each must fail to parse, to reach the root, or to recover the signer. */
function falseCases(cases: readonly Case[]): Case[] {
  const good = cases.find((entry) => entry["name"] === "receipt 2 of 5");
  if (!good) throw new Error("The case to falsify is missing.");
  const bytes = toBytes(String(good["evidence"]) as Hex);
  const flip = (offset: number) => bytes.map((byte, at) => (at === offset ? byte ^ 1 : byte));
  const put = (offset: number, value: number) => bytes.map((byte, at) => (at === offset ? value : byte));
  const faults: [string, Uint8Array][] = [
    ["another relay", flip(3)],
    ["another provider", flip(7)],
    ["a count of the same depth", put(11, 6)],
    ["a count of another depth", put(11, 4)],
    ["a count of zero", put(11, 0)],
    ["a count above 256", put(10, 2)],
    ["another time", flip(16)],
    ["another root", flip(20)],
    ["another index", put(49, 3)],
    ["an index outside the group", put(49, 5)],
    ["another sibling", flip(55)],
    ["another signature", flip(50 + 96 + 10)],
    ["the same signature mirrored", mirrored(bytes)],
    ["a byte too few", bytes.slice(0, -1)],
    ["a byte too many", new Uint8Array([...bytes, 0])],
    ["nothing", new Uint8Array()],
  ];
  return faults.map(([name, evidence]) => ({
    name,
    valid: false,
    separator: good["separator"] ?? "",
    digest: good["digest"] ?? "",
    signer: providerAccount.address,
    evidence: toHex(evidence),
  }));
}
