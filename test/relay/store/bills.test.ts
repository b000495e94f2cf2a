import { initFastCrypto, recoverAddress } from "@aimo/node/fast-crypto";
import type { GenerationProof, SettlementBill } from "@aimo/protocol/bill";
import { toBytes, toHex } from "@aimo/protocol/bytes";
import { decodeEvidence, groupDigest, groupRootFrom } from "@aimo/protocol/groups";
import { requestHashOf, usageDigest } from "@aimo/protocol/receipts";
import { receiptFromJson } from "@aimo/protocol/session";
import { buildSumTree, finish, leafNode, openSum, userLeafNode } from "@aimo/protocol/tree";
import { expect } from "chai";
import type { Hex } from "viem";
import { batchSteps } from "../../../relay/src/core/batch.ts";
import { cutCredits } from "../../../relay/src/core/credits.ts";
import {
  billAll,
  channelOf,
  type Disk,
  DRIVERS,
  newClock,
  openWorld,
  PROVIDERS,
  SEPARATOR,
  serveOne,
  type World,
} from "./books-world.ts";

const USERS = [1, 2, 3];
/** As it stands on the disk; only what the tests touch. */
type Stored = { outcome: { charge: unknown; statement: { units: unknown } }; ids: string[] };
type Line = SettlementBill["lines"][number];

/** What a user checks of one line: who signed it, for which request, and what it may cost. */
function nodeOf(line: Line, { userId, epoch }: { userId: number; epoch: number }) {
  const receipt = receiptFromJson(line.receipt);
  const digest = usageDigest(SEPARATOR, receipt);
  const { group, signature, ...membership } = decodeEvidence(toBytes(line.evidence));
  const signer = PROVIDERS.find(({ id }) => id === receipt.providerId)?.signer;
  const { nonce, bodyHash } = line;
  const isTrue =
    groupRootFrom(digest, { ...membership, count: group.count }) === group.root &&
    recoverAddress(groupDigest(SEPARATOR, group), signature) === signer &&
    requestHashOf({ userId, channelEpoch: epoch, nonce, bodyHash }) === receipt.requestHash;
  const node = leafNode({
    ...{ usageDigest: toHex(digest), evidence: toBytes(line.evidence), userId },
    ...{ charge: BigInt(line.charge), userCumulative: BigInt(line.userCumulative) },
  });
  return { node, isTrue };
}

const leafOf = ({ userLeaf }: SettlementBill | GenerationProof) => ({
  ...userLeaf,
  cumStart: BigInt(userLeaf.cumStart),
  sum: BigInt(userLeaf.sum),
});
const steps = (path: SettlementBill["userPath"]) => path.map(({ hash, sum }) => ({ hash, sum: BigInt(sum) }));

function rootOf({ userPath, batch, ...rest }: SettlementBill | GenerationProof): Hex | undefined {
  const leaf = leafOf({ userPath, batch, ...rest } as SettlementBill);
  return openSum(userLeafNode(leaf), batch.rowIndex, userPath.length, steps(userPath))?.root;
}

function isBillTrue(bill: SettlementBill, root: Hex): boolean {
  const lines = bill.lines.map((line) => nodeOf(line, bill.userLeaf));
  const tree = buildSumTree(lines.map(({ node }) => node));
  const { subRoot, sum, count } = leafOf(bill);
  const isWhole = tree.root === subRoot && tree.sum === sum && lines.length === count;
  return isWhole && lines.every(({ isTrue }) => isTrue) && rootOf(bill) === root;
}

function isProofTrue(proof: GenerationProof, root: Hex): boolean {
  const { node, isTrue } = nodeOf(proof.line, proof.userLeaf);
  const path = steps(proof.leafPath);
  const opened = openSum(node, proof.leafIndex, path.length, path);
  const { subRoot, cumStart } = leafOf(proof);
  const isPlaced = cumStart + (opened?.prefix ?? 0n) + node.sum === BigInt(proof.line.userCumulative);
  return isTrue && isPlaced && opened?.root === subRoot && rootOf(proof) === root;
}

for (const [name, openDisk] of Object.entries(DRIVERS))
  describe(`bills on ${name}`, () => {
    let disk: Disk;
    let world: World;
    let root: Hex;
    let ids: string[];

    before(() => initFastCrypto());
    beforeEach(async () => {
      disk = await openDisk();
      world = await openWorld(disk.db, newClock());
      for (const userId of USERS) world.ledger.setChannel(channelOf(userId));
      for (const provider of PROVIDERS)
        await billAll(
          world,
          [0, 1, 2].flatMap((n) =>
            USERS.map((userId) => serveOne(world, userId, { provider, cost: BigInt(100 * (n + userId)) })),
          ),
          provider,
        );
      const leaves = world.store.unposted().map(({ leaf }) => leaf);
      ids = leaves.filter(({ userId }) => userId === 2).map(({ id }) => id);
      const credits = cutCredits(world.store.claims(new Set(leaves.map(({ id }) => id))), 0n);
      const batch = finish(batchSteps(4n, leaves, credits));
      root = batch.header.receiptsRoot;
      await world.store.saveBuilt(batch, credits, 0n);
      const posted = { transaction: root, postedAt: 1, skipped: [], receiptsRoot: root };
      await world.store.savePosted(4n, posted);
      // Nothing from memory: what is served comes from the disk.
      world = await openWorld(await disk.reopen(), world.clock);
    });
    afterEach(async () => {
      await world.journal.close();
      await disk.remove();
    });

    const serve = async () => {
      const bill = await world.bills.settlement(2, 4n);
      return bill !== undefined && isBillTrue(bill, root);
    };
    const change = async (bucket: "generations" | "bills", key: string, edit: (value: Stored) => unknown) => {
      world.journal.put(bucket, key, edit((await world.journal.get(bucket, key)) as Stored));
      await world.journal.flushed();
    };

    it("are listed page by page, in the order of batches", async () => {
      const { data } = await world.bills.list(2);
      for (const batchNo of [5n, 9n, 10n, 100n]) {
        const bill = { ...data[0], batchNo: `${batchNo}`, ids: [], sum: "0" };
        world.journal.put("bills", `2!${`${batchNo}`.padStart(20, "0")}`, bill);
        world.journal.put("bills", `20!${`${batchNo}`.padStart(20, "0")}`, bill);
      }
      await world.journal.flushed();
      const pageAfter = async (after?: bigint) => {
        const page = await world.bills.list(2, { limit: 2, ...(after === undefined ? {} : { after }) });
        return [...page.data.map(({ batchNo }) => batchNo), page.has_more];
      };
      expect(await pageAfter()).to.deep.equal(["4", "5", true]);
      expect(await pageAfter(5n)).to.deep.equal(["9", "10", true]);
      expect(await pageAfter(10n)).to.deep.equal(["100", false]);
      expect(await pageAfter(100n)).to.deep.equal([false]);
      expect((await world.bills.list(2)).data).to.have.length(5);
    });

    it("verify against the posted root, whole and one by one", async () => {
      expect((await world.bills.list(2)).data).to.have.length(1);
      expect(await serve()).to.equal(true);
      expect(ids).to.have.length(6);
      for (const id of ids) {
        const proof = await world.bills.proof(id);
        expect(proof && isProofTrue(proof, root)).to.equal(true);
      }
      expect(await world.bills.settlement(2, 5n)).to.equal(undefined);
      expect(await world.bills.settlement(9, 4n)).to.equal(undefined);
      expect(await world.bills.proof("gen-none")).to.equal(undefined);
    });

    const KEY = `2!${"4".padStart(20, "0")}`;
    const FAULTS: Record<string, () => Promise<unknown>> = {
      "a charge was altered": () =>
        change("generations", ids[1] ?? "", (one) => {
          one.outcome.charge = { $n: "1" };
          return one;
        }),
      "a receipt was altered": () =>
        change("generations", ids[1] ?? "", (one) => {
          one.outcome.statement.units = [9, 9, 9];
          return one;
        }),
      "a body's hash was altered": () =>
        change("generations", ids[1] ?? "", (one) => ({ ...one, bodyHash: `0x${"ee".repeat(32)}` })),
      "a record was dropped": async () => {
        world.journal.delete("generations", ids[1] ?? "");
        await world.journal.flushed();
      },
      "a line was left out": () => change("bills", KEY, (bill) => ({ ...bill, ids: bill.ids.slice(1) })),
      "a line was doubled": () =>
        change("bills", KEY, (bill) => ({ ...bill, ids: [...bill.ids, bill.ids[0]] })),
      "lines changed places": () =>
        change("bills", KEY, (bill) => ({ ...bill, ids: [...bill.ids].reverse() })),
    };
    for (const [what, spoil] of Object.entries(FAULTS))
      it(`do not verify after ${what}`, async () => {
        await spoil();
        expect(await serve()).to.equal(false);
      });
  });
