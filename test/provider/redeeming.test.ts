import { connectChain } from "@aimo/node/chain";
import { initFastCrypto } from "@aimo/node/fast-crypto";
import { silentLog } from "@aimo/node/log";
import { readClock } from "@aimo/node/protocol-time";
import { createTransactions } from "@aimo/node/transactions";
import { reservesAbi } from "@aimo/protocol/abi/reserves";
import { testDollarAbi } from "@aimo/protocol/abi/test-dollar";
import { PUSD_PER_TOKEN_UNIT, PUSD_PER_USD as USD } from "@aimo/protocol/units";
import { createReserves, publishCreditLimit, readCreditLimit } from "@aimo/provider/chain/reserves";
import { Exposure } from "@aimo/provider/core/exposure";
import type { Voucher } from "@aimo/provider/core/outstanding";
import { Covers } from "@aimo/provider/flow/covers";
import type { DebtRecord } from "@aimo/provider/flow/ports";
import { Redeeming } from "@aimo/provider/flow/redeeming";
import { openCovers } from "@aimo/relay/chain/covers";
import { expect } from "chai";
import { createTestClient, http } from "viem";
import { hardhat } from "viem/chains";
import {
  ACCOUNT,
  faucet,
  localPrivateKey,
  localReader,
  localWallet,
  write,
} from "../../scripts/local/wallets.ts";
import { type Relay, startMoney, startTestNetwork, type TestNetwork } from "../relay/chain/network.ts";
import { billAll, type Disk, DRIVERS, type Signer, serveOne } from "../relay/store/books-world.ts";

const CENT = USD / 100n;
const AFTER_SECONDS = 30;

/** Relays that bill and promise, a provider's side of their debts, and the real contracts between them. */
describe("vouchers and reserves on a real chain", function () {
  this.timeout(60_000);
  let network: TestNetwork;
  let provider: Signer;
  const disks: Disk[] = [];
  const started: Relay[] = [];
  let relays = 0;

  before(async () => {
    await initFastCrypto();
    network = await startTestNetwork();
    provider = await network.addProvider();
    await faucet(network.rpcUrl, network.deployment, provider.signer, USD);
  });
  after(() => network.close());
  afterEach(async () => {
    for (const each of started.splice(0)) await each.settling.close();
    for (const each of disks.splice(0)) await each.remove();
  });

  const start = async (relay: Signer, options: { readonly lostBefore?: number } = {}) => {
    const disk = await DRIVERS["memory-level"]();
    const money = await startMoney(network, { relay, disk, ...options });
    disks.push(disk);
    started.push(money);
    return money;
  };
  /** A relay that has no debts yet, with its owner. */
  const newRelay = async () => {
    const owner = localWallet(network.rpcUrl, ACCOUNT.relayOwner + relays++);
    const relay = await network.addRelay(20n * USD);
    return { relay, owner, money: await start(relay) };
  };
  const reservesOf =
    (wallet: ReturnType<typeof localWallet>) => (functionName: string, args: readonly unknown[]) =>
      write(network.rpcUrl, wallet, {
        ...{ address: network.deployment.contracts.reserves, abi: reservesAbi, functionName, args },
      });
  /** Bills a request of a new user; gives the relay's voucher. */
  const owe = async (money: Relay, cost: bigint): Promise<Voucher> => {
    const wallet = await network.addUser(5n * USD, money.relayId);
    const userId = await money.accounts.userIdOf(wallet.account.address);
    await money.accounts.refreshChannel(userId);
    const epoch = money.ledger.channelOf(userId)?.epoch ?? 0;
    const used = serveOne(money, userId, { provider, cost, charge: (cost * 105n) / 100n, epoch });
    const answer = await billAll(money, [used], provider);
    if ("refused" in answer) throw new Error(answer.refused);
    return { ...answer, receivedAtMs: 0 };
  };
  /** The provider's node, as far as debts go. */
  const openProvider = async (vouchers: Map<number, Voucher>, debts: readonly DebtRecord[] = []) => {
    const { rpcUrl, deployment, clock } = network;
    const connect = { rpcUrl, deployment, privateKey: provider.key, now: () => clock.ms };
    const chain = await connectChain(connect);
    const transactions = createTransactions({ chain, log: silentLog() });
    const reserves = createReserves({ chain, transactions, providerId: provider.id });
    const written: DebtRecord[] = [];
    const redeeming = new Redeeming({
      ...{ vouchers: () => vouchers, chain: reserves, debts, log: silentLog(), onRedeemed: async () => {} },
      write: async ({ debt }) => void (debt && written.push(debt)),
      ...{ clock: () => Math.floor(clock.ms / 1_000), afterSeconds: AFTER_SECONDS, least: CENT / 100n },
    });
    return { chain, reserves, redeeming, transactions, written };
  };
  const ownerHas = async () =>
    PUSD_PER_TOKEN_UNIT *
    (await localReader(network.rpcUrl).readContract({
      ...{ address: network.deployment.contracts.token, abi: testDollarAbi, functionName: "balanceOf" },
      args: [localWallet(network.rpcUrl, ACCOUNT.providerOwner).account.address],
    }));

  it("are redeemed to the owner when the relay has vanished, once, and a restart changes nothing", async () => {
    const { relay, owner, money } = await newRelay();
    await reservesOf(owner)("fundReserve", [relay.id, provider.id, USD]);
    const vouchers = new Map([[relay.id, await owe(money, 30n * CENT)]]);
    const before = await ownerHas();
    const { redeeming, written, reserves } = await openProvider(vouchers);
    await redeeming.look();
    expect(written.map(({ redemption }) => redemption)).to.deep.equal([undefined]);
    await network.travel(AFTER_SECONDS - 10);
    const again = await openProvider(vouchers, written);
    await again.redeeming.look();
    expect(await ownerHas()).to.equal(before);
    await network.travel(11);
    await again.redeeming.look();
    expect((await ownerHas()) - before).to.equal(30n * CENT);
    expect(again.written.map(({ redemption }) => redemption?.state)).to.deep.equal(["sent", "done"]);
    // As if the node had died after the transaction left.
    const third = await openProvider(vouchers, again.written.slice(0, 1));
    await third.redeeming.look();
    await network.travel(AFTER_SECONDS + 1);
    await third.redeeming.look();
    expect((await ownerHas()) - before).to.equal(30n * CENT);
    expect(await reserves.fundsOf(relay.id)).to.include({ paid: 30n * CENT, reserve: 70n * CENT });
  });

  it("are redeemed once also when the node stops while the chain mines nothing", async () => {
    const { relay, owner, money } = await newRelay();
    await reservesOf(owner)("fundReserve", [relay.id, provider.id, USD]);
    const vouchers = new Map([[relay.id, await owe(money, 20n * CENT)]]);
    const before = await ownerHas();
    const first = await openProvider(vouchers);
    await first.redeeming.look();
    await network.travel(AFTER_SECONDS + 1);
    const chain = createTestClient({ chain: hardhat, transport: http(network.rpcUrl), mode: "hardhat" });
    await chain.setAutomine(false);
    await chain.setIntervalMining({ interval: 0 });
    try {
      const { address } = first.transactions;
      const sent = async () =>
        (await first.chain.public.getTransactionCount({ address, blockTag: "pending" })) >
        (await first.chain.public.getTransactionCount({ address, blockTag: "latest" }));
      void first.redeeming.look();
      while (!(await sent())) await new Promise((done) => setTimeout(done, 50));
      first.transactions.abort();
      await first.redeeming.stop();
    } finally {
      await chain.setAutomine(true);
      await chain.setIntervalMining({ interval: 1 });
      await chain.mine({ blocks: 1 });
    }
    expect(first.written.map(({ redemption }) => redemption?.state)).to.deep.equal([undefined, "sent"]);
    const second = await openProvider(vouchers, first.written);
    await second.redeeming.look();
    await second.redeeming.look();
    expect((await ownerHas()) - before).to.equal(20n * CENT);
  });

  it("are paid in part by a small reserve and for the rest by a posted row, never twice", async () => {
    const { relay, owner, money } = await newRelay();
    const manage = reservesOf(owner);
    await manage("fundReserve", [relay.id, provider.id, 10n * CENT]);
    const vouchers = new Map([[relay.id, await owe(money, 30n * CENT)]]);
    const before = await ownerHas();
    const { redeeming, reserves } = await openProvider(vouchers);
    await redeeming.look();
    expect(await ownerHas()).to.equal(before);
    // The relay takes its reserve back: no time to lose.
    await manage("thawReserve", [relay.id, provider.id, 10n * CENT]);
    expect(await reserves.fundsOf(relay.id)).to.include({ reserve: 0n, redeemable: 10n * CENT });
    await redeeming.look();
    expect((await ownerHas()) - before).to.equal(10n * CENT);
    await money.settling.settleNow();
    expect(await reserves.fundsOf(relay.id)).to.include({ paid: 30n * CENT, redeemable: 0n });
    expect(money.books.debtOf(provider.id)).to.deep.equal({ owed: 30n * CENT, posted: 30n * CENT });
    await manage("fundReserve", [relay.id, provider.id, 10n * CENT]);
    await redeeming.look();
    await network.travel(AFTER_SECONDS + 1);
    await redeeming.look();
    expect((await ownerHas()) - before).to.equal(10n * CENT);
  });

  it("go on from what the chain has paid when the relay lost its books, and from the voucher it is shown", async () => {
    const { relay, money } = await newRelay();
    const first = await owe(money, 20n * CENT);
    await money.settling.settleNow();
    const posted = await owe(money, 5n * CENT);
    expect([first.cumulative, posted.cumulative]).to.deep.equal([20n * CENT, 25n * CENT]);

    const { clock } = await readClock(money.chain.public, network.deployment.contracts.clock);
    const anew = await start(relay, { lostBefore: clock });
    const shown = await anew.billing.onVoucher(posted, provider);
    expect(shown).to.deep.equal({ cumulative: posted.cumulative, signature: posted.signature });
    const next = await owe(anew, 10n * CENT);
    expect(next.cumulative).to.equal(35n * CENT);
    await anew.settling.settleNow();
    // The debt whose receipts are lost is paid as far as the earnings go: all debits less the protocol's 1 %.
    const { reserves } = await openProvider(new Map());
    const debits = (30n * CENT * 105n) / 100n;
    const paid = debits - debits / 100n;
    expect((await reserves.fundsOf(relay.id)).paid).to.equal(paid);
    expect(anew.books.unpaidTo(provider.id)).to.equal(35n * CENT - paid);
  });

  it("bound what a provider serves: its limit and the reserve less what thaws, by the same numbers on both sides", async () => {
    relays = 0;
    const owner = localWallet(network.rpcUrl, ACCOUNT.relayOwner);
    const relayId = 1;
    const { chain, reserves } = await openProvider(new Map());
    const ownerChain = await connectChain({
      ...{ rpcUrl: network.rpcUrl, deployment: network.deployment, now: () => network.clock.ms },
      privateKey: localPrivateKey(ACCOUNT.providerOwner),
    });
    expect(await readCreditLimit(chain, provider.id)).to.equal(50n * CENT);
    const transactions = createTransactions({ chain: ownerChain, log: silentLog() });
    await publishCreditLimit({ ...ownerChain, transactions }, provider.id, 20n * CENT);
    const exposure = new Exposure(20n * CENT);
    const covers = new Covers({ chain: reserves, exposure });
    await covers.follow(relayId);
    exposure.setVoucher(relayId, exposure.coverOf(relayId).paid + 60n * CENT);
    const { reserve } = exposure.coverOf(relayId);
    const room = reserve + 20n * CENT - 60n * CENT;
    expect(() => exposure.reserve(relayId, room + 1n)).to.throw("would pass its reserve");
    exposure.reserve(relayId, room);
    exposure.release(relayId, room);
    const paid: bigint[] = [];
    const relaySide = await openCovers({
      ...{ chain, relayId, intervalMs: 3_600_000, log: silentLog(), onPaid: (_, sum) => paid.push(sum) },
    });
    relaySide.watch(provider.id);
    while (relaySide.coverOf(provider.id) === undefined)
      await new Promise((resolve) => setImmediate(resolve));
    expect(relaySide.coverOf(provider.id)).to.equal(reserve + 20n * CENT);
    expect(paid).to.deep.equal([exposure.coverOf(relayId).paid]);
    relaySide.stop();
    await reservesOf(owner)("thawReserve", [relayId, provider.id, 5n * CENT]);
    await covers.refresh([relayId]);
    expect(() => exposure.reserve(relayId, room - 5n * CENT + 1n)).to.throw("would pass its reserve");
    exposure.reserve(relayId, room - 5n * CENT);
    await transactions.close();
  });
});
