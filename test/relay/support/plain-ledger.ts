import { AimoError } from "@aimo/protocol/errors";
import type {
  Caller,
  ChannelBalance,
  CountFlag,
  Generation,
  GenerationStart,
  KeyUsage,
  Outcome,
} from "../../../relay/src/core/types.ts";
import type { Ledger } from "../../../relay/src/flow/ports.ts";

/** A ledger in plain sight, for tests of what calls it: the arithmetic of holds, and a record of every commit. */
export class PlainLedger implements Ledger {
  readonly commits: { id: string; outcome: Outcome }[] = [];
  readonly holds = new Map<string, { amount: bigint; userId: number; keyHash: string }>();
  readonly generations = new Map<string, Generation>();
  readonly #limits = new Map<number, bigint>();
  readonly #pending = new Map<number, bigint>();
  readonly #byKey = new Map<string, bigint>();
  mostHeld = 0n;

  open(userId: number, limit: bigint): void {
    this.#limits.set(userId, limit);
  }

  setChannel(): void {}

  balanceOf(userId: number): ChannelBalance | undefined {
    const limit = this.#limits.get(userId);
    if (limit === undefined) return undefined;
    const pending = this.#pending.get(userId) ?? 0n;
    let held = 0n;
    for (const hold of this.holds.values()) if (hold.userId === userId) held += hold.amount;
    const money = { limit, charged: 0n, pending, held, free: limit - pending - held, posted: 0n };
    return { userId, epoch: 1, ...money, thawing: 0n, thawEnd: 0 };
  }

  hold(start: GenerationStart, caller: Caller, amount: bigint): void {
    const balance = this.balanceOf(start.userId);
    if (!balance) throw new AimoError("channel_exhausted");
    const usage = this.usageOfKey(caller.keyHash);
    if (caller.limit !== undefined && usage.total + usage.held + amount > caller.limit)
      throw new AimoError("key_limit_reached", { details: { needed: amount } });
    if (amount > balance.free)
      throw new AimoError("insufficient_credits", { details: { needed: amount, free: balance.free } });
    this.holds.set(start.id, { amount, userId: start.userId, keyHash: caller.keyHash });
    const held = balance.held + amount + balance.pending;
    if (held > this.mostHeld) this.mostHeld = held;
    this.generations.set(start.id, { ...start, state: "running", held: amount });
  }

  readonly flags = new Map<string, CountFlag>();

  flag(id: string, flag: CountFlag): void {
    this.flags.set(id, flag);
  }

  commit(id: string, outcome: Outcome): void {
    const hold = this.holds.get(id);
    const generation = this.generations.get(id);
    if (!hold || !generation) throw new RangeError(`There is no hold ${id}.`);
    this.holds.delete(id);
    this.commits.push({ id, outcome });
    const charge = outcome.kind === "usage" ? outcome.charge : 0n;
    this.#pending.set(hold.userId, (this.#pending.get(hold.userId) ?? 0n) + charge);
    this.#byKey.set(hold.keyHash, (this.#byKey.get(hold.keyHash) ?? 0n) + charge);
    const state = outcome.kind === "usage" ? "provisional" : "free";
    const note = outcome.kind === "free" && outcome.note ? { note: outcome.note } : {};
    this.generations.set(id, { ...generation, state, outcome, ...note });
  }

  async generationOf(id: string): Promise<Generation | undefined> {
    return this.generations.get(id);
  }

  usageOfKey(keyHash: string): KeyUsage {
    const total = this.#byKey.get(keyHash) ?? 0n;
    let held = 0n;
    for (const hold of this.holds.values()) if (hold.keyHash === keyHash) held += hold.amount;
    return { total, daily: total, weekly: total, monthly: total, held };
  }

  provisionalCount(): number {
    return [...this.generations.values()].filter(({ state }) => state === "provisional").length;
  }

  async flushed(): Promise<void> {}
}
