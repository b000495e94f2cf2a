import { GROUP_INTERVAL_MS, MAX_GROUP_AGE_SECONDS, MAX_GROUP_SIZE } from "@aimo/protocol/groups";
import type { UsageReceipt } from "@aimo/protocol/receipts";

/** A receipt that waits for its group. `digest`: its leaf. `addedAt` in milliseconds of a monotonic clock. */
export type PendingReceipt = {
  readonly receipt: UsageReceipt;
  readonly digest: Uint8Array;
  readonly addedAt: number;
};

/** Collects receipts per relay until a group is full or its oldest receipt has waited long enough. */
export class Grouper {
  readonly #open = new Map<number, PendingReceipt[]>();

  /** Adds a receipt; gives the group back when that fills it. */
  add(pending: PendingReceipt): readonly PendingReceipt[] | undefined {
    const { relayId } = pending.receipt;
    const group = this.#open.get(relayId) ?? [];
    group.push(pending);
    this.#open.set(relayId, group);
    if (group.length < MAX_GROUP_SIZE) return undefined;
    this.#open.delete(relayId);
    return group;
  }

  /** Takes out the groups whose oldest receipt has waited GROUP_INTERVAL_MS by `now`. */
  takeDue(now: number): (readonly PendingReceipt[])[] {
    return this.#take((group) => (group[0]?.addedAt ?? now) + GROUP_INTERVAL_MS <= now);
  }

  /** Takes out everything. */
  takeAll(): (readonly PendingReceipt[])[] {
    return this.#take(() => true);
  }

  /** When the next group is due; undefined when none is open. */
  nextDueAt(): number | undefined {
    let due: number | undefined;
    for (const [first] of this.#open.values())
      if (first && (due === undefined || first.addedAt + GROUP_INTERVAL_MS < due))
        due = first.addedAt + GROUP_INTERVAL_MS;
    return due;
  }

  #take(wanted: (group: readonly PendingReceipt[]) => boolean): (readonly PendingReceipt[])[] {
    const taken: (readonly PendingReceipt[])[] = [];
    for (const [relayId, group] of this.#open) {
      if (!wanted(group)) continue;
      this.#open.delete(relayId);
      taken.push(group);
    }
    return taken;
  }
}

/** Receipts that one group may hold at `closedAt`: those of a request that ran longer than the limit are left out. */
export function withinAge(
  group: readonly PendingReceipt[],
  closedAt: number,
): { readonly kept: readonly PendingReceipt[]; readonly tooOld: readonly PendingReceipt[] } {
  const fits = ({ receipt }: PendingReceipt) => receipt.issuedAt >= closedAt - MAX_GROUP_AGE_SECONDS;
  return { kept: group.filter(fits), tooOld: group.filter((one) => !fits(one)) };
}
