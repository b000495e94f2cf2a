import { PUSD_PER_USD as USD } from "@aimo/protocol/units";
import { expect } from "chai";
import { createTestClient, type Hex, http } from "viem";
import { hardhat } from "viem/chains";
import type { PostedBatch } from "../../../relay/src/core/batch.ts";
import type { SettlementChain } from "../../../relay/src/flow/ports.ts";
import { billOne, type Relay, stateOf } from "./network.ts";
import { useNetwork } from "./suite.ts";

const CENT = USD / 100n;
const COST = 10n * CENT;
const CHARGE = (COST * 105n) / 100n;
const INTERVAL_MS = 20;

/** A batch that was mined, in a block that a re-org takes away before nodes may act on it. */
describe("a re-org of a posted batch", function () {
  this.timeout(60_000);
  const suite = useNetwork();
  const { start, addUser } = suite;
  const chainClient = () =>
    createTestClient({ chain: hardhat, transport: http(suite.network.rpcUrl), mode: "hardhat" });
  const revert = async (id: Hex) => {
    await chainClient().revert({ id });
    await chainClient().mine({ blocks: 1 });
  };

  /** No block is safe until the test says so; `onMined` sees each batch that was mined. */
  const unsafeUntil = (isSafe: () => boolean, onMined: () => Promise<void>) => (chain: SettlementChain) => ({
    ...chain,
    async post(batch: Parameters<SettlementChain["post"]>[0]) {
      await chain.post(batch);
      await onMined();
    },
    posted: async (batchNo: bigint, since: bigint): Promise<PostedBatch | undefined> =>
      isSafe() ? chain.posted(batchNo, since) : undefined,
  });

  /** One bill of a user, once on the chain, and its provider paid once. */
  async function expectBilledOnce(money: Relay, user: { userId: number; id: string; provider: number }) {
    const { userId, id, provider } = user;
    expect(await stateOf(money, id)).to.equal("posted");
    expect((await money.accounts.refreshChannel(userId))?.spent).to.equal(CHARGE);
    expect(money.ledger.balanceOf(userId)).to.include({ charged: CHARGE, pending: 0n, held: 0n });
    expect((await money.real.paidTo([provider])).get(provider)).to.equal(COST);
    expect(money.books.debtOf(provider)).to.deep.equal({ owed: COST, posted: COST });
    const { data: bills } = await money.bills.list(userId);
    expect(bills.map(({ count }) => count)).to.deep.equal([1]);
    const { transaction = "0x" } = bills[0] ?? {};
    const receipt = await money.chain.public.getTransactionReceipt({ hash: transaction });
    expect(receipt.status, "the bill names the transaction that the chain kept").to.equal("success");
  }

  for (const [what, when] of [
    ["its block alone", "built"],
    ["and the provider's enlistment too", "before"],
  ] as const)
    it(`is posted again as it was, and billed once: ${what}`, async () => {
      const provider = await suite.network.addProvider();
      const sent: string[] = [];
      let mined = 0;
      let snapshot: Hex = "0x";
      const lagging = unsafeUntil(
        () => mined > 1,
        async () => {
          mined++;
          if (mined === 1) await revert(snapshot);
        },
      );
      const money = await start({
        intervalMs: INTERVAL_MS,
        wrap: (chain) => {
          const slow = lagging(chain);
          return {
            ...slow,
            post: async (batch) => {
              if (sent.length === 0 && when === "built") snapshot = await chainClient().snapshot();
              sent.push(batch.rows);
              await slow.post(batch);
            },
          };
        },
      });
      const { userId } = await addUser(money);
      const id = await billOne(money, userId, { provider, cost: COST, charge: CHARGE });
      if (when === "before") snapshot = await chainClient().snapshot();
      await money.settling.settleNow();
      expect(sent).to.have.length(2);
      expect(sent[1]).to.equal(sent[0]);
      await expectBilledOnce(money, { userId, id, provider: provider.id });
    });

  it("is posted again by a relay that crashed after it sent the batch, and billed once", async () => {
    const provider = await suite.network.addProvider();
    let snapshot: Hex = "0x";
    const first = await start({
      wrap: (chain) => ({
        ...chain,
        post: async (batch) => {
          snapshot = await chainClient().snapshot();
          await chain.post(batch);
          throw new Error("crash");
        },
      }),
    });
    const { userId } = await addUser(first);
    const id = await billOne(first, userId, { provider, cost: COST, charge: CHARGE });
    const crash = await first.settling.settleNow().catch((error: unknown) => error);
    expect(crash).to.be.an("error").with.property("message", "crash");
    await first.journal.close();
    await revert(snapshot);
    const second = await start();
    await second.settling.settleNow();
    await expectBilledOnce(second, { userId, id, provider: provider.id });
  });
});
