import { toBytes } from "@aimo/protocol/bytes";
import { decodeRows, voucherOf } from "@aimo/protocol/rows";
import { PUSD_PER_USD as USD } from "@aimo/protocol/units";
import { expect } from "chai";
import type { PreparedBatch } from "../../../relay/src/core/batch.ts";
import { openChannel } from "../../../scripts/local/register.ts";
import { SESSION_ADDRESS, signVoucher } from "../support/session-key.ts";
import { type Relay, refusalOf, stateOf } from "./network.ts";
import { useNetwork } from "./suite.ts";

const CENT = USD / 100n;
const CHARGE = (CENT * 105n) / 100n;

/** SIGNED channels settled by the contracts: rows that carry the voucher, beside metered ones. */
describe("settling signed channels on a real chain", function () {
  this.timeout(30_000);
  const suite = useNetwork();
  const { start, addUser, bill, call, paidTo } = suite;

  const addSigner = async (money: Relay, amount = 5n * USD) => {
    const wallet = await suite.network.addUser(amount);
    const channel = { relayId: money.relayId, amount, days: 30, sessionKey: SESSION_ADDRESS };
    await openChannel(suite.network, wallet, channel);
    const userId = await money.accounts.userIdOf(wallet.account.address);
    await money.accounts.refreshChannel(userId);
    return { wallet, userId };
  };
  const promise = (money: Relay, userId: number, cumulative: bigint) => {
    const { separator, relayId } = money;
    money.ledger.vouchers.takeVoucher(userId, signVoucher({ separator, relayId, userId }, cumulative));
  };
  const sent: PreparedBatch[] = [];
  const startSeen = (change = {}) =>
    start({
      ...change,
      wrap: (chain) => ({
        ...chain,
        post: async (batch) => {
          await chain.post(batch);
          sent.push(batch);
        },
      }),
    });
  beforeEach(() => sent.splice(0));

  it("debits each channel by its own kind of row, up to what was signed", async () => {
    const money = await startSeen();
    money.books.setPosted(suite.provider.id, await paidTo(money));
    const users = [await addSigner(money), await addUser(money), await addSigner(money)];
    const [first, metered, second] = users.map(({ userId }) => userId) as [number, number, number];
    promise(money, first, 3n * CHARGE + 7n);
    promise(money, second, CHARGE);
    const ids = [];
    for (const userId of [first, metered, second, first]) ids.push(await bill(money, userId, CENT));
    expect(refusalOf(money, second)).to.equal("voucher_too_low");
    await money.settling.settleNow();
    const [batch] = sent;
    expect(batch?.header).to.include({ nA: 1, nB: 2 });
    const { signed } = decodeRows(toBytes(batch?.rows ?? "0x"), batch?.header ?? { nA: 0, nB: 0, nC: 0 });
    expect(signed.map((row) => [row.userId, row.delta, voucherOf(row)])).to.deep.equal([
      [first, 2n * CHARGE, 3n * CHARGE + 7n],
      [second, CHARGE, CHARGE],
    ]);
    for (const [userId, spent] of [
      [first, 2n],
      [metered, 1n],
      [second, 1n],
    ] as const)
      expect((await money.accounts.refreshChannel(userId))?.spent).to.equal(spent * CHARGE);
    for (const id of ids) expect(await stateOf(money, id)).to.be.oneOf(["posted", "final"]);
    // The place of a user in the tree is its row's: the bill of the last row leads to the root.
    const bills = await money.bills.list(first);
    const whole = await money.bills.settlement(first, BigInt(bills.data[0]?.batchNo ?? -1));
    expect(whole?.batch.rowIndex).to.equal(1);
  });

  it("goes on from where it was, also after a restart between the vouchers", async () => {
    const money = await startSeen();
    money.books.setPosted(suite.provider.id, await paidTo(money));
    const { userId } = await addSigner(money);
    promise(money, userId, 2n * CHARGE);
    await bill(money, userId, CENT);
    await money.settling.settleNow();
    await bill(money, userId, CENT);
    await money.journal.close();

    const again = await startSeen();
    expect(again.ledger.balanceOf(userId)).to.include({ charged: 2n * CHARGE, voucher: 2n * CHARGE });
    expect(refusalOf(again, userId)).to.equal("voucher_too_low");
    await again.settling.settleNow();
    expect((await again.accounts.refreshChannel(userId))?.spent).to.equal(2n * CHARGE);
    promise(again, userId, 5n * CHARGE);
    await bill(again, userId, CENT);
    await again.settling.settleNow();
    expect((await again.accounts.refreshChannel(userId))?.spent).to.equal(3n * CHARGE);
  });

  it("needs no bond, and takes no part of it from metered channels", async () => {
    const money = await startSeen({ relay: await suite.network.addRelay(10n * USD) });
    const signer = await addSigner(money, 20n * USD);
    const { userId } = await addUser(money, 14n * USD);
    promise(money, signer.userId, 20n * USD);
    const large = await bill(money, signer.userId, 15n * USD);
    const small = await bill(money, userId, 7n * USD);
    await money.settling.settleNow();
    expect(await stateOf(money, large)).to.equal("posted");
    expect(await stateOf(money, small)).to.equal("posted");
  });

  it("frees what was charged when the chain skips a signed row, and retires the channel", async () => {
    const leave: (() => Promise<unknown>)[] = [];
    const money = await start({
      wrap: (chain) => ({
        ...chain,
        post: async (batch) => {
          for (const go of leave.splice(0)) await go();
          await chain.post(batch);
        },
      }),
    });
    await call(await suite.network.addUser(USD), "fundRelay", [money.relayId, USD]);
    money.books.setPosted(suite.provider.id, await paidTo(money));
    const [leaving, staying] = [await addSigner(money), await addSigner(money)];
    await call(leaving.wallet, "thawChannel", [money.relayId, 5n * USD - CENT]);
    await suite.network.travel(71);
    for (const { userId } of [leaving, staying]) promise(money, userId, 4n * USD);
    const lost = await bill(money, leaving.userId, 2n * CENT);
    const kept = await bill(money, staying.userId, CENT);
    leave.push(() => call(leaving.wallet, "withdrawChannel", [money.relayId]));
    await money.settling.settleNow();
    expect(await stateOf(money, lost)).to.equal("unbilled");
    expect(await stateOf(money, kept)).to.equal("posted");
    await money.accounts.refreshChannel(leaving.userId);
    expect(refusalOf(money, leaving.userId)).to.equal("channel_retired");
  });

  it("is still owed what was served when the session key is revoked", async () => {
    const money = await startSeen();
    money.books.setPosted(suite.provider.id, await paidTo(money));
    const { wallet, userId } = await addSigner(money);
    promise(money, userId, USD);
    const id = await bill(money, userId, CENT);
    await call(wallet, "revokeSessionKey", [money.relayId]);
    await money.accounts.refreshChannel(userId);
    expect(refusalOf(money, userId)).to.equal("channel_exhausted");
    await money.settling.settleNow();
    expect(await stateOf(money, id)).to.equal("posted");
  });
});
