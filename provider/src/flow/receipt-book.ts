import { AimoError } from "@aimo/protocol/errors";
import { buildGroup, groupDigest, type ReceiptGroup } from "@aimo/protocol/groups";
import type { UsageReceipt } from "@aimo/protocol/receipts";
import { receiptToJson, type SessionEvent } from "@aimo/protocol/session";
import { digestOf } from "@aimo/protocol/typed-data";
import type { Address, Hex } from "viem";
import type { Exposure } from "../core/exposure.ts";
import { Grouper, type PendingReceipt, withinAge } from "../core/grouper.ts";
import {
  noTotals,
  Outstanding,
  type RelayTotals,
  type SignedGroup,
  type Voucher,
} from "../core/outstanding.ts";
import type { DebtRecord, FlowLog, Journal, JournalEntry, ProtocolClock, VoucherFiles } from "./ports.ts";
import { WriteQueue } from "./write-queue.ts";

type NewVoucher = Pick<Voucher, "cumulative" | "signature">;

export type ReceiptBookModules = {
  readonly providerId: number;
  readonly separator: Uint8Array;
  readonly sign: (digest: Uint8Array) => Hex;
  /** True when the address signed the digest. */
  readonly isSignedBy: (signer: Address, digest: Uint8Array, signature: Hex) => boolean;
  readonly journal: Journal;
  readonly files: VoucherFiles;
  readonly exposure: Exposure;
  readonly clock: ProtocolClock;
  /** Wall-clock milliseconds. */
  readonly now: () => number;
  readonly log: FlowLog;
};

/** How often late groups are looked for. A tenth of the deadline: nothing depends on the exact moment. */
const LAPSE_SWEEP_MS = 1_000;
/** An acknowledgement this far behind what was sent is worth a warning: half of the deadline. */
const SLOW_ACK_MS = 5_000;

/** Signs receipts in groups, keeps each group until the relay acknowledges it, and sends again what was not. */
export class ReceiptBook {
  readonly #m: ReceiptBookModules;
  readonly #grouper = new Grouper();
  readonly #relays = new Map<number, Outstanding>();
  readonly #listeners = new Map<number, (event: SessionEvent) => void>();
  readonly #warned = new Set<number>();
  /** Signed, and on the way to the disk. */
  readonly #unsaved = new Set<SignedGroup>();
  #onSettled: () => void = () => {};
  #nextNumber = 1;
  #timer: NodeJS.Timeout | undefined;
  #sweep: NodeJS.Timeout | undefined;
  readonly #writes: WriteQueue;

  constructor(modules: ReceiptBookModules) {
    this.#m = modules;
    this.#writes = new WriteQueue(modules.journal, modules.log);
  }

  /** Reads the journal and takes up what still waits for an acknowledgement. Returns what it says of relays' debts. */
  async open(): Promise<readonly DebtRecord[]> {
    const { groups, totals, debts } = await this.#m.journal.load();
    const byRelay = Map.groupBy(groups, ({ event }) => event.group.relayId);
    const ids = new Set([...totals.map(({ relayId }) => relayId), ...byRelay.keys()]);
    for (const relayId of ids) {
      const known = totals.find((one) => one.relayId === relayId) ?? noTotals(relayId);
      const outstanding = new Outstanding(known, byRelay.get(relayId) ?? []);
      this.#relays.set(relayId, outstanding);
      this.#m.exposure.restore(relayId, outstanding.open);
      if (known.voucher) this.#m.exposure.setVoucher(relayId, known.voucher.cumulative);
    }
    this.#nextNumber = groups.reduce((most, { number }) => Math.max(most, number), this.#m.now()) + 1;
    this.#lapse();
    this.#sweep = setInterval(() => this.#lapse(), LAPSE_SWEEP_MS).unref();
    return debts;
  }

  /** Writes beside the book's own entries, in one queue. */
  write(entry: JournalEntry): Promise<void> {
    return this.#writes.push(entry);
  }

  /** Takes a receipt whose cost already counts in the exposure. */
  add(receipt: UsageReceipt, digest: Uint8Array): void {
    const full = this.#grouper.add({ receipt, digest, addedAt: performance.now() });
    if (full) this.#close(full);
    this.#arm();
  }

  /**
   * Shows the relay its newest voucher, and sends its groups to `listener` from now on, those not acknowledged at once.
   * Replaces an earlier listener.
   */
  subscribe(relayId: number, listener: (event: SessionEvent) => void): () => void {
    this.#listeners.set(relayId, listener);
    const voucher = this.#relays.get(relayId)?.totals.voucher;
    if (voucher)
      listener({ type: "voucher", cumulative: `${voucher.cumulative}`, signature: voucher.signature });
    for (const group of this.#relays.get(relayId)?.groups ?? [])
      if (!this.#unsaved.has(group)) listener(group.event);
    return () => {
      if (this.#listeners.get(relayId) === listener) this.#listeners.delete(relayId);
    };
  }

  /**
   * Takes in a relay's voucher: durable when it resolves. An older one than the newest changes nothing. Throws
   * `authentication_failed` when it is not by the relay's signer over exactly these parties and this amount.
   */
  acknowledge(relayId: number, signer: Address, { cumulative, signature }: NewVoucher): Promise<void> {
    const { separator, providerId, exposure } = this.#m;
    const digest = digestOf(separator, "ProviderVoucher", { relayId, providerId, cumulative });
    if (!this.#m.isSignedBy(signer, digest, signature))
      throw new AimoError("authentication_failed", {
        message: `The voucher over ${cumulative} pUSD is not signed by relay ${relayId}'s registered key ${signer}.`,
        param: "signature",
      });
    const outstanding = this.#outstanding(relayId);
    const newest = outstanding.totals.voucher;
    const voucher = { cumulative, signature, receivedAtMs: this.#m.now() };
    const { groups, freed } = outstanding.acknowledge(voucher, exposure.coverOf(relayId).paid);
    this.#warned.delete(relayId);
    this.#onSettled();
    const { totals } = outstanding;
    if (totals.voucher === newest) return Promise.resolve();
    exposure.setVoucher(relayId, cumulative);
    exposure.release(relayId, freed);
    return this.#writes.push({ settled: groups, totals }).then(() => this.#m.files.write(relayId, voucher));
  }

  /** The newest voucher of each relay that has given one. */
  vouchers(): ReadonlyMap<number, Voucher> {
    return new Map(
      [...this.#relays].flatMap(([relayId, { totals }]) =>
        totals.voucher ? [[relayId, totals.voucher]] : [],
      ),
    );
  }

  totals(): readonly RelayTotals[] {
    return [...this.#relays.values()].map(({ totals }) => totals);
  }

  /** Closes open groups and waits until all is on disk. */
  async flush(): Promise<void> {
    for (const group of this.#grouper.takeAll()) this.#close(group);
    clearTimeout(this.#timer);
    this.#timer = undefined;
    await this.#writes.flushed();
  }

  /** Resolves when listening relays have acknowledged everything, or after `deadlineMs`. */
  async acknowledged(deadlineMs: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const check = () => {
      if (![...this.#listeners.keys()].some((id) => this.#outstanding(id).groups.length > 0)) resolve();
    };
    const deadline = setTimeout(resolve, deadlineMs);
    this.#onSettled = check;
    check();
    await promise;
    this.#onSettled = () => {};
    clearTimeout(deadline);
  }

  async close(): Promise<void> {
    clearInterval(this.#sweep);
    await this.flush();
    await this.#m.files.flushed();
    await this.#m.journal.close();
  }

  #outstanding(relayId: number): Outstanding {
    const known = this.#relays.get(relayId);
    if (known) return known;
    const made = new Outstanding(noTotals(relayId), []);
    this.#relays.set(relayId, made);
    return made;
  }

  #arm(): void {
    const due = this.#grouper.nextDueAt();
    if (this.#timer || due === undefined) return;
    this.#timer = setTimeout(
      () => {
        this.#timer = undefined;
        for (const group of this.#grouper.takeDue(performance.now())) this.#close(group);
        this.#arm();
      },
      Math.max(0, Math.ceil(due - performance.now())),
    );
  }

  #close(pending: readonly PendingReceipt[]): void {
    const closedAt = pending.reduce((most, { receipt }) => Math.max(most, receipt.issuedAt), this.#m.clock());
    const { kept, tooOld } = withinAge(pending, closedAt);
    const relayId = pending[0]?.receipt.relayId ?? 0;
    for (const { receipt } of tooOld) this.#m.exposure.release(relayId, receipt.cost);
    if (tooOld.length > 0)
      this.#m.log.warn({ relayId, receipts: tooOld.length }, "Left out receipts too old to bill.");
    if (kept.length === 0) return;
    const signed = this.#sign(relayId, closedAt, kept);
    const outstanding = this.#outstanding(relayId);
    outstanding.add(signed);
    const { totals } = outstanding;
    this.#unsaved.add(signed);
    // On disk before it leaves: what a relay may bill must survive a crash of this node.
    void this.#writes.push({ saved: [signed], totals }).then(() => {
      this.#unsaved.delete(signed);
      this.#listeners.get(relayId)?.(signed.event);
    });
  }

  #sign(relayId: number, closedAt: number, kept: readonly PendingReceipt[]): SignedGroup {
    const { root } = buildGroup(kept.map(({ digest }) => digest));
    const group: ReceiptGroup = {
      relayId,
      providerId: this.#m.providerId,
      count: kept.length,
      closedAt,
      root,
    };
    const signature = this.#m.sign(groupDigest(this.#m.separator, group));
    return {
      number: this.#nextNumber++,
      event: { type: "group", group, signature, receipts: kept.map(({ receipt }) => receiptToJson(receipt)) },
      total: kept.reduce((sum, { receipt }) => sum + receipt.cost, 0n),
      closedAtMs: this.#m.now(),
    };
  }

  #lapse(): void {
    const now = this.#m.now();
    for (const [relayId, outstanding] of this.#relays) {
      const { groups, freed } = outstanding.lapse(now);
      const oldest = outstanding.groups[0];
      if (oldest && now - oldest.closedAtMs > SLOW_ACK_MS && !this.#warned.has(relayId)) {
        this.#warned.add(relayId);
        this.#m.log.warn(
          { relayId, groups: outstanding.groups.length },
          "The relay's acknowledgement is late.",
        );
      }
      if (groups.length === 0) continue;
      this.#m.exposure.release(relayId, freed);
      this.#m.log.warn(
        { relayId, groups: groups.length, pusd: freed.toString() },
        "Groups were not acknowledged in time and are unbilled.",
      );
      void this.#writes.push({ settled: groups, totals: outstanding.totals });
    }
  }
}
