import { setTimeout as wait } from "node:timers/promises";
import type { UsageReceipt } from "@aimo/protocol/receipts";
import { expect } from "chai";
import { startSettling } from "../../../relay/src/flow/settling.ts";
import {
  type Clock,
  callerOf,
  channelOf,
  newClock,
  openWorld,
  PROVIDERS,
  type Signer,
  signGroup,
  startOf,
  USD,
  usageFor,
  type World,
} from "./books-world.ts";
import type { CutDisk } from "./cut-disk.ts";
import { PaperChain, type PaperState } from "./paper-chain.ts";

const USERS = [1, 2, 3];
const CHANNEL = 100n * USD;
const FEE_BPS = 500n;
const BPS = 10_000n;
/** Far beyond a run: settling is asked for, never by the clock. */
const NEVER_MS = 3_600_000;
/** Longer than the journal's tick. */
const TICK_MS = 7;

type Served = {
  readonly id: string;
  readonly cost: bigint;
  readonly charge: bigint;
  readonly provider: Signer;
};
type Group = { readonly provider: Signer; readonly receipts: readonly UsageReceipt[] };
type Voucher = { readonly provider: Signer; readonly cumulative: bigint };
type Learnt = { readonly vouchers: readonly Voucher[]; readonly groups: readonly Group[] };
/** What left the relay, and how many syncs had ended by then. */
type Fact<T> = { readonly syncs: number; readonly what: T };

/** A relay's books under load on a disk whose power is cut, with all that others have learnt from it meanwhile. */
export class CutModel {
  readonly #disk: CutDisk;
  readonly #clock: Clock = newClock();
  readonly #served = new Map<string, Served>();
  readonly #unsigned: Served[] = [];
  readonly #receipts = new Map<string, UsageReceipt>();
  readonly #groups: Fact<Group>[] = [];
  readonly #vouchers: Fact<Voucher>[] = [];
  readonly #states: Fact<PaperState>[] = [];
  readonly #work: Promise<unknown>[] = [];
  readonly #chain: PaperChain;
  #relay: Relay | undefined;

  constructor(disk: CutDisk) {
    this.#disk = disk;
    const channels = new Map(USERS.map((id) => [id, { available: CHANNEL, spent: 0n }]));
    const state = { channels, paid: new Map(), batches: [] };
    this.#chain = new PaperChain(state, () => this.#tell(this.#states, this.#chain.state));
    this.#tell(this.#states, state);
  }

  async start(): Promise<void> {
    this.#relay = await openRelay(this.#disk.db, this.#clock, this.#chain);
  }

  /** Holds, and ends the hold: with a receipt to come, or free. `ends` false: it runs until the power is cut. */
  serve(userId: number, cost: bigint, { isFree, ends }: { isFree: boolean; ends: boolean }): void {
    const { world } = this.#on();
    const charge = cost + (cost * FEE_BPS) / BPS;
    const start = startOf(world, userId);
    world.ledger.hold(start, callerOf(userId), 2n * charge);
    if (!ends) return;
    if (isFree) {
      world.ledger.commit(start.id, { kind: "free", reason: "timeout", attempts: [] });
      return;
    }
    const provider = PROVIDERS[this.#served.size % PROVIDERS.length] ?? PROVIDERS[0];
    const { outcome, receipt } = usageFor(world, start, { provider, cost, charge });
    world.ledger.commit(start.id, outcome);
    const served = { id: start.id, cost, charge, provider };
    this.#served.set(start.id, served);
    this.#receipts.set(start.id, receipt);
    this.#unsigned.push(served);
  }

  /** Each provider signs for what it served since, and hears what it is owed. Not awaited. */
  sign(): void {
    for (const provider of PROVIDERS) {
      const own = this.#unsigned.filter((one) => one.provider === provider);
      if (own.length === 0) continue;
      for (const one of own) this.#unsigned.splice(this.#unsigned.indexOf(one), 1);
      const receipts = own.flatMap(({ id }) => this.#receipts.get(id) ?? []);
      this.#tell(this.#groups, { provider, receipts });
      this.#work.push(this.#hand({ provider, receipts }));
    }
  }

  async #hand({ provider, receipts }: Group): Promise<void> {
    const { world } = this.#on();
    const { group, signature } = signGroup(world, receipts, provider);
    const answer = await world.billing.onGroup(group, signature, receipts, provider);
    if ("refused" in answer) throw new Error(answer.refused);
    this.#tell(this.#vouchers, { provider, cumulative: answer.cumulative });
  }

  /** Not awaited. */
  settle(): void {
    this.#work.push(this.#on().settling.settleNow());
  }

  tick(): Promise<void> {
    return wait(TICK_MS);
  }

  /** Lets everything under way end. */
  async stop(): Promise<void> {
    await Promise.all(this.#work);
    const { world, settling } = this.#on();
    await world.journal.flushed();
    await settling.close();
  }

  /**
   * At each sync the power is cut twice: as the sync ends, and just before the next one does, when others have learnt
   * all that they will before it. Then the relay starts anew, and everyone tells it what they know.
   */
  async cutEverywhere(): Promise<void> {
    for (let syncs = 0; syncs <= this.#disk.syncs; syncs++)
      for (const learnt of [syncs - 1, syncs]) if (learnt >= 0) await this.#cut(syncs, learnt);
  }

  async #cut(syncs: number, learnt: number): Promise<void> {
    const by = <T>(facts: readonly Fact<T>[]): T[] =>
      facts.filter((fact) => fact.syncs <= learnt).map(({ what }) => what);
    const [first] = this.#states;
    const state = by(this.#states).at(-1) ?? first?.what;
    if (!state) throw new Error("The chain began with nothing.");
    const chain = new PaperChain(state);
    const relay = await openRelay(await this.#disk.after(syncs), this.#clock, chain);
    try {
      await this.#recover(relay, chain, { vouchers: by(this.#vouchers), groups: by(this.#groups) });
    } finally {
      await relay.settling.close();
      await relay.world.journal.close();
    }
  }

  async #recover({ world, settling }: Relay, chain: PaperChain, { vouchers, groups }: Learnt): Promise<void> {
    for (const { provider, cumulative } of vouchers)
      expect(world.books.debtOf(provider.id).owed >= cumulative, "a signed debt is forgotten").to.equal(true);
    await settling.settleNow();
    // Providers send again what they signed: who had heard of it, and who had not.
    for (const { provider, receipts } of groups) {
      const { group, signature } = signGroup(world, receipts, provider);
      await world.billing.onGroup(group, signature, receipts, provider);
    }
    // What no provider had signed for by then is given up in time.
    for (const id of this.#served.keys()) {
      const generation = await world.ledger.generationOf(id);
      if (generation?.outcome?.kind === "usage" && generation.state === "provisional")
        world.ledger.giveUp(generation.outcome.statement.receiptHash, "nobody signed");
    }
    await settling.settleNow();
    await this.#expectSums(world, chain, vouchers);
  }

  /** All that is billed is on the chain once, and nothing else is; nothing is held or waits. */
  async #expectSums(world: World, chain: PaperChain, vouchers: readonly Voucher[]): Promise<void> {
    const charged = new Map<number, bigint>();
    const costs = new Map<number, bigint>();
    for (const { id, cost, charge, provider } of this.#served.values()) {
      const generation = await world.ledger.generationOf(id);
      if (generation?.state !== "posted" && generation?.state !== "final") continue;
      charged.set(generation.userId, (charged.get(generation.userId) ?? 0n) + charge);
      costs.set(provider.id, (costs.get(provider.id) ?? 0n) + cost);
    }
    for (const userId of USERS) {
      const spent = chain.state.channels.get(userId)?.spent;
      expect(spent, `what user ${userId} paid`).to.equal(charged.get(userId) ?? 0n);
      const { charged: total, pending, held, free } = world.ledger.balanceOf(userId) ?? {};
      expect({ total, pending, held, free }).to.deep.equal({
        ...{ total: spent, pending: 0n, held: 0n, free: CHANNEL - (spent ?? 0n) },
      });
    }
    for (const { id } of PROVIDERS) {
      expect(chain.paid(id), `what provider ${id} was paid`).to.equal(costs.get(id) ?? 0n);
      expect(world.books.debtOf(id)).to.deep.equal({ owed: chain.paid(id), posted: chain.paid(id) });
    }
    for (const { provider, cumulative } of vouchers)
      expect(chain.paid(provider.id) >= cumulative, "a signed debt is not paid").to.equal(true);
    expect(world.store.unposted()).to.deep.equal([]);
  }

  #tell<T>(facts: Fact<T>[], what: T): void {
    facts.push({ syncs: this.#disk.syncs, what });
  }

  #on(): Relay {
    if (!this.#relay) throw new Error("The relay was not started.");
    return this.#relay;
  }
}

type Relay = { readonly world: World; readonly settling: ReturnType<typeof startSettling> };

/** A relay's books and its settling, brought in step with the chain as `money.ts` does. */
async function openRelay(db: CutDisk["db"], clock: Clock, chain: PaperChain): Promise<Relay> {
  const world = await openWorld(db, clock, { readPaid: async (id) => chain.paid(id) });
  const refresh = (userId: number) => {
    const channel = chain.state.channels.get(userId);
    if (channel) world.ledger.setChannel(channelOf(userId, channel));
  };
  for (const userId of USERS) refresh(userId);
  await world.ledger.reconcile();
  const log = { info: () => {}, warn: () => {}, error: () => {} };
  const settling = startSettling({
    ...{ chain, store: world.store, postWindow: 3_600, epoch: 600, log, intervalMs: NEVER_MS },
    ...{ protocolNow: world.protocolNow, now: world.now, pausedUntil: () => undefined },
    refreshChannel: async (userId) => refresh(userId),
    due: () => {
      throw new Error("Nobody looks by the clock.");
    },
  });
  return { world, settling };
}
