import { AimoError } from "@aimo/protocol/errors";

/** What stands for a relay's debt, and what was paid of it, at the block that nodes act on. pUSD. */
export type Cover = {
  /** What of the relay's reserve for this provider is not thawing. */
  readonly reserve: bigint;
  /** Paid over all time, by rows and by redeemed vouchers. */
  readonly paid: bigint;
};

const NO_COVER: Cover = { reserve: 0n, paid: 0n };

/**
 * What each relay could leave unpaid: vouchers that are not posted, receipts that it has not answered with a voucher, and
 * requests in flight at their worst case. A provider serves while that is within the relay's reserve and its own credit
 * limit. pUSD.
 */
export class Exposure {
  readonly #limit: bigint;
  /** Receipts without a voucher, and requests in flight. */
  readonly #open = new Map<number, bigint>();
  readonly #vouchers = new Map<number, bigint>();
  readonly #covers = new Map<number, Cover>();

  constructor(limit: bigint) {
    this.#limit = limit;
  }

  /** Throws `credit_limit_reached`, with the numbers, when `amount` more would pass the limit. */
  reserve(relayId: number, amount: bigint): void {
    const owed = this.of(relayId);
    const { reserve } = this.coverOf(relayId);
    if (owed + amount > this.#limit + reserve)
      throw new AimoError("credit_limit_reached", {
        message:
          `Relay ${relayId} has ${owed} pUSD open; ${amount} more would pass its reserve (${reserve} pUSD) and ` +
          `credit_limit_usd (${this.#limit} pUSD).`,
        details: { open: owed, needed: amount, reserve, limit: this.#limit },
        retryAfterSeconds: 1,
      });
    this.#open.set(relayId, this.#openOf(relayId) + amount);
  }

  /** Adds without a check: receipts that were already signed when the node started. */
  restore(relayId: number, amount: bigint): void {
    this.#open.set(relayId, this.#openOf(relayId) + amount);
  }

  /** Turns a reservation into what the request really cost (0: nothing is owed). */
  replace(relayId: number, reserved: bigint, cost: bigint): void {
    this.#open.set(relayId, this.#openOf(relayId) - reserved + cost);
  }

  release(relayId: number, amount: bigint): void {
    const open = this.#openOf(relayId) - amount;
    if (open === 0n) this.#open.delete(relayId);
    else this.#open.set(relayId, open);
  }

  /** The newest voucher's cumulative. */
  setVoucher(relayId: number, cumulative: bigint): void {
    this.#vouchers.set(relayId, cumulative);
  }

  setCover(relayId: number, cover: Cover): void {
    this.#covers.set(relayId, cover);
  }

  coverOf(relayId: number): Cover {
    return this.#covers.get(relayId) ?? NO_COVER;
  }

  /** Signed for by vouchers and not paid. */
  unpostedOf(relayId: number): bigint {
    const unpaid = (this.#vouchers.get(relayId) ?? 0n) - this.coverOf(relayId).paid;
    return unpaid > 0n ? unpaid : 0n;
  }

  of(relayId: number): bigint {
    return this.#openOf(relayId) + this.unpostedOf(relayId);
  }

  #openOf(relayId: number): bigint {
    return this.#open.get(relayId) ?? 0n;
  }
}
