import { initFastCrypto } from "@aimo/node/fast-crypto";
import { settlementAbi } from "@aimo/protocol/abi/settlement";
import { PUSD_PER_USD as USD } from "@aimo/protocol/units";
import { expect } from "chai";
import { encodeFunctionData } from "viem";
import type { OpenBatch } from "../../../relay/src/core/batch.ts";
import type { SettlementChain } from "../../../relay/src/flow/ports.ts";
import { openChannel } from "../../../scripts/local/register.ts";
import { type LocalWallet, write } from "../../../scripts/local/wallets.ts";
import { billAll, type Disk, DRIVERS, type Signer, serveOne } from "../store/books-world.ts";
import {
  EPOCH,
  type MoneyOptions,
  type Relay,
  refusalOf,
  startMoney,
  startTestNetwork,
  type TestNetwork,
} from "./network.ts";

const CENT = USD / 100n;

describe("settling on a real chain", function () {
  this.timeout(30_000);
  let network: TestNetwork;
  let provider: Signer;
  let relay: Signer;
  let disk: Disk;
  const started: Relay[] = [];

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
  afterEach(async () => {
    for (const each of started.splice(0)) await each.settling.close();
    await disk.remove();
  });

  const start = async (options: Partial<MoneyOptions> = {}) => {
    const money = await startMoney(network, { relay, disk, ...options });
    started.push(money);
    return money;
  };
  const addUser = async (money: Relay, credits = 5n * USD) => {
    const wallet = await network.addUser(credits, money.relayId);
    const userId = await money.accounts.userIdOf(wallet.account.address);
    await money.accounts.refreshChannel(userId);
    return { wallet, userId };
  };
  const bill = async (money: Relay, userId: number, cost: bigint, charge = (cost * 105n) / 100n) => {
    const epoch = money.ledger.channelOf(userId)?.epoch ?? 0;
    const used = serveOne(money, userId, { provider, cost, charge, epoch });
    await billAll(money, [used], provider);
    return used.id;
  };
  const stateOf = async (money: Relay, id: string) => (await money.ledger.generationOf(id))?.state;
  const call = (wallet: LocalWallet, functionName: string, args: readonly unknown[]) =>
    write(network.rpcUrl, wallet, {
      ...{ address: network.deployment.contracts.settlement, abi: settlementAbi, functionName, args },
    });
  const paidTo = async (money: Relay) =>
    (
      await money.chain.public.readContract({
        ...{ address: network.deployment.contracts.settlement, abi: settlementAbi },
        ...{ functionName: "providerAccountOf", args: [money.relayId, provider.id] },
      })
    ).paid;

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
    expect(money.books.debtOf(provider.id)).to.deep.equal({ owed: 30n * CENT, posted: 30n * CENT });
    expect(money.ledger.balanceOf(userId)?.posted).to.equal(onChain?.spent);
    await network.travel(2 * EPOCH);
    expect(await stateOf(money, ids[0] ?? "")).to.equal("final");
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
      first.books.setPosted(provider.id, owed);
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
      const bills = await second.bills.list(userId);
      expect(bills.map(({ count }) => count)).to.deep.equal([1, 1]);
      const { input } = await second.chain.public.getTransaction({ hash: bills[0]?.transaction ?? "0x" });
      const args = [relay.id, open.header, open.rows] as const;
      expect(input).to.equal(encodeFunctionData({ abi: settlementAbi, functionName: "post", args }));
      expect(await paidTo(second)).to.equal(owed + 41n * CENT);
    });

  it("takes what a channel owed before it was opened anew for its loss, and goes on", async () => {
    const money = await start();
    money.books.setPosted(provider.id, await paidTo(money));
    const [leaving, staying] = [await addUser(money), await addUser(money)];
    const gone = await bill(money, leaving.userId, 1_000n);
    await call(leaving.wallet, "thawChannel", [money.relayId, 5n * USD]);
    await network.travel(71);
    await call(leaving.wallet, "withdrawChannel", [money.relayId]);
    await openChannel(network, leaving.wallet, { relayId: money.relayId, amount: USD, days: 40 });
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
    expect(money.books.debtOf(provider.id)).to.satisfy(
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
    money.books.setPosted(provider.id, await paidTo(money));
    const [leaving, staying] = [await addUser(money), await addUser(money)];
    await call(leaving.wallet, "thawChannel", [money.relayId, 5n * USD]);
    await network.travel(71);
    const ids = [await bill(money, leaving.userId, 1_000n), await bill(money, staying.userId, CENT)];
    let late = "";
    leave.push(async () => {
      await call(leaving.wallet, "withdrawChannel", [money.relayId]);
      late = await bill(money, staying.userId, CENT);
    });
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
    const small = await network.addRelay(10n * USD);
    const money = await start({ relay: small });
    const { userId } = await addUser(money, 14n * USD);
    const first = await bill(money, userId, 6n * USD);
    await money.settling.settleNow();
    const second = await bill(money, userId, 3n * USD);
    await money.settling.settleNow();
    expect([await stateOf(money, first), await stateOf(money, second)]).to.deep.equal(["posted", "billed"]);
    expect(money.logged.at(-1)?.message).to.match(/no room/);
    await network.travel(2 * EPOCH);
    await money.settling.settleNow();
    expect(await stateOf(money, second)).to.equal("posted");
  });

  it("credits what is covered when the protocol's fee is not, and the rest once it is funded", async () => {
    const poor = await network.addRelay(10n * USD);
    const money = await start({ relay: poor });
    const { userId } = await addUser(money);
    const id = await bill(money, userId, USD, USD);
    await money.settling.settleNow();
    expect(await stateOf(money, id)).to.equal("posted");
    expect(await paidTo(money)).to.equal((USD * 99n) / 100n);
    expect(money.logged.at(-1)?.message).to.match(/wait/);
    await call(await network.addUser(USD), "fundRelay", [money.relayId, USD]);
    await money.settling.settleNow();
    expect(await paidTo(money)).to.equal(USD);
    expect(money.books.debtOf(provider.id)).to.deep.equal({ owed: USD, posted: USD });
  });

  it("posts a batch with less credit when a row is skipped that nothing set aside makes up for", async () => {
    const leave: (() => Promise<void>)[] = [];
    const poor = await network.addRelay(10n * USD);
    const other = await network.addProvider();
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
    await network.travel(71);
    const gone = await bill(money, leaving.userId, USD);
    const kept = await bill(money, staying.userId, 10n * CENT);
    const used = serveOne(money, staying.userId, { provider: other, cost: 2n * CENT, charge: 3n * CENT });
    await billAll(money, [used], other);
    leave.push(async () => {
      await call(leaving.wallet, "withdrawChannel", [money.relayId]);
    });
    await money.settling.settleNow();
    expect(await Promise.all([gone, kept, used.id].map((id) => stateOf(money, id)))).to.deep.equal([
      ...["unbilled", "posted", "posted"],
    ]);
    // 13.5 cents were debited; 1 % of them is the protocol's, the rest goes to providers.
    const debits = (135n * CENT) / 10n;
    const first = money.books.debtOf(provider.id);
    const second = money.books.debtOf(other.id);
    expect(first.posted + second.posted).to.equal(debits - debits / 100n);
    expect(second).to.deep.equal({ owed: 2n * CENT, posted: 2n * CENT });
    expect(first.owed).to.equal(USD + 10n * CENT);
    expect(await paidTo(money)).to.equal(first.posted);
    await call(await network.addUser(2n * USD), "fundRelay", [money.relayId, 2n * USD]);
    await money.settling.settleNow();
    expect(await paidTo(money)).to.equal(first.owed);
  });

  it("sends a batch with less credit as it was written down, also after a crash", async () => {
    const poor = await network.addRelay(10n * USD);
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

  it("makes a batch anew when its receipts grew too old before the chain took it", async () => {
    let isDown = true;
    const down = () => Promise.reject(new Error("down"));
    const money = await start({
      wrap: (chain) => ({ ...chain, post: (batch) => (isDown ? down() : chain.post(batch)) }),
    });
    money.books.setPosted(provider.id, await paidTo(money));
    const [late, other] = [await addUser(money), await addUser(money)];
    const old = await bill(money, late.userId, 1_000n);
    await money.settling.settleNow().catch(() => {});
    await network.travel(60);
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
