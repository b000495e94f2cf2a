import type { BilledLine, SettlementBill } from "@aimo/protocol/bill";
import { depthOf, toBytes, toHex, utf8 } from "@aimo/protocol/bytes";
import { buildGroup, encodeEvidence, groupDigest } from "@aimo/protocol/groups";
import { requestHash, type UsageReceipt, usageDigest } from "@aimo/protocol/receipts";
import { receiptToJson } from "@aimo/protocol/session";
import {
  buildSumTree,
  leafNode,
  type SumStep,
  sumPath,
  type UserLeaf,
  userLeafNode,
} from "@aimo/protocol/tree";
import { domainSeparator } from "@aimo/protocol/typed-data";
import { chargeBound, costOf, type Prices } from "@aimo/protocol/units";
import { type Hex, keccak256, stringToHex } from "viem";
import { type PrivateKeyAccount, privateKeyToAccount } from "viem/accounts";

const DOMAIN = {
  chainId: 31337,
  verifyingContract: "0x5e771e5e771e5e771e5e771e5e771e5e771e5e77",
} as const;
export const RELAY_ID = 3;
export const FEE_BPS = 500;
export const PRICES: Prices = [100n, 10n, 400n];
export const NOW = 1_800_000_000;
export const providerKey = (name: string): PrivateKeyAccount =>
  privateKeyToAccount(keccak256(stringToHex(name)));
export const PROVIDER = providerKey("provider 2");

export type Ids = { readonly relayId: number; readonly providerId: number; readonly modelId: number };

/** A billed request as a relay's store has it. */
export type Entry = { readonly line: BilledLine; readonly body: string };

export type MakeParameters = {
  readonly name: string;
  readonly userId: number;
  readonly epoch: number;
  readonly after: bigint;
  /** Completion tokens. */
  readonly tokens: number;
  readonly closedAt?: number;
  readonly change?: Partial<UsageReceipt>;
  readonly signer?: PrivateKeyAccount;
  /** Charge above the bound. */
  readonly more?: bigint;
  readonly separator?: Uint8Array;
  readonly ids?: Partial<Ids>;
};

export const separatorOf = () => domainSeparator(DOMAIN);

/** One honest receipt, signed alone by its provider, unless told otherwise. */
export async function makeEntry(parameters: MakeParameters): Promise<Entry> {
  const { name, userId, epoch, tokens, signer = PROVIDER, separator = separatorOf() } = parameters;
  const { relayId = RELAY_ID, providerId = 2, modelId = 5 } = parameters.ids ?? {};
  const body = `{"name":"${name}"}`;
  const nonce = `0x${keccak256(stringToHex(`nonce ${name}`)).slice(2, 34)}` as Hex;
  const closedAt = parameters.closedAt ?? NOW - 1;
  const units = [12, 3, tokens] as const;
  const receipt: UsageReceipt = {
    relayId,
    providerId,
    modelId,
    priceVersion: 1,
    issuedAt: closedAt - 1,
    units,
    cost: costOf(units, PRICES),
    requestHash: requestHash({ userId, channelEpoch: epoch, nonce, body: utf8(body) }),
    responseHash: keccak256(stringToHex(`response ${name}`)),
    ...parameters.change,
  };
  const digest = usageDigest(separator, receipt);
  // A group of two: its paths are not empty, as in a busy network.
  const { root, paths } = buildGroup([digest, toBytes(keccak256(stringToHex(`neighbour of ${name}`)))]);
  const group = { relayId: receipt.relayId, providerId: receipt.providerId, count: 2, closedAt, root };
  const signature = await signer.sign({ hash: toHex(groupDigest(separator, group)) });
  const charge = chargeBound(receipt.cost, FEE_BPS) + (parameters.more ?? 0n);
  return {
    body,
    line: {
      id: `gen-${name}`,
      receipt: receiptToJson(receipt),
      evidence: toHex(encodeEvidence({ group, index: 0, path: paths[0] ?? [], signature })),
      charge: String(charge),
      userCumulative: String(parameters.after + charge),
      nonce,
      bodyHash: keccak256(utf8(body)),
    },
  };
}

/** A run of requests of one user, one after the other. */
export async function makeEntries(
  names: readonly string[],
  base: Omit<MakeParameters, "name" | "tokens">,
): Promise<Entry[]> {
  const entries: Entry[] = [];
  let after = base.after;
  for (const [index, name] of names.entries()) {
    const entry = await makeEntry({ ...base, name, tokens: 10 * (index + 1), after });
    entries.push(entry);
    after = BigInt(entry.line.userCumulative);
  }
  return entries;
}

export type Account = {
  readonly userId: number;
  readonly epoch: number;
  readonly cumStart: bigint;
  readonly lines: readonly BilledLine[];
};

/** What is posted for the accounts (ascending by user), and each one's bill. */
export function makeBatch(batchNo: bigint, accounts: readonly Account[], separator = separatorOf()) {
  const leaves = accounts.map((account) => userLeafOf(account, separator));
  const tree = buildSumTree(leaves.map(userLeafNode));
  const header = {
    batchNo,
    nA: accounts.length,
    nB: 0,
    nC: 0,
    depth: depthOf(accounts.length),
    receiptsSum: tree.sum,
    receiptsRoot: tree.root,
  };
  const transaction: Hex = keccak256(stringToHex(`transaction of ${batchNo}`));
  const bills = accounts.map((account, rowIndex): SettlementBill => {
    const leaf = leaves[rowIndex];
    if (!leaf) throw new RangeError(`No leaf ${rowIndex}.`);
    return {
      batch: { relayId: RELAY_ID, batchNo: String(batchNo), transaction, rowIndex },
      userLeaf: { ...leaf, cumStart: String(leaf.cumStart), sum: String(leaf.sum) },
      userPath: stepsJson(sumPath(tree, rowIndex)),
      lines: account.lines,
    };
  });
  const metered = leaves.map(({ userId, cumStart, sum }) => ({ userId, cumEnd: cumStart + sum, delta: sum }));
  return { header, bills, metered, transaction };
}

export const stepsJson = (steps: readonly SumStep[]) =>
  steps.map(({ hash, sum }) => ({ hash, sum: String(sum) }));

export function leafNodes({ lines, userId }: Pick<Account, "lines" | "userId">, separator = separatorOf()) {
  return lines.map((line) =>
    leafNode({
      usageDigest: toHex(usageDigest(separator, { ...line.receipt, cost: BigInt(line.receipt.cost) })),
      evidence: toBytes(line.evidence),
      userId,
      charge: BigInt(line.charge),
      userCumulative: BigInt(line.userCumulative),
    }),
  );
}

function userLeafOf(account: Account, separator: Uint8Array): UserLeaf {
  const { userId, epoch, cumStart, lines } = account;
  const { root, sum } = buildSumTree(leafNodes(account, separator));
  return { userId, epoch, cumStart, sum, count: lines.length, subRoot: root };
}
