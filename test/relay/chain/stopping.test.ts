import { expect } from "chai";
import { createTestClient, http } from "viem";
import { hardhat } from "viem/chains";
import { type Relay, stateOf } from "./network.ts";
import { useNetwork } from "./suite.ts";

describe("stopping while a batch is under way", function () {
  this.timeout(30_000);
  const suite = useNetwork();
  const { start, addUser } = suite;
  const bill = async (money: Relay): Promise<string> => {
    const { userId } = await addUser(money);
    return suite.bill(money, userId, 1_000n);
  };

  it("posts what is billed first, when it is given the time", async () => {
    const money = await start();
    const id = await bill(money);
    await money.settling.close(20_000);
    expect(await stateOf(money, id)).to.equal("posted");
  });

  it("does not wait for a chain that mines nothing; the next start finds the batch", async () => {
    const chain = createTestClient({
      chain: hardhat,
      transport: http(suite.network.rpcUrl),
      mode: "hardhat",
    });
    const money = await start();
    const id = await bill(money);
    await chain.setAutomine(false);
    await chain.setIntervalMining({ interval: 0 });
    try {
      await money.settling.close(500);
      await money.transactions.close();
      expect(await stateOf(money, id)).to.equal("billed");
      expect(money.store.openBatch()).to.not.equal(undefined);
      await money.journal.close();
    } finally {
      await chain.mine({ blocks: 1 });
      await chain.setAutomine(true);
      await chain.setIntervalMining({ interval: 1 });
    }
    const again = await start();
    await again.settling.close(20_000);
    expect(await stateOf(again, id)).to.equal("posted");
  });

  it("does not wait for a block that nodes may act on, and starts nothing anew", async () => {
    let posts = 0;
    const money = await start({
      wrap: (chain) => ({
        ...chain,
        posted: async () => undefined,
        post: async (batch) => {
          posts += 1;
          await chain.post(batch);
        },
      }),
    });
    const id = await bill(money);
    const asked = money.settling.settleNow().catch((error: unknown) => error);
    await money.settling.close(1_500);
    expect(await asked).to.have.property("code", "shutting_down");
    expect([posts, await stateOf(money, id)]).to.deep.equal([1, "billed"]);
    await money.journal.close();
    const again = await start();
    await again.settling.close(20_000);
    expect(await stateOf(again, id)).to.equal("posted");
  });
});
