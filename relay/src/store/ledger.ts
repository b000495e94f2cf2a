import { GROUP_DEADLINE_MS } from "@aimo/protocol/groups";
import type {
  Caller,
  ChannelBalance,
  ChannelOnChain,
  CountFlag,
  Generation,
  GenerationStart,
  KeyUsage,
  Outcome,
} from "../core/types.ts";
import type { VoucherBook } from "../core/vouchers.ts";
import type { Ledger } from "../flow/ports.ts";
import { Channels } from "./channels.ts";
import type { Journal } from "./journal.ts";
import { Pages } from "./pages.ts";
import { Provisionals } from "./provisionals.ts";
import {
  fromStored,
  jsonOfGeneration,
  type PostedRecord,
  type ServedRecord,
  type StoredGeneration,
  usageOf,
} from "./records.ts";
import type { UnpostedReceipts } from "./unposted.ts";
import { KeyUsages, type StoredUsage } from "./usage.ts";

export type LedgerParameters = {
  readonly journal: Journal;
  /** What is billed: kept by the books. */
  readonly unposted: Pick<UnpostedReceipts, "get" | "values">;
  /** Wall-clock milliseconds. */
  readonly now: () => number;
  /** Protocol seconds. */
  readonly protocolNow: () => number;
  /** Protocol seconds: see `Channels`. */
  readonly lostBefore?: number | undefined;
};

/**
 * What every account has held and been charged. Memory rules and a journal follows; each generation passes through
 * `hold`, `commit`, then `bill` or `giveUp`, each exactly once.
 */
export class LevelLedger implements Ledger {
  readonly #journal: Journal;
  readonly #now: () => number;
  readonly #protocolNow: () => number;
  readonly #channels: Channels;
  readonly #usages: KeyUsages;
  readonly #running = new Map<string, StoredGeneration>();
  readonly #provisional = new Provisionals();
  readonly #unposted: LedgerParameters["unposted"];
  readonly #held: Pages<StoredGeneration>;
  readonly #served: Pages<ServedRecord>;

  private constructor({ journal, unposted, now, protocolNow, lostBefore }: LedgerParameters) {
    this.#journal = journal;
    this.#unposted = unposted;
    this.#held = new Pages({ journal, bucket: "open", encode: jsonOfGeneration });
    this.#served = new Pages({ journal, bucket: "served", encode: JSON.stringify });
    this.#now = now;
    this.#protocolNow = protocolNow;
    this.#channels = new Channels({ journal, protocolNow, lostBefore });
    this.#usages = new KeyUsages(now);
  }

  /** Reads balances back. Call `reconcile` when the channels of `openUsers` are known again. */
  static async open(parameters: LedgerParameters): Promise<LevelLedger> {
    const ledger = new LevelLedger(parameters);
    await ledger.#channels.restore();
    for await (const [keyHash, stored] of parameters.journal.entries<StoredUsage>("usage"))
      ledger.#usages.restore(keyHash, stored);
    return ledger;
  }

  setChannel(channel: ChannelOnChain): void {
    this.#channels.set(channel);
  }

  balanceOf(userId: number): ChannelBalance | undefined {
    return this.#channels.balanceOf(userId);
  }

  channelOf(userId: number): ChannelOnChain | undefined {
    return this.#channels.onChainOf(userId);
  }

  /** What the session keys of SIGNED channels promised. */
  get vouchers(): VoucherBook {
    return this.#channels;
  }

  usageOfKey(keyHash: string): KeyUsage {
    return this.#usages.of(keyHash);
  }

  hold(start: GenerationStart, caller: Caller, amount: bigint): void {
    this.#journal.requireRoom();
    if (amount < 0n) throw new RangeError(`A hold of ${amount} pUSD.`);
    if (this.#running.has(start.id)) throw new RangeError(`Generation ${start.id} is held already.`);
    this.#channels.require(start.userId, start.epoch, amount);
    this.#usages.require(caller, amount);
    this.#channels.hold(start.userId, amount);
    this.#usages.hold(start.keyHash, amount);
    const generation: StoredGeneration = { ...start, state: "running", held: amount };
    this.#running.set(start.id, generation);
    this.#held.add(start.id, generation);
  }

  commit(id: string, outcome: Outcome): void {
    const generation = this.#running.get(id);
    if (!generation) throw new RangeError(`Generation ${id} holds nothing.`);
    const { userId, epoch, keyHash, held } = generation;
    const charge = outcome.kind === "usage" ? outcome.charge : 0n;
    if (charge < 0n || charge > held)
      throw new RangeError(`Generation ${id} is charged ${charge} pUSD of ${held}.`);
    if (outcome.kind === "usage" && this.#provisional.has(outcome.statement.receiptHash))
      throw new RangeError(`Another generation waits for receipt ${outcome.statement.receiptHash}.`);
    this.#running.delete(id);
    this.#channels.release(userId, epoch, held);
    this.#usages.settle(keyHash, held, charge);
    this.#saveUsage(keyHash);
    if (outcome.kind === "free") {
      const note = outcome.note === undefined ? {} : { note: outcome.note };
      this.#close({ ...generation, ...note, state: "free", outcome });
      return;
    }
    this.#channels.addPending(userId, epoch, charge);
    const provisional: StoredGeneration = { ...generation, state: "provisional", outcome };
    const deadline = this.#now() + GROUP_DEADLINE_MS;
    this.#provisional.add({ generation: provisional, deadline });
    this.#held.delete(id);
    this.#served.add(id, { userId, deadline });
    this.#journal.putText("generations", id, () => jsonOfGeneration(provisional));
  }

  /** Hash of the receipt that was stated for a request and waits for its signature. */
  receiptOfRequest(requestHash: string): string | undefined {
    return this.#provisional.receiptOfRequest(requestHash);
  }

  /** What waits for the receipt with this hash; nothing after its deadline, even when it was not given up yet. */
  provisionalOf(receiptHash: string): StoredGeneration | undefined {
    const waiting = this.#provisional.get(receiptHash);
    return waiting && waiting.deadline > this.#now() ? waiting.generation : undefined;
  }

  /** Bills a provisional generation: it gets its place in the channel's running total. Undefined: its epoch is over. */
  bill(receiptHash: string): StoredGeneration | undefined {
    const waiting = this.#provisional.get(receiptHash)?.generation;
    const usage = waiting && usageOf(waiting);
    if (!waiting || !usage) throw new RangeError(`Receipt ${receiptHash} waits for nothing.`);
    const userCumulative = this.#channels.charge(waiting.userId, waiting.epoch, usage.charge);
    if (userCumulative === undefined) {
      const retired = this.#channels.retiredOf(waiting.userId, waiting.epoch);
      this.giveUp(receiptHash, retired ?? "The channel was opened anew before the provider signed.");
      return undefined;
    }
    this.#provisional.remove(receiptHash);
    this.#served.delete(waiting.id);
    return { ...waiting, state: "billed", userCumulative };
  }

  /** Ends a provisional generation without a bill: the charge is freed for good. */
  giveUp(receiptHash: string, note: string): void {
    const waiting = this.#provisional.get(receiptHash)?.generation;
    const usage = waiting && usageOf(waiting);
    if (!waiting || !usage) return;
    this.#provisional.remove(receiptHash);
    this.#channels.addPending(waiting.userId, waiting.epoch, -usage.charge);
    this.#usages.charge(waiting.keyHash, -usage.charge);
    this.#saveUsage(waiting.keyHash);
    this.#close({ ...waiting, state: "unbilled", note });
  }

  /** Gives up what no group came for in time. Returns how many. */
  expire(): number {
    const late = this.#provisional.lateAt(this.#now());
    for (const receiptHash of late) this.giveUp(receiptHash, "The provider did not sign in time.");
    return late.length;
  }

  /** Takes one billed charge back: it is never posted. */
  unbill(generation: StoredGeneration, note: string): void {
    const { userId, epoch, keyHash } = generation;
    const charge = usageOf(generation)?.charge ?? 0n;
    this.#channels.uncharge(userId, epoch, charge);
    this.#usages.charge(keyHash, -charge);
    this.#saveUsage(keyHash);
    this.#close({ ...generation, state: "unbilled", note });
  }

  /** Takes a skipped row's charges back, down to what the chain has, and retires the epoch. */
  rollBack(userId: number, epoch: number, spent: bigint, generations: readonly StoredGeneration[]): void {
    for (const generation of generations)
      this.unbill(generation, "The chain skipped the channel's row: it no longer covers it.");
    this.#channels.rollBack(userId, epoch, spent);
    this.retire(userId, epoch, "The chain skipped a debit of the channel.");
  }

  /** Serves and bills this epoch of the channel no more. `why`: a sentence for its user. */
  retire(userId: number, epoch: number, why: string): void {
    this.#channels.retire(userId, epoch, why);
  }

  /** Cost of receipts that a provider stated and has not signed yet, pUSD. */
  unsignedOf(providerId: number): bigint {
    return this.#provisional.unsignedOf(providerId);
  }

  async generationOf(id: string): Promise<Generation | undefined> {
    const flagged = this.#journal.get<CountFlag>("flags", id);
    const [generation, flag] = await Promise.all([this.storedOf(id), flagged]);
    return generation && flag ? { ...generation, flag } : generation;
  }

  flag(id: string, flag: CountFlag): void {
    this.#journal.put("flags", id, flag);
  }

  async storedOf(id: string): Promise<StoredGeneration | undefined> {
    const known = this.#running.get(id) ?? this.#provisional.ofGeneration(id);
    if (known) return known;
    const generation = fromStored<StoredGeneration | undefined>(await this.#journal.get("generations", id));
    return generation?.state === "provisional" ? this.#withBill(generation) : generation;
  }

  /** What was served, and is not waiting any more, was billed: what is known of that is kept apart. */
  async #withBill(generation: StoredGeneration): Promise<StoredGeneration> {
    const { id } = generation;
    // In this order: it moves from the first to the second, so one of the two has it.
    const unposted = this.#unposted.get(id)?.toRecord();
    const posted = unposted ? undefined : await this.#journal.get<PostedRecord>("posted", id);
    const record = unposted ?? posted;
    if (!record) return generation;
    const { root, index } = record;
    const billed = { root, index };
    const userCumulative = BigInt(record.userCumulative);
    if (!posted) return { ...generation, state: "billed", userCumulative, billed };
    const { batchNo, finalAt } = posted;
    const state = this.#protocolNow() >= finalAt ? "final" : "posted";
    return { ...generation, state, userCumulative, billed, batchNo: BigInt(batchNo), finalAt };
  }

  async #isBilled(id: string): Promise<boolean> {
    return this.#unposted.get(id) !== undefined || (await this.#journal.get("posted", id)) !== undefined;
  }

  provisionalCount(): number {
    return this.#provisional.size;
  }

  /** Users with something open or charged before a restart; their channels have to be read before `reconcile`. */
  async openUsers(): Promise<number[]> {
    const users = new Set<number>(Array.from(this.#unposted.values(), ({ userId }) => userId));
    for (const bucket of ["open", "served"] as const)
      for await (const [, page] of this.#journal.entries<Record<string, { userId: number }>>(bucket))
        for (const { userId } of Object.values(page)) users.add(userId);
    return [...users];
  }

  /** After a restart: what was running is free, what was provisional waits on, or is given up. */
  async reconcile(): Promise<{ readonly freed: number; readonly waiting: number }> {
    let freed = 0;
    for await (const { id, value } of this.#held.restore()) {
      if ((await this.#journal.get("generations", id)) !== undefined) continue;
      freed += 1;
      const outcome: Outcome = { kind: "free", reason: "internal_error", attempts: [] };
      this.#close({ ...fromStored<StoredGeneration>(value), state: "free", outcome });
    }
    for await (const { id, value, keep } of this.#served.restore()) {
      const generation = fromStored<StoredGeneration | undefined>(await this.#journal.get("generations", id));
      const usage = generation && usageOf(generation);
      if (!usage || generation.state !== "provisional" || (await this.#isBilled(id))) continue;
      const served = value as ServedRecord;
      keep(served);
      this.#channels.addPending(served.userId, generation.epoch, usage.charge);
      this.#provisional.add({ generation, deadline: served.deadline });
    }
    this.expire();
    return { freed, waiting: this.#provisional.size };
  }

  flushed(): Promise<void> {
    return this.#journal.flushed();
  }

  /** As it is when it is written: all that changed it until then is written with it. */
  #saveUsage(keyHash: string): void {
    this.#journal.put("usage", keyHash, () => this.#usages.stored(keyHash));
  }

  #close(generation: StoredGeneration): void {
    this.#held.delete(generation.id);
    this.#served.delete(generation.id);
    this.#journal.putText("generations", generation.id, () => jsonOfGeneration(generation));
  }
}
