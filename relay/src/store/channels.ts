import { CHANNEL_MODES } from "@aimo/protocol/deployment";
import { AimoError } from "@aimo/protocol/errors";
import { formatUsd } from "@aimo/protocol/units";
import type { SignedVoucher } from "@aimo/protocol/vouchers";
import { channelRefusal } from "../core/channel-refusal.ts";
import type { ChannelBalance, ChannelOnChain } from "../core/types.ts";
import { neededVoucher, type VoucherBook, type VoucherState, voucherError } from "../core/vouchers.ts";
import type { Journal } from "./journal.ts";
import { Vouchers } from "./vouchers.ts";

type State = {
  onChain: ChannelOnChain;
  charged: bigint;
  pending: bigint;
  held: bigint;
  /** Why this epoch is charged no more. */
  retired: string | undefined;
};
type Stored = { readonly epoch: number; readonly charged: string; readonly retired?: string };

export type ChannelsParameters = {
  readonly journal: Journal;
  readonly protocolNow: () => number;
  /** Protocol seconds: what this relay charged in channels opened before is not known any more. */
  readonly lostBefore?: number | undefined;
};

const LOST = "This relay lost its records of the channel.";

/**
 * Balances of channels. An amount always names the epoch it is for: what belongs to an old epoch touches no new one. A
 * running total is given out once: an epoch whose total cannot go on from there is retired, since two receipts with one
 * total are what the chain punishes.
 */
export class Channels implements VoucherBook {
  readonly #journal: Journal;
  readonly #vouchers: Vouchers;
  readonly #protocolNow: () => number;
  readonly #lostBefore: number;
  readonly #states = new Map<number, State>();
  readonly #stored = new Map<number, Stored>();

  constructor({ journal, protocolNow, lostBefore = 0 }: ChannelsParameters) {
    this.#journal = journal;
    this.#vouchers = new Vouchers(journal);
    this.#protocolNow = protocolNow;
    this.#lostBefore = lostBefore;
  }

  async restore(): Promise<void> {
    await this.#vouchers.restore();
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
    const own = stored?.epoch === onChain.epoch ? stored : undefined;
    const known = BigInt(own?.charged ?? 0);
    const charged = known > onChain.spent ? known : onChain.spent;
    const isLost = own === undefined && onChain.openedAt < this.#lostBefore;
    const retired = own?.retired ?? (isLost ? LOST : undefined);
    this.#states.set(onChain.userId, { onChain, charged, pending: 0n, held: 0n, retired });
  }

  balanceOf(userId: number): ChannelBalance | undefined {
    const state = this.#states.get(userId);
    if (!state) return undefined;
    const { onChain, charged, pending, held } = state;
    const thawing = onChain.thawAmount < onChain.available ? onChain.thawAmount : onChain.available;
    const limit = onChain.available + onChain.spent - thawing;
    const left = limit - charged - pending - held;
    const isOpen = channelRefusal(onChain, state.retired, this.#protocolNow()) === undefined;
    return {
      userId,
      epoch: onChain.epoch,
      limit,
      charged,
      pending,
      held,
      free: isOpen && left > 0n ? left : 0n,
      posted: onChain.spent,
      thawing,
      thawEnd: onChain.thawEnd,
      ...(isSigned(onChain)
        ? { voucher: this.#vouchers.highestOf(userId, onChain.epoch)?.cumulative ?? 0n }
        : {}),
      ...(state.retired === undefined ? {} : { retired: state.retired }),
    };
  }

  /** What a voucher for the channel is judged by; undefined when it is METERED or not known. */
  voucherStateOf(userId: number): (VoucherState & { spent: bigint; free: bigint }) | undefined {
    const state = this.#states.get(userId);
    if (!state || !isSigned(state.onChain)) return undefined;
    const { onChain, charged, pending, held } = state;
    const { epoch, sessionKey, spent } = onChain;
    const free = this.balanceOf(userId)?.free ?? 0n;
    const highest = this.#vouchers.highestOf(userId, epoch);
    return { userId, epoch, sessionKey, charged, pending, held, highest, spent, free };
  }

  takeVoucher(userId: number, voucher: SignedVoucher): void {
    this.#vouchers.take(userId, voucher);
  }

  /** What pays for charges of this epoch; undefined when it is METERED. */
  voucherOf(userId: number, epoch: number): SignedVoucher | undefined {
    return this.#vouchers.highestOf(userId, epoch);
  }

  onChainOf(userId: number): ChannelOnChain | undefined {
    return this.#states.get(userId)?.onChain;
  }

  /** Why an epoch is charged no more; undefined while it can be. */
  retiredOf(userId: number, epoch: number): string | undefined {
    return this.#at(userId, epoch)?.retired;
  }

  /** Throws `channel_exhausted`, `channel_retired`, `insufficient_credits`, `voucher_too_low`. */
  require(userId: number, epoch: number, amount: bigint): void {
    const state = this.#states.get(userId);
    const balance = this.balanceOf(userId);
    if (!state || !balance || balance.epoch !== epoch)
      throw new AimoError("channel_exhausted", { details: { user_id: userId } });
    const refusal = channelRefusal(state.onChain, state.retired, this.#protocolNow());
    if (refusal) throw refusal;
    if (balance.free < amount)
      throw new AimoError("insufficient_credits", {
        message: `The request may cost ${formatUsd(amount)} USD; the channel has ${formatUsd(balance.free)} USD free.`,
        details: { needed_pusd: amount, free_pusd: balance.free },
      });
    if (balance.voucher !== undefined && balance.voucher < neededVoucher(balance, amount))
      this.#refuseVoucher(userId, amount);
  }

  #refuseVoucher(userId: number, hold: bigint): never {
    const state = this.voucherStateOf(userId);
    if (!state) throw new RangeError(`User ${userId} has no SIGNED channel.`);
    const [needed, highest] = [neededVoucher(state, hold), state.highest?.cumulative ?? 0n];
    const message =
      `The request may cost ${formatUsd(hold)} USD, which needs a voucher over ${formatUsd(needed)} USD; ` +
      `the highest is over ${formatUsd(highest)} USD.`;
    throw voucherError("voucher_too_low", state, { hold, message });
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

  /** Turns a pending charge into a billed one; returns the new running total, or undefined when the epoch is over or retired. */
  charge(userId: number, epoch: number, amount: bigint): bigint | undefined {
    const state = this.#at(userId, epoch);
    if (!state || state.retired !== undefined) return undefined;
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

  /** Charges the epoch no more, for good: totals were given out that will never be on the chain. */
  retire(userId: number, epoch: number, why: string): void {
    const state = this.#at(userId, epoch);
    if (!state || state.retired !== undefined) return;
    state.retired = why;
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
    const { retired } = state;
    const about = { epoch: state.onChain.epoch, charged: `${state.charged}` };
    const stored: Stored = retired === undefined ? about : { ...about, retired };
    this.#stored.set(userId, stored);
    this.#journal.put("channels", `${userId}`, stored);
  }
}

const isSigned = ({ mode }: ChannelOnChain): boolean => mode === CHANNEL_MODES.signed;
