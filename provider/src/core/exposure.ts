import { AimoError } from "@aimo/protocol/errors";

/**
 * What each relay could leave unpaid: requests in flight at their worst case, plus receipts it has not acknowledged.
 * A provider serves while that is within its own credit limit. pUSD.
 */
export class Exposure {
  readonly #limit: bigint;
  readonly #open = new Map<number, bigint>();

  constructor(limit: bigint) {
    this.#limit = limit;
  }

  /** Throws `credit_limit_reached`, with the numbers, when `amount` more would pass the limit. */
  reserve(relayId: number, amount: bigint): void {
    const open = this.of(relayId);
    if (open + amount > this.#limit)
      throw new AimoError("credit_limit_reached", {
        message: `Relay ${relayId} has ${open} pUSD open; ${amount} more would pass credit_limit_usd (${this.#limit} pUSD).`,
        details: { open, needed: amount, limit: this.#limit },
        retryAfterSeconds: 1,
      });
    this.#open.set(relayId, open + amount);
  }

  /** Adds without a check: receipts that were already signed when the node started. */
  restore(relayId: number, amount: bigint): void {
    this.#open.set(relayId, this.of(relayId) + amount);
  }

  /** Turns a reservation into what the request really cost (0: nothing is owed). */
  replace(relayId: number, reserved: bigint, cost: bigint): void {
    this.#open.set(relayId, this.of(relayId) - reserved + cost);
  }

  release(relayId: number, amount: bigint): void {
    const open = this.of(relayId) - amount;
    if (open === 0n) this.#open.delete(relayId);
    else this.#open.set(relayId, open);
  }

  of(relayId: number): bigint {
    return this.#open.get(relayId) ?? 0n;
  }
}
