import { protocolClockAbi } from "@aimo/protocol/abi/protocol-clock";
import { isAimoError } from "@aimo/protocol/errors";
import { PUSD_PER_USD as USD } from "@aimo/protocol/units";
import { expect } from "chai";
import { channelJson } from "../../../relay/src/core/account-json.ts";
import { openChannel } from "../../../scripts/local/register.ts";
import { ACCOUNT, localWallet, write } from "../../../scripts/local/wallets.ts";
import { refusalOf, stateOf } from "./network.ts";
import { useNetwork } from "./suite.ts";

const CENT = USD / 100n;

describe("channels that a relay cannot charge, on a real chain", function () {
  this.timeout(30_000);
  const suite = useNetwork();
  const { start, addUser, bill, call } = suite;

  it("posts nothing during a pause, loses nothing by it, and goes on after it", async () => {
    const money = await start();
    const { userId } = await addUser(money);
    const id = await bill(money, userId, CENT);
    const guardian = localWallet(suite.network.rpcUrl, ACCOUNT.treasury);
    const { clock } = suite.network.deployment.contracts;
    const tell = (functionName: string) =>
      write(suite.network.rpcUrl, guardian, { address: clock, abi: protocolClockAbi, functionName });
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
    await call(await suite.network.addUser(USD), "fundRelay", [money.relayId, USD]);
    const { wallet, userId } = await addUser(money);
    await call(wallet, "thawChannel", [money.relayId, 5n * USD - CENT]);
    await suite.network.travel(71);
    const id = await bill(money, userId, 2n * CENT);
    leave.push(() => call(wallet, "withdrawChannel", [money.relayId]).then(() => {}));
    await money.settling.settleNow();
    expect(await stateOf(money, id)).to.equal("unbilled");
    // The chain would take a debit of what is left, from the total where it stands.
    expect((await money.accounts.refreshChannel(userId))?.available).to.equal(CENT);
    expect(refusalOf(money, userId)).to.equal("channel_retired");
    const balance = money.ledger.balanceOf(userId);
    expect(balance?.retired).to.be.a("string");
    expect(balance && channelJson(money.relayId, balance).retired).to.equal(balance?.retired);
    await money.journal.close();

    const second = await start();
    await second.accounts.refreshChannel(userId);
    expect(refusalOf(second, userId)).to.equal("channel_retired");
    await call(wallet, "thawChannel", [second.relayId, CENT]);
    await suite.network.travel(71);
    await call(wallet, "withdrawChannel", [second.relayId]);
    await openChannel(suite.network, wallet, { relayId: second.relayId, amount: USD, days: 40 });
    await second.accounts.refreshChannel(userId);
    const anew = await bill(second, userId, CENT);
    await second.settling.settleNow();
    expect(await stateOf(second, anew)).to.be.oneOf(["posted", "final"]);
  });

  it("refuses a SIGNED channel without a voucher, and one whose session key was revoked", async () => {
    const money = await start();
    const wallet = await suite.network.addUser(2n * USD);
    const expiry = suite.network.clock.ms / 1_000 + 86_400;
    const open = [money.relayId, USD, Math.floor(expiry), 1, wallet.account.address];
    await call(wallet, "openChannel", open);
    const userId = await money.accounts.userIdOf(wallet.account.address);
    const channel = await money.accounts.refreshChannel(userId);
    expect(channel).to.include({ mode: 1, sessionKey: wallet.account.address, revokedAt: 0 });
    expect(refusalOf(money, userId)).to.equal("voucher_too_low");
    await call(wallet, "revokeSessionKey", [money.relayId]);
    expect((await money.accounts.refreshChannel(userId))?.revokedAt).to.be.above(0);
    expect(refusalOf(money, userId)).to.equal("channel_exhausted");
  });
});
