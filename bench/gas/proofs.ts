import { sign } from "@aimo/node/fast-crypto";
import { fraudProofsAbi } from "@aimo/protocol/abi/fraud-proofs";
import { type Batch, skippedHash } from "@aimo/protocol/batches";
import { hash, toHex, uint } from "@aimo/protocol/bytes";
import { buildGroup, encodeEvidence, groupDigest } from "@aimo/protocol/groups";
import {
  answerArguments,
  badReceiptArguments,
  type Demand,
  demandArguments,
  type Place,
  proveUser,
  type Shown,
} from "@aimo/protocol/proofs";
import { requestHashOf, type UsageReceipt, usageDigest } from "@aimo/protocol/receipts";
import { type DebitRow, rowsHash } from "@aimo/protocol/rows";
import { buildSumTree, leafNode, type ReceiptLeaf, type UserLeaf, userLeafNode } from "@aimo/protocol/tree";
import { chargeBound, costOf, type Units } from "@aimo/protocol/units";
import { type Address, decodeEventLog, type Hex } from "viem";
import type { Figures, Settled, Size } from "./batches.ts";
import { FEE_BPS, type Person, PRICES, type World } from "./world.ts";

/** Receipts of the user whose bill is looked at: as many as a group can have, so that no path is longer. */
const RECEIPTS = 256;
const FALSE = 0;
const UNITS: Units = [1_203, 0, 417];
/** T_RESP of local deployments and a second, seconds. */
const TILL_RESOLVED = 6;

type Bill = {
  readonly leaves: readonly ReceiptLeaf[];
  readonly shown: readonly Shown[];
  readonly user: UserLeaf;
};

/** Proofs and demands against a batch that charges one user 1.50 USD in 256 receipts, the first of them too dear. */
export async function measureProofs(
  world: World,
  {
    size,
    settled,
    challenger,
  }: { readonly size: Size; readonly settled: Settled; readonly challenger: Person },
): Promise<Figures> {
  const { chain, at } = world;
  world.progress("fraud proofs");
  chain.skip(TILL_RESOLVED);
  const place = await postFalse(world, size, settled);
  const { posted, row, billed, shown } = place;
  const call = async (functionName: string, args: readonly unknown[]) =>
    chain.send(challenger.address, { address: at.fraudProofs, abi: fraudProofsAbi, functionName, args });
  const demand = async (index: number) => {
    const receipt = await call("demand", demandArguments(posted, row, index));
    return { gas: receipt.gasUsed, open: demandOf(receipt.logs, at.fraudProofs) };
  };
  const [first, honest] = [shownAt(shown, FALSE), shownAt(shown, 1)];
  const proof = await call("proveBadReceipt", badReceiptArguments({ ...place, index: FALSE }, first));
  const answered = await demand(1);
  const answer = await call("answer", answerArguments(answered.open, billed, honest));
  const ignored = await demand(2);
  chain.skip(TILL_RESOLVED);
  const resolve = await call("resolve", [ignored.open]);
  return {
    proveBadReceipt: Number(proof.gasUsed),
    proveBadReceiptDepth: posted.batch.header.depth,
    demand: Number(answered.gas),
    answer: Number(answer.gasUsed),
    resolve: Number(resolve.gasUsed),
  };
}

function shownAt(shown: readonly Shown[], index: number): Shown {
  const found = shown[index];
  if (!found) throw new RangeError(`There is no receipt ${index}.`);
  return found;
}

function demandOf(
  logs: readonly { address: Address; data: Hex; topics: [] | [Hex, ...Hex[]] }[],
  from: Address,
): Demand {
  for (const { address, data, topics } of logs) {
    if (address.toLowerCase() !== from.toLowerCase()) continue;
    const event = decodeEventLog({ abi: fraudProofsAbi, data, topics });
    if (event.eventName === "Demanded") return event.args.demand;
  }
  throw new Error("No demand was made.");
}

async function postFalse(world: World, size: Size, { users, providers, posters }: Settled) {
  const list = users.slice(0, size.metered);
  let bills: readonly Bill[] = [];
  let rows: readonly DebitRow[] = [];
  const posted = await posters.metered({
    ...{ users: list, providers },
    root: (debits) => {
      rows = debits;
      bills = debits.map((debit, index) => billOf(world, debit, index === 0 ? RECEIPTS : 1));
      return buildSumTree(bills.map(({ user }) => userLeafNode(user))).root;
    },
  });
  const batch: Batch = {
    ...{
      header: posted.header,
      rowsHash: rowsHash(posted.data, posted.header),
      skippedHash: skippedHash([]),
    },
    ...{ postedAt: world.chain.now(), debitA: rows.reduce((sum, { delta }) => sum + delta, 0n) },
  };
  const { leaves, shown } = bills[0] ?? { leaves: [], shown: [] };
  const user = proveUser(
    bills.map((bill) => bill.user),
    0,
  );
  const place: Omit<Place, "index"> = {
    posted: { relayId: world.metered.id, batch, data: posted.data, skipped: [] },
    ...{ row: 0, billed: { user, leaves } },
  };
  return { ...place, shown };
}

/** The receipts under a row: all but the first are honest, and the first is charged what they leave of the row. */
function billOf(world: World, { userId, cumEnd, delta }: DebitRow, count: number): Bill {
  const { separator, metered, provider, modelId, chain } = world;
  const [relayId, providerId, issuedAt] = [metered.id, provider.id, chain.now() - 1];
  const cost = costOf(UNITS, PRICES);
  const requests = Array.from({ length: count }, (_, n) => ({
    ...{ userId, channelEpoch: 1 },
    nonce: toHex(hash(uint(userId, 4), uint(n, 4)).slice(0, 16)),
    bodyHash: toHex(hash(uint(n, 4))),
  }));
  const receipts = requests.map((request): UsageReceipt => {
    const base = { relayId, providerId, modelId, priceVersion: 1, issuedAt, units: UNITS, cost };
    return { ...base, requestHash: requestHashOf(request), responseHash: toHex(hash(uint(userId, 4))) };
  });
  const digests = receipts.map((receipt) => usageDigest(separator, receipt));
  const { root, paths } = buildGroup(digests);
  const group = { relayId, providerId, count, closedAt: issuedAt, root };
  const signature = sign(groupDigest(separator, group), provider.signer.key);
  const honest = chargeBound(cost, FEE_BPS);
  let userCumulative = cumEnd - delta;
  const leaves = digests.map((digest, index): ReceiptLeaf => {
    const charge = index === FALSE ? delta - honest * BigInt(count - 1) : honest;
    userCumulative += charge;
    const evidence = encodeEvidence({ group, index, path: paths[index] ?? [], signature });
    return { usageDigest: toHex(digest), evidence, userId, charge, userCumulative };
  });
  const { root: subRoot } = buildSumTree(leaves.map(leafNode));
  const user = { userId, epoch: 1, cumStart: cumEnd - delta, sum: delta, count, subRoot };
  const shown = receipts.map((receipt, n) => {
    const [leaf, request] = [leaves[n], requests[n]];
    if (!leaf || !request) throw new RangeError(`There is no receipt ${n}.`);
    return { receipt, evidence: leaf.evidence, request };
  });
  return { leaves, shown, user };
}
