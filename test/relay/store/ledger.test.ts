import { initFastCrypto } from "@aimo/node/fast-crypto";
import { isAimoError } from "@aimo/protocol/errors";
import { expect } from "chai";
import fc from "fast-check";
import { Model } from "./books-model.ts";
import {
  callerOf,
  channelOf,
  type Disk,
  DRIVERS,
  newClock,
  openWorld,
  serveOne,
  startOf,
  USD,
  usageFor,
} from "./books-world.ts";

const user = fc.integer({ min: 1, max: 3 });
const cents = fc.bigInt({ min: 1n, max: USD });
type Step = (model: Model) => unknown;
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 2,
    arbitrary: fc.tuple(user, fc.boolean(), cents).map(
      ([id, anew, amount]): Step =>
        (m) =>
          m.setChannel(id, anew, amount),
    ),
  },
  {
    weight: 8,
    arbitrary: fc.tuple(user, cents).map(
      ([id, amount]): Step =>
        (m) =>
          m.hold(id, amount / 4n),
    ),
  },
  {
    weight: 8,
    arbitrary: fc.tuple(fc.nat(9), fc.nat(4), fc.nat(1)).map(
      ([pick, kind, p]): Step =>
        (m) =>
          m.commit(pick, kind === 0, p),
    ),
  },
  {
    weight: 5,
    arbitrary: fc.integer({ min: 1, max: 4 }).map(
      (count): Step =>
        (m) =>
          m.bill(count),
    ),
  },
  { weight: 1, arbitrary: fc.constant<Step>((m) => m.giveUpWaiting()) },
  { weight: 1, arbitrary: fc.constant<Step>((m) => m.expire()) },
  {
    weight: 1,
    arbitrary: fc.integer({ min: 1, max: 3 }).map(
      (count): Step =>
        (m) =>
          m.giveUpBilled(count),
    ),
  },
  {
    weight: 3,
    arbitrary: cents.map(
      (room): Step =>
        (m) =>
          m.cut(room),
    ),
  },
  {
    weight: 3,
    arbitrary: fc.oneof(fc.constant(0), fc.nat(15)).map(
      (mask): Step =>
        (m) =>
          m.post(mask),
    ),
  },
  { weight: 1, arbitrary: fc.constant<Step>((m) => m.restart()) },
);

for (const [name, openDisk] of Object.entries(DRIVERS))
  describe(`the books on ${name}`, () => {
    const disks: Disk[] = [];
    const fresh = async () => {
      const disk = await openDisk();
      disks.push(disk);
      return { disk, world: await openWorld(disk.db, newClock()) };
    };
    before(() => initFastCrypto());
    afterEach(async () => {
      for (const disk of disks.splice(0)) await disk.remove();
    });

    it("keep every sum, whatever happens in whatever order", async () => {
      let posts = 0n;
      let billed = 0n;
      const property = fc.asyncProperty(
        fc.array(step, { minLength: 40, maxLength: 100, size: "max" }),
        async (steps) => {
          const { disk, world } = await fresh();
          const model = new Model(disk, world);
          for (const userId of [1, 2, 3]) model.setChannel(userId, true, USD);
          for (const run of steps) {
            await run(model);
            model.check();
          }
          await model.restart();
          model.check();
          await model.world.journal.close();
          posts += model.batchNo;
          for (const owed of model.owed.values()) billed += owed;
        },
      );
      await fc.assert(property, { numRuns: name === "memory-level" ? 300 : 30 });
      expect(posts > 0n && billed > 0n, "nothing was posted: the property says nothing").to.equal(true);
    }).timeout(30_000);

    it("never overdraw: 1,000 holds at once on 5 USD", async () => {
      const { world } = await fresh();
      world.ledger.setChannel(channelOf(1));
      const amount = 17n * 10n ** 9n;
      const hold = async () => {
        const start = startOf(world, 1);
        world.ledger.hold(start, callerOf(1), amount);
        return start.id;
      };
      const results = await Promise.allSettled(Array.from({ length: 1_000 }, hold));
      const held = results.flatMap((one) => (one.status === "fulfilled" ? [one.value] : []));
      expect(held).to.have.length(Number((5n * USD) / amount));
      const free = 5n * USD - BigInt(held.length) * amount;
      for (const one of results) {
        if (one.status === "fulfilled") continue;
        if (!isAimoError(one.reason)) throw one.reason;
        expect(one.reason.code).to.equal("insufficient_credits");
        expect(one.reason.details).to.deep.equal({ needed_pusd: amount, free_pusd: free });
      }
      expect(world.ledger.balanceOf(1)).to.include({ free, held: BigInt(held.length) * amount });
      for (const id of held) world.ledger.commit(id, { kind: "free", reason: "timeout", attempts: [] });
      expect(world.ledger.balanceOf(1)).to.include({ free: 5n * USD, held: 0n });
      await world.journal.close();
    });

    it("keep a hold whose charge is above it", async () => {
      const { world } = await fresh();
      world.ledger.setChannel(channelOf(1));
      const start = startOf(world, 1);
      world.ledger.hold(start, callerOf(1), 10n);
      const { outcome } = usageFor(world, start, { cost: 11n });
      expect(() => world.ledger.commit(start.id, outcome)).to.throw(RangeError, "11 pUSD of 10");
      expect(world.ledger.balanceOf(1)).to.include({ held: 10n, pending: 0n });
      world.ledger.commit(start.id, { kind: "free", reason: "rejected", attempts: [] });
      expect(world.ledger.usageOfKey("key-1")).to.include({ held: 0n, total: 0n });
      await world.journal.close();
    });

    it("refuse while a thaw leaves too little, and serve again when it is cancelled", async () => {
      const { world } = await fresh();
      world.ledger.setChannel(channelOf(1, { thawAmount: 4n * USD, thawEnd: 1 }));
      expect(world.ledger.balanceOf(1)).to.include({ limit: USD, free: USD });
      const ask = () => world.ledger.hold(startOf(world, 1), callerOf(1), 2n * USD);
      expect(ask).to.throw().with.property("code", "insufficient_credits");
      world.ledger.setChannel(channelOf(1));
      ask();
      await world.journal.close();
    });

    it("give back what the client said of them, over a restart, whatever it looks like", async () => {
      const { disk, world } = await fresh();
      world.ledger.setChannel(channelOf(1));
      // As big integers are marked on disk, and not one of them.
      const labels = JSON.stringify({ metadata: { $n: "not a number" }, user: "u" });
      const [running, ended] = [startOf(world, 1), startOf(world, 1)];
      for (const start of [running, ended]) world.ledger.hold({ ...start, labels }, callerOf(1), 10n);
      world.ledger.commit(ended.id, { kind: "free", reason: "cancelled", attempts: [] });
      await world.ledger.flushed();
      const again = await openWorld(await disk.reopen(), world.clock);
      again.ledger.setChannel(channelOf(1));
      expect(await again.ledger.reconcile()).to.deep.equal({ freed: 1, waiting: 0 });
      for (const { id } of [running, ended])
        expect((await again.ledger.generationOf(id))?.labels).to.equal(labels);
      await again.journal.close();
    });

    it("wait for a group until its deadline, over a restart", async () => {
      const { disk, world } = await fresh();
      world.ledger.setChannel(channelOf(1));
      const used = serveOne(world, 1, { cost: 1_000n });
      world.ledger.flag(used.id, { stated: 40, counted: 10 });
      await world.ledger.flushed();
      const again = await openWorld(await disk.reopen(), world.clock);
      expect(await again.ledger.openUsers()).to.deep.equal([1]);
      expect((await again.ledger.generationOf(used.id))?.flag).to.deep.equal({ stated: 40, counted: 10 });
      again.ledger.setChannel(channelOf(1));
      world.clock.ms += 9_999;
      expect(await again.ledger.reconcile()).to.deep.equal({ freed: 0, waiting: 1 });
      expect(again.ledger.balanceOf(1)?.pending).to.equal(1_000n);
      world.clock.ms += 1;
      expect(again.ledger.expire()).to.equal(1);
      expect((await again.ledger.generationOf(used.id))?.state).to.equal("unbilled");
      await again.journal.close();
    });
  });
