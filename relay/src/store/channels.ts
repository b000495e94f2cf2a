import { AimoError } from "@aimo/protocol/errors";
import { formatUsd } from "@aimo/protocol/units";
import type { ChannelBalance, ChannelOnChain } from "../core/types.ts";
import type { Journal } from "./journal.ts";

type State = { onChain: ChannelOnChain; charged: bigint; pending: bigint; held: bigint };
type Stored = { readonly epoch: number; readonly charged: string };

/** Balances of channels. An amount always names the epoch it is for: what belongs to an old epoch touches no new one. */
export class Channels {
  readonly #journal: Journal;
  readonly #protocolNow: () => number;
  readonly #states = new Map<number, State>();
  readonly #stored = new Map<number, Stored>();

  constructor(journal: Journal, protocolNow: () => number) {
    this.#journal = journal;
    this.#protocolNow = protocolNow;
  }

  async restore(): Promise<void> {
    for await (const [key, stored] of this.#journal.entries<Stored>("channels"))
      this.#stored.set(Number(key), stored);
  }

  set(onChain: ChannelOnChain): void {
    const state = this.#states.get(onChain.userId);
    if (state && state.onChain.epoch === onChain.epoch) {
      // The chain never takes back what it debited; more than we know of means that our data is older than it.
      if (onChain.spent > state.charged) state.charged = onChain.spent;
      state.onChain = onChain;
      return;
    }
    if (state && state.onChain.epoch > onChain.epoch) return;
    const stored = this.#stored.get(onChain.userId);
    const known = stored?.epoch === onChain.epoch ? BigInt(stored.charged) : 0n;
    const charged = known > onChain.spent ? known : onChain.spent;
    this.#states.set(onChain.userId, { onChain, charged, pending: 0n, held: 0n });
  }

  balanceOf(userId: number): ChannelBalance | undefined {
    const state = this.#states.get(userId);
    if (!state) return undefined;
    const { onChain, charged, pending, held } = state;
    const thawing = onChain.thawAmount < onChain.available ? onChain.thawAmount : onChain.available;
    const limit = onChain.available + onChain.spent - thawing;
    const left = limit - charged - pending - held;
    const isOpen = onChain.expiry > this.#protocolNow();
    return {
      userId,
      epoch: onChain.epoch,
      limit,
      charged,
      pending,
      held,
      free: isOpen && left > 0n ? left : 0n,
      posted: onChain.spent,
    };
  }

  onChainOf(userId: number): ChannelOnChain | undefined {
    return this.#states.get(userId)?.onChain;
  }

  /** Throws `channel_exhausted`, `insufficient_credits`. */
  require(userId: number, epoch: number, amount: bigint): void {
    const state = this.#states.get(userId);
    const balance = this.balanceOf(userId);
    if (!state || !balance || balance.epoch !== epoch || state.onChain.expiry <= this.#protocolNow())
      throw new AimoError("channel_exhausted", { details: { user_id: userId } });
    if (balance.free < amount)
      throw new AimoError("insufficient_credits", {
        message: `The request may cost ${formatUsd(amount)} USD; the channel has ${formatUsd(balance.free)} USD free.`,
        details: { needed_pusd: amount, free_pusd: balance.free },
      });
  }

  hold(userId: number, amount: bigint): void {
    const state = this.#states.get(userId);
    if (state) state.held += amount;
  }

  release(userId: number, epoch: number, amount: bigint): void {
    const state = this.#at(userId, epoch);
    if (state) state.held -= amount;
  }

  addPending(userId: number, epoch: number, amount: bigint): void {
    const state = this.#at(userId, epoch);
    if (state) state.pending += amount;
  }

  /** Turns a pending charge into a billed one; returns the new running total, or undefined when the epoch is over. */
  charge(userId: number, epoch: number, amount: bigint): bigint | undefined {
    const state = this.#at(userId, epoch);
    if (!state) return undefined;
    state.pending -= amount;
    state.charged += amount;
    this.#save(userId, state);
    return state.charged;
  }

  /** Takes back a charge that is never posted. */
  uncharge(userId: number, epoch: number, amount: bigint): void {
    const state = this.#at(userId, epoch);
    if (!state) return;
    state.charged -= amount;
    this.#save(userId, state);
  }

  /** Takes back what was billed after the chain's total, because its row was skipped. */
  rollBack(userId: number, epoch: number, to: bigint): void {
    const state = this.#at(userId, epoch);
    if (!state) return;
    state.charged = to;
    this.#save(userId, state);
  }

  #at(userId: number, epoch: number): State | undefined {
    const state = this.#states.get(userId);
    return state?.onChain.epoch === epoch ? state : undefined;
  }

  #save(userId: number, state: State): void {
    const stored = { epoch: state.onChain.epoch, charged: `${state.charged}` };
    this.#stored.set(userId, stored);
    this.#journal.put("channels", `${userId}`, stored);
  }
}
