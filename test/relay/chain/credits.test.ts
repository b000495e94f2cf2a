import { PUSD_PER_USD as USD } from "@aimo/protocol/units";
import { expect } from "chai";
import { billOne, stateOf } from "./network.ts";
import { useNetwork } from "./suite.ts";

const CENT = USD / 100n;

describe("settling with too little money", function () {
  this.timeout(30_000);
  const suite = useNetwork();
  const { start, addUser, bill, call, paidTo } = suite;

  it("credits what is covered when the protocol's fee is not, and the rest once it is funded", async () => {
    const poor = await suite.network.addRelay(10n * USD);
    const money = await start({ relay: poor });
    const { userId } = await addUser(money);
    const id = await bill(money, userId, USD, USD);
    await money.settling.settleNow();
    expect(await stateOf(money, id)).to.equal("posted");
    expect(await paidTo(money)).to.equal((USD * 99n) / 100n);
    expect(money.logged.at(-1)?.message).to.match(/wait/);
    await call(await suite.network.addUser(USD), "fundRelay", [money.relayId, USD]);
    await money.settling.settleNow();
    expect(await paidTo(money)).to.equal(USD);
    expect(money.books.debtOf(suite.provider.id)).to.deep.equal({ owed: USD, posted: USD });
  });

  it("posts a batch with less credit when a row is skipped that nothing set aside makes up for", async () => {
    const leave: (() => Promise<void>)[] = [];
    const poor = await suite.network.addRelay(10n * USD);
    const other = await suite.network.addProvider();
    const money = await start({
      relay: poor,
      wrap: (chain) => ({
        ...chain,
        post: async (batch) => {
          for (const go of leave.splice(0)) await go();
          await chain.post(batch);
        },
      }),
    });
    const [leaving, staying] = [await addUser(money), await addUser(money)];
    await call(leaving.wallet, "thawChannel", [money.relayId, 5n * USD]);
    await suite.network.travel(71);
    const gone = await bill(money, leaving.userId, USD);
    const kept = await bill(money, staying.userId, 10n * CENT);
    const more = await billOne(money, staying.userId, {
      ...{ provider: other, cost: 2n * CENT, charge: 3n * CENT },
    });
    leave.push(async () => {
      await call(leaving.wallet, "withdrawChannel", [money.relayId]);
    });
    await money.settling.settleNow();
    expect(await Promise.all([gone, kept, more].map((id) => stateOf(money, id)))).to.deep.equal([
      ...["unbilled", "posted", "posted"],
    ]);
    // 13.5 cents were debited; 1 % of them is the protocol's, the rest goes to providers.
    const debits = (135n * CENT) / 10n;
    const first = money.books.debtOf(suite.provider.id);
    const second = money.books.debtOf(other.id);
    expect(first.posted + second.posted).to.equal(debits - debits / 100n);
    expect(second).to.deep.equal({ owed: 2n * CENT, posted: 2n * CENT });
    expect(first.owed).to.equal(USD + 10n * CENT);
    expect(await paidTo(money)).to.equal(first.posted);
    await call(await suite.network.addUser(2n * USD), "fundRelay", [money.relayId, 2n * USD]);
    await money.settling.settleNow();
    expect(await paidTo(money)).to.equal(first.owed);
  });

  it("sends a batch with less credit as it was written down, also after a crash", async () => {
    const poor = await suite.network.addRelay(10n * USD);
    let posts = 0;
    const crashing = await start({
      relay: poor,
      wrap: (chain) => ({
        ...chain,
        funds: async () => ({ own: USD, feeBps: 100 }),
        post: async (batch) => {
          posts += 1;
          if (posts === 2) throw new Error("crash");
          await chain.post(batch);
        },
      }),
    });
    const { userId } = await addUser(crashing);
    const id = await bill(crashing, userId, USD, USD);
    const crash = await crashing.settling.settleNow().catch((error: unknown) => error);
    expect(String(crash)).to.include("crash");
    const open = crashing.store.openBatch();
    await crashing.journal.close();
    const money = await start({ relay: poor });
    expect(money.store.openBatch()).to.deep.equal(open);
    await money.settling.settleNow();
    expect(await stateOf(money, id)).to.equal("posted");
    expect(await paidTo(money)).to.equal((USD * 99n) / 100n);
  });
});
