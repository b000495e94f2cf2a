import { settlementAbi } from "@aimo/protocol/abi/settlement";
import { PUSD_PER_USD as USD } from "@aimo/protocol/units";
import { expect } from "chai";
import { encodeFunctionData } from "viem";
import type { OpenBatch } from "../../../relay/src/core/batch.ts";
import type { SettlementChain } from "../../../relay/src/flow/ports.ts";
import { openChannel } from "../../../scripts/local/register.ts";
import { EPOCH, refusalOf, stateOf } from "./network.ts";
import { useNetwork } from "./suite.ts";

const CENT = USD / 100n;

describe("settling on a real chain", function () {
  this.timeout(30_000);
  const suite = useNetwork();
  const { start, addUser, bill, call, paidTo } = suite;

  it("posts what is billed, and the chain debits and credits it", async () => {
    const money = await start();
    const { userId } = await addUser(money);
    const paid = await paidTo(money);
    const ids = [await bill(money, userId, 10n * CENT), await bill(money, userId, 20n * CENT)];
    await money.settling.settleNow();
    expect(await Promise.all(ids.map((id) => stateOf(money, id)))).to.deep.equal(["posted", "posted"]);
    const onChain = await money.accounts.refreshChannel(userId);
    expect(onChain?.spent).to.equal((30n * CENT * 105n) / 100n);
    expect((await paidTo(money)) - paid).to.equal(30n * CENT);
    expect(money.books.debtOf(suite.provider.id)).to.deep.equal({ owed: 30n * CENT, posted: 30n * CENT });
    expect(money.ledger.balanceOf(userId)?.posted).to.equal(onChain?.spent);
    await suite.network.travel(2 * EPOCH);
    expect(await stateOf(money, ids[0] ?? "")).to.equal("final");
  });

  it("leaves what is billed while it posts to the next time, so that steady load is not posted bit by bit", async () => {
    const late: (() => Promise<unknown>)[] = [];
    const posted: bigint[] = [];
    const money = await start({
      wrap: (chain) => ({
        ...chain,
        post: async (batch) => {
          posted.push(batch.header.batchNo);
          await chain.post(batch);
          await Promise.all(late.splice(0).map((bill) => bill()));
        },
      }),
    });
    const { userId } = await addUser(money);
    await bill(money, userId, CENT);
    const during: Promise<string>[] = [];
    late.push(async () => {
      await suite.network.travel(1);
      during.push(bill(money, userId, 2n * CENT));
      await during[0];
    });
    await money.settling.settleNow();
    const id = (await during[0]) ?? "";
    expect([posted.length, await stateOf(money, id)]).to.deep.equal([1, "billed"]);
    await money.settling.settleNow();
    expect([posted.length, await stateOf(money, id)]).to.deep.equal([2, "posted"]);
  });

  const CRASHES: Record<string, (chain: SettlementChain) => SettlementChain> = {
    "before a batch is sent": (chain) => ({ ...chain, post: () => Promise.reject(new Error("crash")) }),
    "after a batch was sent": (chain) => ({
      ...chain,
      post: (batch) => chain.post(batch).then(() => Promise.reject(new Error("crash"))),
    }),
    "after a batch was seen": (chain) => ({
      ...chain,
      posted: async (batchNo, since) => {
        if (await chain.posted(batchNo, since)) throw new Error("crash");
        return undefined;
      },
    }),
  };
  for (const [when, wrap] of Object.entries(CRASHES))
    it(`bills nothing twice after a crash ${when}`, async () => {
      const first = await start({ wrap });
      const { userId } = await addUser(first);
      const owed = await paidTo(first);
      first.books.setPosted(suite.provider.id, owed);
      const id = await bill(first, userId, 40n * CENT);
      const crash = await first.settling.settleNow().then(
        () => undefined,
        (error: unknown) => error,
      );
      expect(crash).to.be.an("error").with.property("message", "crash");
      const open = first.store.openBatch() as OpenBatch;
      const more = await bill(first, userId, CENT);
      await first.journal.close();

      const second = await start();
      expect(second.store.openBatch()).to.deep.equal(open);
      await second.settling.settleNow();
      expect(await stateOf(second, id)).to.equal("posted");
      expect(await stateOf(second, more)).to.equal("posted");
      expect((await second.accounts.refreshChannel(userId))?.spent).to.equal((41n * CENT * 105n) / 100n);
      expect(await second.real.nextBatchNo()).to.equal(open.batchNo + 2n);
      const { data: bills } = await second.bills.list(userId);
      expect(bills.map(({ count }) => count)).to.deep.equal([1, 1]);
      const { input } = await second.chain.public.getTransaction({ hash: bills[0]?.transaction ?? "0x" });
      const args = [second.relayId, open.header, open.rows] as const;
      expect(input).to.equal(encodeFunctionData({ abi: settlementAbi, functionName: "post", args }));
      expect(await paidTo(second)).to.equal(owed + 41n * CENT);
    });

  it("takes what a channel owed before it was opened anew for its loss, and goes on", async () => {
    const money = await start();
    money.books.setPosted(suite.provider.id, await paidTo(money));
    const [leaving, staying] = [await addUser(money), await addUser(money)];
    const gone = await bill(money, leaving.userId, 1_000n);
    await call(leaving.wallet, "thawChannel", [money.relayId, 5n * USD]);
    await suite.network.travel(71);
    await call(leaving.wallet, "withdrawChannel", [money.relayId]);
    await openChannel(suite.network, leaving.wallet, { relayId: money.relayId, amount: USD, days: 40 });
    const kept = await bill(money, staying.userId, CENT);
    const leaves = money.store.unposted().map(({ leaf }) => leaf);
    expect(leaves.map(({ id }) => id)).to.deep.equal([gone, kept]);
    await money.settling.settleNow();
    expect(await stateOf(money, gone)).to.equal("unbilled");
    expect(await stateOf(money, kept)).to.equal("posted");
    await money.accounts.refreshChannel(leaving.userId);
    expect(money.ledger.balanceOf(leaving.userId)).to.include({ epoch: 2, charged: 0n, free: USD });
    const anew = await bill(money, leaving.userId, CENT);
    await money.settling.settleNow();
    expect(await stateOf(money, anew)).to.equal("posted");
    expect(money.books.debtOf(suite.provider.id)).to.satisfy(
      (debt: { owed: bigint; posted: bigint }) => debt.owed === debt.posted,
    );
  });

  it("frees what was charged when the chain skips a row of a batch under way", async () => {
    const leave: (() => Promise<void>)[] = [];
    const money = await start({
      wrap: (chain) => ({
        ...chain,
        post: async (batch) => {
          for (const go of leave.splice(0)) await go();
          await chain.post(batch);
        },
      }),
    });
    money.books.setPosted(suite.provider.id, await paidTo(money));
    const [leaving, staying] = [await addUser(money), await addUser(money)];
    await call(leaving.wallet, "thawChannel", [money.relayId, 5n * USD]);
    await suite.network.travel(71);
    const ids = [await bill(money, leaving.userId, 1_000n), await bill(money, staying.userId, CENT)];
    let late = "";
    leave.push(async () => {
      await call(leaving.wallet, "withdrawChannel", [money.relayId]);
      late = await bill(money, staying.userId, CENT);
    });
    await money.settling.settleNow();
    // What was billed while the first batch was sent.
    await money.settling.settleNow();
    expect(await Promise.all([...ids, late].map((id) => stateOf(money, id)))).to.deep.equal([
      ...["unbilled", "posted", "posted"],
    ]);
    expect(money.ledger.balanceOf(leaving.userId)).to.include({ charged: 0n, free: 0n });
    expect(refusalOf(money, leaving.userId)).to.equal("channel_exhausted");
    expect(money.ledger.usageOfKey(`key-${leaving.userId}`).total).to.equal(0n);
    expect(money.store.unposted()).to.deep.equal([]);
  });

  it("waits while the bond has no room, and goes on when older batches are final", async () => {
    const small = await suite.network.addRelay(10n * USD);
    const money = await start({ relay: small });
    const { userId } = await addUser(money, 14n * USD);
    const first = await bill(money, userId, 6n * USD);
    await money.settling.settleNow();
    const second = await bill(money, userId, 3n * USD);
    await money.settling.settleNow();
    expect([await stateOf(money, first), await stateOf(money, second)]).to.deep.equal(["posted", "billed"]);
    expect(money.logged.at(-1)?.message).to.match(/no room/);
    await suite.network.travel(2 * EPOCH);
    await money.settling.settleNow();
    expect(await stateOf(money, second)).to.equal("posted");
  });

  it("never sends a batch whose receipts grew too old, whatever else waits, and takes the place of one sent", async () => {
    let [isDown, isWaiting] = [true, true];
    const sent: string[] = [];
    const money = await start({
      wrap: (chain) => ({
        ...chain,
        post: async (batch) => {
          if (isDown) throw new Error("down");
          sent.push(batch.rows);
          await chain.post(batch);
        },
        // As if an earlier run had sent it, at a fee that nobody takes.
        isPending: async () => isWaiting || (await chain.isPending()),
        cancel: async () => {
          await chain.cancel();
          isWaiting = false;
        },
      }),
    });
    money.books.setPosted(suite.provider.id, await paidTo(money));
    const [late, other] = [await addUser(money), await addUser(money)];
    const old = await bill(money, late.userId, 1_000n);
    await money.settling.settleNow().catch(() => {});
    const stale = money.store.openBatch()?.rows;
    await suite.network.travel(60);
    isDown = false;
    const fresh = await bill(money, other.userId, CENT);
    await money.settling.settleNow();
    expect([await stateOf(money, old), await stateOf(money, fresh)]).to.deep.equal(["unbilled", "posted"]);
    expect(stale).to.be.a("string");
    expect(sent).to.have.length(1).and.not.include(stale);
    expect(isWaiting).to.equal(false);
  });

  it("makes a batch anew when its receipts grew too old before the chain took it", async () => {
    let isDown = true;
    const down = () => Promise.reject(new Error("down"));
    const money = await start({
      wrap: (chain) => ({ ...chain, post: (batch) => (isDown ? down() : chain.post(batch)) }),
    });
    money.books.setPosted(suite.provider.id, await paidTo(money));
    const [late, other] = [await addUser(money), await addUser(money)];
    const old = await bill(money, late.userId, 1_000n);
    await money.settling.settleNow().catch(() => {});
    await suite.network.travel(60);
    isDown = false;
    const after = await bill(money, late.userId, CENT);
    const fresh = await bill(money, other.userId, CENT);
    await money.settling.settleNow();
    const states = await Promise.all([old, after, fresh].map((id) => stateOf(money, id)));
    // The user may hold totals that count the old one: none of them is given to another receipt.
    expect(states).to.deep.equal(["unbilled", "unbilled", "posted"]);
    const charge = (CENT * 105n) / 100n;
    expect(money.ledger.balanceOf(other.userId)).to.include({ charged: charge, posted: charge });
    expect(money.ledger.balanceOf(late.userId)).to.include({ charged: 0n, free: 0n });
    expect(refusalOf(money, late.userId)).to.equal("channel_retired");
  });
});
