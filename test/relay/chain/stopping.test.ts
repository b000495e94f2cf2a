import { initFastCrypto } from "@aimo/node/fast-crypto";
import { PUSD_PER_USD as USD } from "@aimo/protocol/units";
import { expect } from "chai";
import { createTestClient, http } from "viem";
import { hardhat } from "viem/chains";
import { type Disk, DRIVERS, type Signer } from "../store/books-world.ts";
import {
  addPayer,
  billOne,
  type MoneyOptions,
  type Relay,
  startMoney,
  startTestNetwork,
  stateOf,
  type TestNetwork,
} from "./network.ts";

describe("stopping while a batch is under way", function () {
  this.timeout(30_000);
  let network: TestNetwork;
  let provider: Signer;
  let relay: Signer;
  let disk: Disk;

  before(async () => {
    await initFastCrypto();
    network = await startTestNetwork();
    provider = await network.addProvider();
    relay = await network.addRelay(100n * USD);
  });
  after(() => network.close());
  beforeEach(async () => {
    disk = await DRIVERS["memory-level"]();
  });
  afterEach(() => disk.remove());

  const start = (options: Partial<MoneyOptions> = {}) => startMoney(network, { relay, disk, ...options });
  const bill = async (money: Relay): Promise<string> => {
    const { userId } = await addPayer(network, money);
    return billOne(money, userId, { provider, cost: 1_000n, charge: 2_000n });
  };

  it("posts what is billed first, when it is given the time", async () => {
    const money = await start();
    const id = await bill(money);
    await money.settling.close(20_000);
    expect(await stateOf(money, id)).to.equal("posted");
  });

  it("does not wait for a chain that mines nothing; the next start finds the batch", async () => {
    const chain = createTestClient({ chain: hardhat, transport: http(network.rpcUrl), mode: "hardhat" });
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
