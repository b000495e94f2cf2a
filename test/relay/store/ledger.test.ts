import { initFastCrypto } from "@aimo/node/fast-crypto";
import { isAimoError } from "@aimo/protocol/errors";
import { expect } from "chai";
import fc from "fast-check";
import { buildBatch } from "../../../relay/src/core/batch.ts";
import { takeLeaves } from "../../../relay/src/flow/settling.ts";
import {
  billAll,
  callerOf,
  channelOf,
  type Disk,
  DRIVERS,
  newClock,
  openWorld,
  PROVIDERS,
  serveOne,
  startOf,
  USD,
  type Used,
  usageFor,
  type World,
} from "./books-world.ts";

/** The chain as the ledger's model needs it: what each channel has, and what rows did to it. */
type OnChain = { epoch: number; available: bigint; spent: bigint };

/** Drives the books through what can happen and holds them to what must be true after each step. */
class Model {
  readonly disk: Disk;
  world: World;
  readonly chain = new Map<number, OnChain>();
  readonly running = new Map<string, { userId: number; epoch: number; amount: bigint }>();
  readonly waiting: (Used & { userId: number; provider: number })[] = [];
  readonly owed = new Map<number, bigint>();
  batchNo = 0n;

  constructor(disk: Disk, world: World) {
    this.disk = disk;
    this.world = world;
  }

  setChannel(userId: number, reopen: boolean, amount: bigint): void {
    const old = this.chain.get(userId);
    const channel =
      old && !reopen
        ? { ...old, available: old.available + amount }
        : { epoch: (old?.epoch ?? 0) + 1, available: amount, spent: 0n };
    this.chain.set(userId, channel);
    this.tell(userId);
  }

  tell(userId: number): void {
    const channel = this.chain.get(userId);
    if (channel) this.world.ledger.setChannel(channelOf(userId, channel));
  }

  hold(userId: number, amount: bigint): void {
    const { ledger } = this.world;
    const epoch = this.chain.get(userId)?.epoch ?? 0;
    const free = ledger.balanceOf(userId)?.free ?? 0n;
    const start = startOf(this.world, userId, epoch);
    try {
      ledger.hold(start, callerOf(userId), amount);
      expect(amount <= free, "held more than was free").to.equal(true);
      this.running.set(start.id, { userId, epoch, amount });
    } catch (error) {
      if (!isAimoError(error)) throw error;
      expect(amount > free || epoch === 0).to.equal(true);
    }
  }

  commit(pick: number, isFree: boolean, providerIndex: number): void {
    const entry = [...this.running][pick % Math.max(1, this.running.size)];
    if (!entry) return;
    const [id, { userId, epoch, amount }] = entry;
    this.running.delete(id);
    const { ledger } = this.world;
    if (isFree) ledger.commit(id, { kind: "free", reason: "timeout", attempts: [] });
    else {
      const provider = PROVIDERS[providerIndex % 2] ?? PROVIDERS[0];
      const used = usageFor(
        this.world,
        { ...startOf(this.world, userId, epoch), id },
        {
          ...{ provider, cost: (amount * 9n) / 10n, charge: amount },
        },
      );
      ledger.commit(id, used.outcome);
      this.waiting.push({ ...used, userId, provider: provider.id });
    }
    expect(() => ledger.commit(id, { kind: "free", reason: "timeout", attempts: [] })).to.throw(RangeError);
  }

  async bill(count: number): Promise<void> {
    for (const provider of PROVIDERS) {
      const own = this.waiting.filter((one) => one.provider === provider.id).slice(0, count);
      if (own.length === 0) continue;
      await billAll(this.world, own, provider);
      for (const one of own) {
        this.waiting.splice(this.waiting.indexOf(one), 1);
        const generation = await this.world.ledger.generationOf(one.id);
        if (generation?.state === "billed")
          this.owed.set(provider.id, (this.owed.get(provider.id) ?? 0n) + one.receipt.cost);
      }
    }
  }

  giveUpWaiting(): void {
    const one = this.waiting.shift();
    if (one) this.world.ledger.giveUp(one.receiptHash, "test");
  }

  expire(): void {
    this.world.clock.ms += 10_000;
    this.world.ledger.expire();
    this.waiting.length = 0;
  }

  async giveUpBilled(count: number): Promise<void> {
    if (this.world.store.openBatch()) return;
    const ids = this.world.store.unposted().map(({ leaf }) => leaf.id);
    await this.world.store.giveUp(ids.filter((_, index) => index % 3 === 0).slice(0, count), "test");
  }

  async cut(room: bigint): Promise<void> {
    const { store } = this.world;
    if (store.openBatch()) return;
    const over = store.unposted().filter(({ leaf }) => store.isOver(leaf));
    await store.giveUp(
      over.map(({ leaf }) => leaf.id),
      "over",
    );
    const leaves = takeLeaves(
      store.unposted().map(({ leaf }) => leaf),
      room,
    );
    const credits = store.credits(new Set(leaves.map(({ id }) => id)));
    if (leaves.length === 0) return;
    const batch = buildBatch(this.batchNo, leaves, credits);
    for (const { leaf, ids } of batch.users) {
      const own = leaves.filter(({ id }) => ids.includes(id));
      expect(own.reduce((sum, { charge }) => sum + charge, 0n)).to.equal(leaf.sum);
      let cumulative = leaf.cumStart;
      for (const one of own) {
        cumulative += one.charge;
        expect(one.userCumulative).to.equal(cumulative);
      }
    }
    expect(batch.header.receiptsSum).to.equal(leaves.reduce((sum, { charge }) => sum + charge, 0n));
    await store.saveBuilt(batch, credits, 0n);
  }

  async post(skipMask: number): Promise<void> {
    const open = this.world.store.openBatch();
    if (!open) return;
    const skipped: number[] = [];
    const record = this.world.books.openBatch();
    for (const { userId, epoch, cumStart, sum } of record?.users ?? []) {
      const channel = this.chain.get(userId);
      const fits = channel && channel.epoch === epoch && channel.spent === BigInt(cumStart);
      if (!fits || channel.available < BigInt(sum) || (skipMask >> userId) & 1) skipped.push(userId);
      else {
        channel.available -= BigInt(sum);
        channel.spent += BigInt(sum);
      }
      if (fits) this.tell(userId);
    }
    this.batchNo += 1n;
    const { batchNo, header } = open;
    const transaction = header.receiptsRoot;
    const { receiptsRoot } = header;
    await this.world.store.savePosted(batchNo, { transaction, postedAt: 1, skipped, receiptsRoot });
  }

  /** Everything in memory is gone; only what was flushed is read back. */
  async restart(): Promise<void> {
    const before = [...this.chain.keys()].map((userId) => this.world.ledger.balanceOf(userId));
    const debts = PROVIDERS.map(({ id }) => this.world.books.debtOf(id));
    const unposted = this.world.store.unposted().map(({ leaf }) => leaf);
    await this.world.ledger.flushed();
    this.world = await openWorld(await this.disk.reopen(), this.world.clock);
    for (const userId of this.chain.keys()) this.tell(userId);
    const { freed } = await this.world.ledger.reconcile();
    expect(freed).to.equal(this.running.size);
    this.running.clear();
    for (const balance of before) {
      if (!balance) continue;
      const after = this.world.ledger.balanceOf(balance.userId);
      const { charged, pending, limit } = balance;
      const left = limit - charged - pending;
      const free = left > 0n ? left : 0n;
      expect(after).to.deep.equal({ ...balance, held: 0n, free });
    }
    expect(PROVIDERS.map(({ id }) => this.world.books.debtOf(id))).to.deep.equal(debts);
    expect(this.world.store.unposted().map(({ leaf }) => leaf)).to.have.deep.members(unposted);
  }

  check(): void {
    const { ledger, books, store } = this.world;
    for (const [userId, { available, spent, epoch }] of this.chain) {
      const balance = ledger.balanceOf(userId);
      if (!balance) throw new Error("A channel that was told is unknown.");
      const { limit, charged, pending, held, free } = balance;
      expect(free >= 0n && pending >= 0n && held >= 0n).to.equal(true);
      expect(limit).to.equal(available + spent);
      expect(limit, "limit = charged + pending + held + free").to.equal(charged + pending + held + free);
      const own = store.unposted().filter(({ leaf }) => leaf.userId === userId && leaf.epoch === epoch);
      const billed = own.reduce((sum, { leaf }) => sum + leaf.charge, 0n);
      expect(charged, "charged = posted + billed").to.equal(spent + billed);
      const running = [...this.running.values()].filter(
        (one) => one.userId === userId && one.epoch === epoch,
      );
      expect(held).to.equal(running.reduce((sum, { amount }) => sum + amount, 0n));
    }
    for (const { id } of PROVIDERS) {
      const { owed, posted } = books.debtOf(id);
      expect(owed, "debts are the costs of billed receipts").to.equal(this.owed.get(id) ?? 0n);
      expect(posted <= owed).to.equal(true);
    }
  }
}

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
      const property = fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 60 }), async (steps) => {
        const { disk, world } = await fresh();
        const model = new Model(disk, world);
        for (const run of steps) {
          await run(model);
          model.check();
        }
        await model.restart();
        model.check();
        await model.world.journal.close();
      });
      await fc.assert(property, { numRuns: name === "memory-level" ? 150 : 15 });
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

    it("wait for a group until its deadline, over a restart", async () => {
      const { disk, world } = await fresh();
      world.ledger.setChannel(channelOf(1));
      const used = serveOne(world, 1, { cost: 1_000n });
      await world.ledger.flushed();
      const again = await openWorld(await disk.reopen(), world.clock);
      expect(await again.ledger.openUsers()).to.deep.equal([1]);
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
