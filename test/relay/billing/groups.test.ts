import { initFastCrypto, sign } from "@aimo/node/fast-crypto";
import type { UsageReceipt } from "@aimo/protocol/receipts";
import { digestOf } from "@aimo/protocol/typed-data";
import { expect } from "chai";
import {
  billAll,
  channelOf,
  type Disk,
  DRIVERS,
  newClock,
  openWorld,
  PROVIDERS,
  RELAY_ID,
  RELAY_KEY,
  SEPARATOR,
  serveOne,
  signGroup,
  USD,
  type World,
} from "../store/books-world.ts";

const [provider, other] = PROVIDERS;

/** The voucher of this much: what every answer to a group is. */
const owing = (cumulative: bigint, { id: providerId } = provider) => {
  const digest = digestOf(SEPARATOR, "ProviderVoucher", { relayId: RELAY_ID, providerId, cumulative });
  return { cumulative, signature: sign(digest, RELAY_KEY) };
};

describe("a provider's group", () => {
  let disk: Disk;
  let world: World;

  before(() => initFastCrypto());
  beforeEach(async () => {
    disk = await DRIVERS["memory-level"]();
    world = await openWorld(disk.db, newClock());
    world.ledger.setChannel(channelOf(1));
  });
  afterEach(() => disk.remove());

  const isBilled = async (id: string) => (await world.ledger.generationOf(id))?.state === "billed";

  it("bills its receipts and is owed their cost", async () => {
    const used = [1n, 2n, 3n].map((n) => serveOne(world, 1, { cost: n * 1_000n, charge: n * 1_050n }));
    expect(await billAll(world, used)).to.deep.equal(owing(6_000n));
    expect(world.ledger.balanceOf(1)).to.include({ charged: 6_300n, pending: 0n, held: 0n });
    expect(world.store.unposted().map(({ leaf }) => leaf.userCumulative)).to.deep.equal([
      1_050n,
      3_150n,
      6_300n,
    ]);
  });

  it("is billed once, however often it comes", async () => {
    const used = [serveOne(world, 1, { cost: 1_000n })];
    const answers = await Promise.all([billAll(world, used), billAll(world, used)]);
    expect(answers).to.deep.equal([owing(1_000n), owing(1_000n)]);
    expect(await billAll(world, used)).to.deep.equal(owing(1_000n));
    expect(world.ledger.balanceOf(1)?.charged).to.equal(1_000n);
    expect(world.store.unposted()).to.have.length(1);
  });

  const CHANGES: Record<string, Partial<UsageReceipt>> = {
    cost: { cost: 999n },
    units: { units: [1, 0, 2] },
    "price version": { priceVersion: 2 },
    time: { issuedAt: 1_790_000_001 },
  };
  for (const [name, change] of Object.entries(CHANGES))
    it(`bills nothing for a receipt with another ${name}`, async () => {
      const used = serveOne(world, 1, { cost: 1_000n });
      const altered = [{ ...used.receipt, ...change }];
      const { group, signature } = signGroup(world, altered);
      expect(await world.billing.onGroup(group, signature, altered, provider)).to.deep.equal(owing(0n));
      expect(world.ledger.balanceOf(1)).to.include({ charged: 0n, pending: 1_000n });
      await billAll(world, [used]);
      expect(await isBilled(used.id)).to.equal(true);
    });

  it("is refused when it is not what its signature, root or parties say", async () => {
    const used = serveOne(world, 1, { cost: 1_000n });
    const receipts = [used.receipt];
    const good = signGroup(world, receipts);
    const refuse = async (why: RegExp, { group, signature } = good, list = receipts) => {
      const answer = await world.billing.onGroup(group, signature, list, provider);
      expect("refused" in answer && answer.refused).to.match(why);
    };
    await refuse(/registered key/, { ...good, signature: signGroup(world, receipts, other).signature });
    await refuse(/registered key/, { ...good, signature: `0x${"00".repeat(65)}` });
    await refuse(/registered key/, { ...good, group: { ...good.group, closedAt: good.group.closedAt - 1 } });
    await refuse(/root/, signGroup(world, receipts, provider, { root: `0x${"ab".repeat(32)}` }));
    await refuse(/counts 2/, signGroup(world, receipts, provider, { count: 2 }));
    await refuse(/counts 0/, signGroup(world, receipts, provider, { count: 0 }), []);
    await refuse(
      /257 receipts/,
      signGroup(world, receipts, provider, { count: 257 }),
      Array(257).fill(used.receipt),
    );
    await refuse(/other parties/, signGroup(world, receipts, provider, { relayId: RELAY_ID + 1 }));
    await refuse(/other parties/, signGroup(world, receipts, provider, { providerId: other.id }));
    await refuse(/future/, signGroup(world, receipts, provider, { closedAt: world.protocolNow() + 61 }));
    expect(world.ledger.balanceOf(1)).to.include({ charged: 0n, pending: 1_000n });
    expect(world.books.debtOf(provider.id).owed).to.equal(0n);
  });

  it("neither bills nor spoils what another provider served", async () => {
    const used = serveOne(world, 1, { cost: 1_000n });
    const answer = await billAll(world, [used], other);
    expect(answer).to.deep.equal(owing(0n, other));
    expect(world.ledger.balanceOf(1)?.pending).to.equal(1_000n);
    expect(await billAll(world, [used])).to.deep.equal(owing(1_000n));
  });

  it("comes too late after the deadline: nothing is billed or owed, even before anyone has looked", async () => {
    const used = serveOne(world, 1, { cost: 1_000n });
    world.clock.ms += 10_000;
    expect(await billAll(world, [used])).to.deep.equal(owing(0n));
    expect(world.ledger.expire()).to.equal(1);
    expect((await world.ledger.generationOf(used.id))?.state).to.equal("unbilled");
    expect(world.ledger.balanceOf(1)).to.include({ charged: 0n, pending: 0n, free: 5n * USD });
    expect(world.ledger.usageOfKey("key-1").total).to.equal(0n);
  });

  it("bills after a restart too, when the registry was not read yet", async () => {
    const used = serveOne(world, 1, { cost: 1_000n });
    await world.ledger.flushed();
    const again = await openWorld(disk.db, world.clock);
    again.ledger.setChannel(channelOf(1));
    expect(await again.ledger.reconcile()).to.deep.equal({ freed: 0, waiting: 1 });
    expect(await billAll(again, [used])).to.deep.equal(owing(1_000n));
  });

  it("bills nothing of a channel that was opened anew", async () => {
    const used = serveOne(world, 1, { cost: 1_000n });
    world.ledger.setChannel(channelOf(1, { epoch: 2 }));
    expect(await billAll(world, [used])).to.deep.equal(owing(0n));
    expect(world.ledger.balanceOf(1)).to.include({ charged: 0n, pending: 0n, free: 5n * USD });
  });

  it("is rejected receipt by receipt where the chain would not take it, and owed to nobody", async () => {
    const faults = new Map<string, string>();
    const judged = await openWorld((await DRIVERS["memory-level"]()).db, newClock(), {
      judge: { judge: async (cases) => cases.map(({ receipt }) => faults.get(receipt.requestHash)) },
      oldestIssuedAt: () => judged.protocolNow() - 50,
    });
    judged.ledger.setChannel(channelOf(1));
    const [good, bad] = [1n, 2n].map((n) => serveOne(judged, 1, { cost: n * 1_000n }));
    const old = serveOne(judged, 1, { cost: 4_000n });
    if (!good || !bad) throw new Error("Two were served.");
    faults.set(bad.receipt.requestHash, "the provider had left");
    expect(await billAll(judged, [bad, good])).to.deep.equal(owing(1_000n));
    expect((await judged.ledger.generationOf(bad.id))?.note).to.match(/the provider had left/);
    expect(judged.store.unposted().map(({ leaf }) => leaf.userCumulative)).to.deep.equal([1_000n]);
    judged.clock.ms += 9_000;
    const { receipt } = old;
    expect(receipt.issuedAt < judged.protocolNow()).to.equal(true);
    judged.clock.ms += 0;
    expect(await billAll(judged, [old])).to.deep.equal(owing(5_000n));
  });

  it("is owed on top of what the chain has paid already, when the books are new", async () => {
    const paid = 70_000n;
    const anew = await openWorld((await DRIVERS["memory-level"]()).db, newClock(), {
      readPaid: async () => paid,
    });
    anew.ledger.setChannel(channelOf(1));
    expect(await billAll(anew, [serveOne(anew, 1, { cost: 1_000n })])).to.deep.equal(owing(71_000n));
    expect(anew.books.debtOf(provider.id)).to.deep.equal({ owed: 71_000n, posted: 70_000n });
  });

  it("goes on from a voucher that the provider shows, if this relay signed it", async () => {
    const forged = { ...owing(9_000n), signature: sign(new Uint8Array(32), provider.key) };
    expect(await world.billing.onVoucher(forged, provider)).to.deep.equal(owing(0n));
    const others = owing(9_000n, other);
    expect(await world.billing.onVoucher(others, provider)).to.deep.equal(owing(0n));
    expect(await world.billing.onVoucher(owing(9_000n), provider)).to.deep.equal(owing(9_000n));
    expect(await billAll(world, [serveOne(world, 1, { cost: 1_000n })])).to.deep.equal(owing(10_000n));
    expect(await world.billing.onVoucher(owing(9_000n), provider)).to.deep.equal(owing(10_000n));
  });
});
