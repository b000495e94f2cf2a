import type { Hex } from "viem";
import { depthOf, hash, isWord, readUint, toBytes, toHex, writeUint } from "./bytes.ts";
import { digestOf } from "./typed-data.ts";

/** Receipts signed together by a provider. `root` is over their digests in the provider's order. */
export type ReceiptGroup = {
  readonly relayId: number;
  readonly providerId: number;
  readonly count: number;
  /** Protocol seconds. */
  readonly closedAt: number;
  readonly root: Hex;
};

/** Most receipts in a group. Source: protocol section 5. */
export const MAX_GROUP_SIZE = 256;
/** A receipt waits at most this long for its group to close. */
export const GROUP_INTERVAL_MS = 100;
/** A group that has not come by then is unbilled for good. */
export const GROUP_DEADLINE_MS = 10_000;
/** `issuedAt <= closedAt <= issuedAt + this`, seconds. */
export const MAX_GROUP_AGE_SECONDS = 3_600;

const PADDING = hash(new Uint8Array([0x03]));
const NODE = new Uint8Array([0x04]);

function levelsOf(digests: readonly Uint8Array[]): Uint8Array[][] {
  const depth = depthOf(digests.length);
  let level = [...digests];
  while (level.length < 2 ** depth) level.push(PADDING);
  const levels = [level];
  for (let height = 0; height < depth; height++) {
    const above: Uint8Array[] = [];
    for (let i = 0; i < level.length; i += 2) above.push(hash(NODE, at(level, i), at(level, i + 1)));
    level = above;
    levels.push(level);
  }
  return levels;
}

function at(list: readonly Uint8Array[], index: number): Uint8Array {
  const found = list[index];
  if (!found) throw new RangeError(`No element ${index} of ${list.length}.`);
  return found;
}

export type GroupTree = {
  readonly root: Hex;
  /** Of every digest; made when they are asked for. */
  readonly paths: readonly (readonly Hex[])[];
};

/** Root and the path of every digest. Throws a RangeError on an empty or oversized group. */
export function buildGroup(digests: readonly Uint8Array[]): GroupTree {
  if (digests.length === 0 || digests.length > MAX_GROUP_SIZE)
    throw new RangeError(`A group has 1 to ${MAX_GROUP_SIZE} receipts, not ${digests.length}.`);
  const levels = levelsOf(digests);
  return {
    root: toHex(at(levels.at(-1) ?? [], 0)),
    get paths() {
      // A node is in the paths of all below its sibling.
      const siblings = levels.slice(0, -1).map((level) => level.map(toHex));
      return digests.map((_, index) => siblings.map((level, height) => level[(index >> height) ^ 1] ?? "0x"));
    },
  };
}

export type Membership = { readonly index: number; readonly count: number; readonly path: readonly Hex[] };

/** Root that a digest reaches over its path, or undefined when index, count and path do not fit together. */
export function groupRootFrom(digest: Uint8Array, { index, count, path }: Membership): Hex | undefined {
  if (!Number.isInteger(index) || !Number.isInteger(count)) return undefined;
  if (index < 0 || index >= count || count > MAX_GROUP_SIZE) return undefined;
  if (path.length !== depthOf(count) || !path.every(isWord)) return undefined;
  let node = digest;
  path.forEach((sibling, height) => {
    const other = toBytes(sibling);
    node = (index >> height) & 1 ? hash(NODE, other, node) : hash(NODE, node, other);
  });
  return toHex(node);
}

export function groupDigest(separator: Uint8Array, group: ReceiptGroup): Uint8Array {
  return digestOf(separator, "ReceiptGroup", group);
}

/** Proof that a provider signed one receipt: its group, its place in it, and the signature. */
export type Evidence = {
  readonly group: ReceiptGroup;
  readonly index: number;
  readonly path: readonly Hex[];
  /** 65 bytes: r, s, v. */
  readonly signature: Hex;
};

const EVIDENCE_HEAD = 50;

/** relayId u32 | providerId u32 | count u32 | closedAt u40 | root b32 | index u8 | path (32 B each) | signature 65 */
export function encodeEvidence({ group, index, path, signature }: Evidence): Uint8Array {
  const out = new Uint8Array(EVIDENCE_HEAD + 32 * path.length + (signature.length - 2) / 2);
  writeUint(out, 0, group.relayId, 4);
  writeUint(out, 4, group.providerId, 4);
  writeUint(out, 8, group.count, 4);
  writeUint(out, 12, group.closedAt, 5);
  out.set(toBytes(group.root), 17);
  writeUint(out, 49, index, 1);
  for (const [height, sibling] of path.entries()) out.set(toBytes(sibling), EVIDENCE_HEAD + 32 * height);
  out.set(toBytes(signature), EVIDENCE_HEAD + 32 * path.length);
  return out;
}

/** Inverse of `encodeEvidence`. Throws a RangeError when the length does not fit the count, or the count no group. */
export function decodeEvidence(data: Uint8Array): Evidence {
  const count = Number(readUint(data, 8, 4));
  if (count < 1 || count > MAX_GROUP_SIZE) throw new RangeError(`A group of ${count} receipts is none.`);
  const depth = depthOf(count);
  if (data.length !== EVIDENCE_HEAD + 32 * depth + 65)
    throw new RangeError(`Evidence of ${data.length} bytes does not fit a group of ${count}.`);
  const word = (offset: number): Hex => toHex(data.slice(offset, offset + 32));
  return {
    group: {
      relayId: Number(readUint(data, 0, 4)),
      providerId: Number(readUint(data, 4, 4)),
      count,
      closedAt: Number(readUint(data, 12, 5)),
      root: word(17),
    },
    index: Number(readUint(data, 49, 1)),
    path: Array.from({ length: depth }, (_, height) => word(EVIDENCE_HEAD + 32 * height)),
    signature: toHex(data.slice(EVIDENCE_HEAD + 32 * depth)),
  };
}
