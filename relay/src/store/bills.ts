import {
  type BilledLine,
  type BillSummary,
  billedLeaves,
  type GenerationProof,
  MAX_BILLS,
  type SettlementBill,
  type SumStepJson,
  type UserLeafJson,
} from "@aimo/protocol/bill";
import { toHex } from "@aimo/protocol/bytes";
import {
  buildSumTree,
  leafNode,
  type SumStep,
  type SumTree,
  sumPath,
  type UserLeaf,
  userLeafNode,
} from "@aimo/protocol/tree";
import type { Hex } from "viem";
import type { SignedGroup } from "../core/signed-group.ts";
import type { Bills } from "../flow/ports.ts";
import type { Journal } from "./journal.ts";
import type { LevelLedger } from "./ledger.ts";
import { type BatchRecord, type BillRecord, receiptOf, type StoredGeneration, usageOf } from "./records.ts";
import { readGroup } from "./unposted.ts";

type Parts = {
  readonly journal: Journal;
  readonly ledger: LevelLedger;
  readonly relayId: number;
  readonly separator: Uint8Array;
};

/**
 * Bills from what is stored, and nothing else: a user's tree is built again each time, so whatever was changed on disk
 * shows in what is served, and in the end against the root on the chain. Of other users only their leaf is read: one
 * bill must not cost the reading of a whole batch.
 */
export function createBills(parts: Parts): Bills {
  const { journal, ledger, relayId } = parts;
  return {
    async list(userId, { after, limit = MAX_BILLS } = {}) {
      const data: BillSummary[] = [];
      const from = after === undefined ? undefined : billKey(userId, after);
      for await (const [, bill] of journal.entries<BillRecord>("bills", `${userId}!`, from)) {
        if (data.length >= limit) return { data, has_more: true };
        const { batchNo, transaction, sum, ids, postedAt } = bill;
        data.push({ batchNo, transaction, sum, count: ids.length, postedAt });
      }
      return { data, has_more: false };
    },
    async settlement(userId, batchNo) {
      const bill = await journal.get<BillRecord>("bills", billKey(userId, batchNo));
      const batch = await journal.get<BatchRecord>("batches", `${batchNo}`.padStart(20, "0"));
      if (!bill || !batch) return undefined;
      const own = await readUser(parts, bill.ids);
      if (!own) return undefined;
      const path = userPath(batch, bill.rowIndex);
      const ref = { relayId, batchNo: bill.batchNo, transaction: bill.transaction, rowIndex: bill.rowIndex };
      return {
        batch: ref,
        userLeaf: leafJson(own.leaf),
        userPath: path,
        lines: own.lines,
      } satisfies SettlementBill;
    },
    async proof(generationId) {
      const generation = await ledger.storedOf(generationId);
      if (generation?.batchNo === undefined) return undefined;
      const { userId, batchNo } = generation;
      const whole = await this.settlement(userId, batchNo);
      const bill = await journal.get<BillRecord>("bills", billKey(userId, batchNo));
      const leafIndex = bill?.ids.indexOf(generationId) ?? -1;
      const line = whole?.lines[leafIndex];
      const own = bill && (await readUser(parts, bill.ids));
      if (!whole || !line || !own) return undefined;
      const { batch, userLeaf, userPath: path } = whole;
      return {
        batch,
        line,
        leafIndex,
        leafPath: pathJson(sumPath(own.tree, leafIndex)),
        userLeaf,
        userPath: path,
      } satisfies GenerationProof;
    },
  };
}

const billKey = (userId: number, batchNo: bigint) => `${userId}!${`${batchNo}`.padStart(20, "0")}`;

type User = { readonly leaf: UserLeaf; readonly tree: SumTree; readonly lines: readonly BilledLine[] };

/** A user's receipts of a batch as they are stored, with the tree over them. Undefined when none is left. */
async function readUser(parts: Parts, ids: readonly string[]): Promise<User | undefined> {
  const { ledger, separator, relayId } = parts;
  const generations = (await Promise.all(ids.map((id) => ledger.storedOf(id)))).flatMap((one) =>
    one?.billed ? [one] : [],
  );
  const groups = await readGroups(
    parts,
    generations.flatMap(({ billed }) => billed?.root ?? []),
  );
  const lines = generations.flatMap((generation) => lineOf(generation, { relayId, groups }));
  const [first] = generations;
  const [line] = lines;
  if (!first || !line) return undefined;
  const tree = buildSumTree(billedLeaves(lines, first.userId, separator).map(leafNode));
  const cumStart = BigInt(line.userCumulative) - BigInt(line.charge);
  const leaf = {
    userId: first.userId,
    epoch: first.epoch,
    cumStart,
    sum: tree.sum,
    count: lines.length,
    subRoot: tree.root,
  };
  return { leaf, tree, lines };
}

type Groups = ReadonlyMap<Hex, SignedGroup>;

async function readGroups({ journal }: Parts, roots: readonly Hex[]): Promise<Groups> {
  const groups = new Map<Hex, SignedGroup>();
  for (const root of new Set(roots)) {
    const signed = await readGroup(journal, root);
    if (signed) groups.set(root, signed);
  }
  return groups;
}

type LineParts = { readonly relayId: number; readonly groups: Groups };

function lineOf(generation: StoredGeneration, { relayId, groups }: LineParts): BilledLine[] {
  const { id, billed, userCumulative, bodyHash } = generation;
  const usage = usageOf(generation);
  const receipt = receiptOf(generation, relayId);
  const evidence = billed && groups.get(billed.root)?.evidenceOf(billed.index);
  if (!usage || !receipt || evidence === undefined || userCumulative === undefined) return [];
  return [
    {
      id,
      receipt,
      evidence: toHex(evidence),
      charge: `${usage.charge}`,
      userCumulative: `${userCumulative}`,
      nonce: usage.nonce,
      bodyHash,
    },
  ];
}

/** The way from a user's leaf to the batch's root, over the other users' leaves. */
function userPath({ users }: BatchRecord, rowIndex: number): SumStepJson[] {
  const leaves = users.map(({ userId, epoch, cumStart, sum, ids, subRoot }) => {
    const amounts = { cumStart: BigInt(cumStart), sum: BigInt(sum) };
    return userLeafNode({ userId, epoch, ...amounts, count: ids.length, subRoot });
  });
  return pathJson(sumPath(buildSumTree(leaves), rowIndex));
}

const pathJson = (path: readonly SumStep[]): SumStepJson[] =>
  path.map(({ hash, sum }) => ({ hash, sum: sum.toString() }));

const leafJson = (leaf: UserLeaf): UserLeafJson => ({
  ...leaf,
  cumStart: `${leaf.cumStart}`,
  sum: `${leaf.sum}`,
});
