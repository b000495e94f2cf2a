import { initFastCrypto } from "@aimo/node/fast-crypto";
import { protocolClockAbi } from "@aimo/protocol/abi/protocol-clock";
import { settlementAbi } from "@aimo/protocol/abi/settlement";
import { isAimoError } from "@aimo/protocol/errors";
import { PUSD_PER_USD as USD } from "@aimo/protocol/units";
import { expect } from "chai";
import { openChannel } from "../../../scripts/local/register.ts";
import { ACCOUNT, type LocalWallet, localWallet, write } from "../../../scripts/local/wallets.ts";
import { billAll, type Disk, DRIVERS, type Signer, serveOne } from "../store/books-world.ts";
import {
  type MoneyOptions,
  type Relay,
  refusalOf,
  startMoney,
  startTestNetwork,
  type TestNetwork,
} from "./network.ts";

const CENT = USD / 100n;

describe("channels that a relay cannot charge, on a real chain", function () {
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

  it("posts nothing during a pause, loses nothing by it, and goes on after it", async () => {
    const money = await start();
    const { userId } = await addUser(money);
    const id = await bill(money, userId, CENT);
    const guardian = localWallet(network.rpcUrl, ACCOUNT.treasury);
    const { clock } = network.deployment.contracts;
    const tell = (functionName: string) =>
      write(network.rpcUrl, guardian, { address: clock, abi: protocolClockAbi, functionName });
    await tell("pause");
    await money.chain.time.refresh();
    expect(money.chain.time.pausedUntil()).to.be.a("number");
    const error = await money.settling.settleNow().catch((reason: unknown) => reason);
    expect(isAimoError(error) && error.message).to.match(/paused until/);
    expect(await stateOf(money, id)).to.equal("billed");
    await tell("unpause");
    await money.chain.time.refresh();
    await money.settling.settleNow();
    expect(await stateOf(money, id)).to.be.oneOf(["posted", "final"]);
  });

  it("retires a channel that covers its row no more, over a restart too, until it is opened anew", async () => {
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
    // The provider's cost of a skipped row is the relay's loss: it needs money of its own.
    await call(await network.addUser(USD), "fundRelay", [money.relayId, USD]);
    const { wallet, userId } = await addUser(money);
    await call(wallet, "thawChannel", [money.relayId, 5n * USD - CENT]);
    await network.travel(71);
    const id = await bill(money, userId, 2n * CENT);
    leave.push(() => call(wallet, "withdrawChannel", [money.relayId]).then(() => {}));
    await money.settling.settleNow();
    expect(await stateOf(money, id)).to.equal("unbilled");
    // The chain would take a debit of what is left, from the total where it stands.
    expect((await money.accounts.refreshChannel(userId))?.available).to.equal(CENT);
    expect(refusalOf(money, userId)).to.equal("channel_retired");
    await money.journal.close();

    const second = await start();
    await second.accounts.refreshChannel(userId);
    expect(refusalOf(second, userId)).to.equal("channel_retired");
    await call(wallet, "thawChannel", [second.relayId, CENT]);
    await network.travel(71);
    await call(wallet, "withdrawChannel", [second.relayId]);
    await openChannel(network, wallet, { relayId: second.relayId, amount: USD, days: 40 });
    await second.accounts.refreshChannel(userId);
    const anew = await bill(second, userId, CENT);
    await second.settling.settleNow();
    expect(await stateOf(second, anew)).to.be.oneOf(["posted", "final"]);
  });

  it("refuses a channel that pays by signed vouchers, and one whose session key was revoked", async () => {
    const money = await start();
    const wallet = await network.addUser(2n * USD);
    const expiry = network.clock.ms / 1_000 + 86_400;
    const open = [money.relayId, USD, Math.floor(expiry), 1, wallet.account.address];
    await call(wallet, "openChannel", open);
    const userId = await money.accounts.userIdOf(wallet.account.address);
    const channel = await money.accounts.refreshChannel(userId);
    expect(channel).to.include({ mode: 1, sessionKey: wallet.account.address, revokedAt: 0 });
    expect(refusalOf(money, userId)).to.equal("signed_channel");
    await call(wallet, "revokeSessionKey", [money.relayId]);
    expect((await money.accounts.refreshChannel(userId))?.revokedAt).to.be.above(0);
    expect(refusalOf(money, userId)).to.equal("channel_exhausted");
  });
});
