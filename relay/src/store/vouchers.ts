import type { SignedVoucher } from "@aimo/protocol/vouchers";
import type { Hex } from "viem";
import type { Journal } from "./journal.ts";

type Stored = { readonly epoch: number; readonly cumulative: string; readonly signature: Hex };

/**
 * The highest voucher of each SIGNED channel. It is queued for the disk before the hold that it admits, and the journal
 * keeps that order: no restart knows a charge and not the voucher that pays for it.
 */
export class Vouchers {
  readonly #journal: Journal;
  readonly #highest = new Map<number, SignedVoucher>();

  constructor(journal: Journal) {
    this.#journal = journal;
  }

  async restore(): Promise<void> {
    for await (const [key, { epoch, cumulative, signature }] of this.#journal.entries<Stored>("vouchers"))
      this.#highest.set(Number(key), { epoch, cumulative: BigInt(cumulative), signature });
  }

  /** Of this epoch; vouchers of another one pay nothing. */
  highestOf(userId: number, epoch: number): SignedVoucher | undefined {
    const highest = this.#highest.get(userId);
    return highest?.epoch === epoch ? highest : undefined;
  }

  /**
   * Takes in a voucher whose signature was checked. Only the highest counts, so they may come in any order; what an
   * earlier epoch has not posted by the time its channel is opened anew can never be posted.
   */
  take(userId: number, voucher: SignedVoucher): void {
    const known = this.#highest.get(userId);
    if (known && known.epoch > voucher.epoch) return;
    if (known?.epoch === voucher.epoch && known.cumulative >= voucher.cumulative) return;
    this.#highest.set(userId, voucher);
    this.#journal.put("vouchers", `${userId}`, () => this.#stored(userId));
  }

  /** As it is when it is written: many requests of a tick are one write. */
  #stored(userId: number): Stored | undefined {
    const highest = this.#highest.get(userId);
    return highest && { ...highest, cumulative: `${highest.cumulative}` };
  }
}
