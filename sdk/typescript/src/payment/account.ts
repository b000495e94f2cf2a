/** What a client has signed for one channel, and why. All amounts in pUSD. */

/** A request that may be charged for up to `max`. */
export type Ticket = {
  /** What the relay holds for it; 0 while that is not known. */
  max: bigint;
  /** Nothing else was in flight since it began. */
  isAlone: boolean;
};

/**
 * The running total of a channel: `accounted` is what ended requests were charged, tickets are requests that have not
 * ended. The next voucher has to cover both, and that is also all it covers: what a client risks beyond what it was
 * charged is what it has in flight.
 */
export class VoucherAccount {
  readonly #tickets = new Set<Ticket>();
  #accounted = 0n;
  #signed = 0n;
  /** Signed for earlier epochs of the channel and never accounted for: whether it was collected is not known. */
  #carried = 0n;

  get signed(): bigint {
    return this.#signed;
  }

  get accounted(): bigint {
    return this.#accounted;
  }

  /** What the next voucher has to cover. */
  get wanted(): bigint {
    let wanted = this.#accounted;
    for (const { max } of this.#tickets) wanted += max;
    return wanted;
  }

  /** What could be lost if the next voucher were signed and the relay took all of it. */
  get ahead(): bigint {
    return this.wanted - this.#accounted + this.#carried;
  }

  begin(max: bigint): Ticket {
    const isAlone = this.#tickets.size === 0;
    for (const other of this.#tickets) other.isAlone = false;
    const ticket = { max, isAlone };
    this.#tickets.add(ticket);
    return ticket;
  }

  /** A voucher over this much was signed, now or by an earlier run. It is never lowered. */
  noteSigned(cumulative: bigint): void {
    if (cumulative > this.#signed) this.#signed = cumulative;
  }

  /** Ends a ticket. `total`: what the relay says that the channel was charged by then, if nothing else was in flight. */
  end(ticket: Ticket, charge: bigint, total?: bigint): void {
    if (!this.#tickets.delete(ticket)) return;
    this.#accounted += charge;
    // What ended without an answer was counted at its worst; a total that is lower than ours says what it really was.
    if (ticket.isAlone && total !== undefined && total < this.#accounted) this.#accounted = total;
  }

  /** Takes over charges that others, or an earlier run, made with the same key. Ask for proof of them first. */
  addForeign(charges: bigint): void {
    this.#accounted += charges;
  }

  /** The channel was opened anew: its total starts from zero, and what was signed before stays a risk. */
  startEpoch(): void {
    if (this.#signed > this.#accounted) this.#carried += this.#signed - this.#accounted;
    this.#accounted = 0n;
    this.#signed = 0n;
  }
}

type Point = { readonly bytes: number; readonly hold: bigint };

/** Prompts of a kind whose sizes lie within a factor of two share an estimate. */
const sizeClass = (bytes: number): number => Math.ceil(Math.log2(Math.max(1, bytes)));
const MAX_KINDS = 1_000;

/**
 * What requests will be held for, from what others like them were held for. A hold grows with the body at most in
 * proportion, so a smaller body's hold, scaled, bounds a larger one's; where prices rose the relay says so.
 */
export class HoldEstimates {
  readonly #points = new Map<string, Point>();

  /** `kind`: all but its size that a hold depends on. Undefined: nothing like it was seen. */
  of(kind: string, bytes: number): bigint | undefined {
    const size = sizeClass(bytes);
    for (const near of [size, size + 1, size - 1, size + 2, size - 2]) {
      const point = this.#points.get(`${kind}/${near}`);
      if (point) return point.bytes >= bytes ? point.hold : scaled(point, bytes);
    }
    return undefined;
  }

  learn(kind: string, { bytes, hold }: Point): void {
    const name = `${kind}/${sizeClass(bytes)}`;
    const [oldest] = this.#points.keys();
    if (this.#points.size >= MAX_KINDS && oldest !== undefined) this.#points.delete(oldest);
    this.#points.set(name, { bytes, hold });
  }
}

function scaled({ bytes, hold }: Point, to: number): bigint {
  const from = BigInt(Math.max(1, bytes));
  return (hold * BigInt(to) + from - 1n) / from;
}
