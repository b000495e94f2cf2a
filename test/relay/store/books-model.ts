import { isAimoError } from "@aimo/protocol/errors";
import { finish } from "@aimo/protocol/tree";
import { expect } from "chai";
import { batchSteps } from "../../../relay/src/core/batch.ts";
import { cutCredits } from "../../../relay/src/core/credits.ts";
import { takeLeaves } from "../../../relay/src/flow/next-batch.ts";
import {
  billAll,
  callerOf,
  channelOf,
  type Disk,
  openWorld,
  PROVIDERS,
  startOf,
  type Used,
  usageFor,
  type World,
} from "./books-world.ts";

/** The chain as the ledger's model needs it: what each channel has, and what rows did to it. */
type OnChain = { epoch: number; available: bigint; spent: bigint };

/** Drives the books through what can happen and holds them to what must be true after each step. */
export class Model {
  readonly disk: Disk;
  world: World;
  readonly chain = new Map<number, OnChain>();
  readonly running = new Map<string, { userId: number; epoch: number; amount: bigint }>();
  readonly waiting: (Used & { userId: number; provider: number })[] = [];
  readonly owed = new Map<number, bigint>();
  /** Channels, by user and epoch, whose totals cannot go on: what was given out is never given out again. */
  readonly retired = new Set<string>();
  /** Who was charged up to which total, by user and epoch: the same total must never stand for another receipt. */
  readonly totals = new Map<string, string>();
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
      const isRetired = this.retired.has(`${userId}/${epoch}`);
      expect(amount > free || epoch === 0 || isRetired).to.equal(true);
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
    const leaves = this.world.store.unposted().map(({ leaf }) => leaf);
    const lost = leaves.filter((_, index) => index % 3 === 0).slice(0, count);
    await this.world.store.giveUp(
      lost.map(({ id }) => id),
      "test",
    );
    for (const { userId, epoch } of lost) this.retired.add(`${userId}/${epoch}`);
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
    const credits = cutCredits(store.claims(new Set(leaves.map(({ id }) => id))), 0n);
    if (leaves.length === 0) return;
    const batch = finish(batchSteps(this.batchNo, leaves, credits));
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
      if (!fits || channel.available < BigInt(sum) || (skipMask >> userId) & 1) {
        skipped.push(userId);
        this.retired.add(`${userId}/${epoch}`);
      } else {
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
      const { charged, pending, limit, userId, epoch } = balance;
      const left = limit - charged - pending;
      const free = left > 0n && !this.retired.has(`${userId}/${epoch}`) ? left : 0n;
      expect(after).to.deep.equal({ ...balance, held: 0n, free });
    }
    expect(PROVIDERS.map(({ id }) => this.world.books.debtOf(id))).to.deep.equal(debts);
    expect(this.world.store.unposted().map(({ leaf }) => leaf)).to.have.deep.members(unposted);
  }

  check(): void {
    const { ledger, books, store } = this.world;
    for (const { leaf } of store.unposted()) {
      // A free receipt leaves the total where it was.
      if (leaf.charge === 0n) continue;
      const place = `${leaf.userId}/${leaf.epoch}/${leaf.userCumulative}`;
      const holder = this.totals.get(place) ?? leaf.id;
      expect(holder, `total ${place} stands for two receipts`).to.equal(leaf.id);
      this.totals.set(place, leaf.id);
    }
    for (const [userId, { available, spent, epoch }] of this.chain) {
      const balance = ledger.balanceOf(userId);
      if (!balance) throw new Error("A channel that was told is unknown.");
      const { limit, charged, pending, held, free } = balance;
      expect(free >= 0n && pending >= 0n && held >= 0n).to.equal(true);
      expect(limit).to.equal(available + spent);
      if (this.retired.has(`${userId}/${epoch}`)) expect(free, "a retired channel is served").to.equal(0n);
      else expect(limit, "limit = charged + pending + held + free").to.equal(charged + pending + held + free);
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
