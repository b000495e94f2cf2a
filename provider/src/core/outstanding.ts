import { GROUP_DEADLINE_MS } from "@aimo/protocol/groups";
import type { GroupEvent } from "@aimo/protocol/session";
import type { Hex } from "viem";

/** A signed group, as it is kept until the relay acknowledges it. `total` in pUSD, times in wall-clock milliseconds. */
export type SignedGroup = {
  /** Grows with each group of this provider, over restarts too. */
  readonly number: number;
  readonly event: GroupEvent;
  readonly total: bigint;
  readonly closedAtMs: number;
};

/** What a relay signed that it owes over all time, pUSD. Whoever holds it can redeem it from the relay's reserve. */
export type Voucher = {
  readonly cumulative: bigint;
  readonly signature: Hex;
  /** Wall-clock milliseconds. */
  readonly receivedAtMs: number;
};

/** Sums over all time with one relay, pUSD. `signed = acknowledged + lapsed + open`. */
export type RelayTotals = {
  readonly relayId: number;
  readonly signed: bigint;
  /** Own receipts that the relay's vouchers cover. */
  readonly acknowledged: bigint;
  /** Signed, but not acknowledged in time: owed by nobody. */
  readonly lapsed: bigint;
  readonly receipts: number;
  /** The newest; undefined until the first. */
  readonly voucher?: Voucher;
};

export const noTotals = (relayId: number): RelayTotals => ({
  relayId,
  signed: 0n,
  acknowledged: 0n,
  lapsed: 0n,
  receipts: 0,
});

/** What an acknowledgement or the deadline changed. `freed` leaves the exposure. */
export type Settled = { readonly groups: readonly SignedGroup[]; readonly freed: bigint };

/** The groups of one relay that wait for its acknowledgement, oldest first. */
export class Outstanding {
  #totals: RelayTotals;
  #groups: readonly SignedGroup[];
  /** Acknowledged beyond the groups already closed: part of the oldest open one. */
  #credit = 0n;

  constructor(totals: RelayTotals, groups: readonly SignedGroup[]) {
    this.#totals = totals;
    this.#groups = [...groups].sort((a, b) => a.number - b.number);
  }

  get totals(): RelayTotals {
    return this.#totals;
  }

  get groups(): readonly SignedGroup[] {
    return this.#groups;
  }

  /** pUSD signed and neither acknowledged nor lapsed. */
  get open(): bigint {
    return this.#groups.reduce((sum, group) => sum + group.total, 0n) - this.#credit;
  }

  add(group: SignedGroup): void {
    this.#groups = [...this.#groups, group];
    const { signed, receipts } = this.#totals;
    this.#totals = {
      ...this.#totals,
      signed: signed + group.total,
      receipts: receipts + group.event.receipts.length,
    };
  }

  /**
   * Takes in a voucher. Its cumulative only grows; a lower one changes nothing, one over the same amount replaces the
   * signature (the relay has a new key). What it adds to the newest (to `paid`, where there is none: a journal that was
   * lost) covers the oldest groups first.
   */
  acknowledge(voucher: Voucher, paid: bigint): Settled {
    const { voucher: newest, acknowledged } = this.#totals;
    const before = newest ? newest.cumulative : paid;
    const isOld = newest && (voucher.cumulative < before || voucher.signature === newest.signature);
    if (isOld) return { groups: [], freed: 0n };
    const gain = voucher.cumulative > before ? voucher.cumulative - before : 0n;
    const freed = gain < this.open ? gain : this.open;
    this.#totals = { ...this.#totals, voucher, acknowledged: acknowledged + freed };
    this.#credit += freed;
    return { groups: this.#dropCovered(), freed };
  }

  /** Drops what the relay did not acknowledge by the deadline: it is unbilled for good. */
  lapse(nowMs: number): Settled {
    const late = this.#groups.filter(({ closedAtMs }) => closedAtMs + GROUP_DEADLINE_MS <= nowMs);
    if (late.length === 0) return { groups: [], freed: 0n };
    const sum = late.reduce((total, group) => total + group.total, 0n);
    const freed = sum - this.#credit;
    this.#groups = this.#groups.filter((group) => !late.includes(group));
    this.#credit = 0n;
    this.#totals = { ...this.#totals, lapsed: this.#totals.lapsed + freed };
    return { groups: late, freed };
  }

  #dropCovered(): readonly SignedGroup[] {
    const covered: SignedGroup[] = [];
    for (const group of this.#groups) {
      if (group.total > this.#credit) break;
      this.#credit -= group.total;
      covered.push(group);
    }
    this.#groups = this.#groups.slice(covered.length);
    return covered;
  }
}
