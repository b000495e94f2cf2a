import { PUSD_PER_TOKEN_UNIT } from "@aimo/protocol/units";
import type { Voucher } from "../core/outstanding.ts";
import type { DebtRecord, FlowLog, JournalEntry, ProtocolClock, ReservesChain } from "./ports.ts";

export type RedeemingModules = {
  /** The newest voucher of each relay. */
  readonly vouchers: () => ReadonlyMap<number, Voucher>;
  readonly chain: ReservesChain;
  readonly write: (entry: JournalEntry) => Promise<void>;
  /** What an earlier run wrote down. */
  readonly debts: readonly DebtRecord[];
  readonly onRedeemed: (relayId: number) => Promise<void>;
  readonly clock: ProtocolClock;
  /** Seconds of protocol time for which a relay may leave a voucher unpaid. */
  readonly afterSeconds: number;
  /** Less is left to the relay's next post: the transaction would cost more. pUSD. */
  readonly least: bigint;
  readonly log: FlowLog;
};

/** A redemption that failed is tried again after this, seconds of protocol time. */
const RETRY_SECONDS = 30;

/**
 * Turns vouchers into tokens without their relay: when it has paid nothing for a set time, or is about to leave. What is
 * tried is written down first; the chain's own counter makes sure that nothing is paid twice.
 */
export class Redeeming {
  readonly #m: RedeemingModules;
  readonly #debts: Map<number, DebtRecord>;
  readonly #retryAt = new Map<number, number>();
  readonly #dry = new Set<number>();
  #looking: Promise<void> | undefined;
  #stopped = false;

  constructor(modules: RedeemingModules) {
    this.#m = modules;
    this.#debts = new Map(modules.debts.map((debt) => [debt.relayId, debt]));
  }

  /** Looks at every relay's debt once; a look under way is shared. Failures are logged. */
  look(): Promise<void> {
    this.#looking ??= this.#lookAtAll().finally(() => {
      this.#looking = undefined;
    });
    return this.#looking;
  }

  /** Looks no more; resolves when a look under way has ended. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#looking;
  }

  async #lookAtAll(): Promise<void> {
    for (const [relayId, voucher] of this.#m.vouchers()) {
      if (this.#stopped) return;
      if ((this.#retryAt.get(relayId) ?? 0) > this.#m.clock()) continue;
      try {
        await this.#lookAt(relayId, voucher);
      } catch (error) {
        this.#retryAt.set(relayId, this.#m.clock() + RETRY_SECONDS);
        this.#m.log.error({ err: error, relayId }, "A voucher was not redeemed; it is tried again.");
      }
    }
  }

  async #lookAt(relayId: number, voucher: Voucher): Promise<void> {
    const { chain, clock, afterSeconds, least } = this.#m;
    const { paid, leaving } = await chain.fundsOf(relayId);
    if (voucher.cumulative - paid < least) {
      this.#debts.delete(relayId);
      return;
    }
    const debt = await this.#follow(relayId, paid);
    const isLate = clock() - debt.since >= afterSeconds;
    const reason = leaving ?? (isLate ? `it has paid nothing for ${afterSeconds} s` : undefined);
    if (reason !== undefined) await this.#redeem(voucher, debt, reason);
  }

  /** The debt with the time at which it began: anew whenever the relay has paid something. */
  async #follow(relayId: number, paid: bigint): Promise<DebtRecord> {
    const known = this.#debts.get(relayId);
    if (known?.paid === paid) return known;
    const { redemption } = known ?? {};
    return this.#save({ relayId, paid, since: this.#m.clock(), ...(redemption ? { redemption } : {}) });
  }

  async #redeem(voucher: Voucher, debt: DebtRecord, reason: string): Promise<void> {
    const { chain, least, log, onRedeemed } = this.#m;
    const { relayId } = debt;
    const { cumulative } = voucher;
    // At the latest block: a redemption of an earlier run, or a post, may not be safe yet.
    const { paid: paidBefore, redeemable } = await chain.fundsOf(relayId, "latest");
    const due = cumulative - paidBefore;
    const amount = due < redeemable ? due : redeemable;
    if (amount < least || amount < PUSD_PER_TOKEN_UNIT) {
      if (due >= least && !this.#dry.has(relayId)) {
        this.#dry.add(relayId);
        log.warn({ relayId, reason, due: `${due}` }, "The relay's reserve is empty; its voucher waits.");
      }
      return;
    }
    this.#dry.delete(relayId);
    const redemption = { cumulative, paidBefore };
    await this.#save({ ...debt, redemption: { ...redemption, state: "sent" } });
    const paidNow = await chain.redeem(relayId, voucher);
    await this.#save({ ...debt, redemption: { ...redemption, state: "done" } });
    log.warn(
      { relayId, reason, cumulative: `${cumulative}`, paid: `${paidNow}` },
      "A voucher was redeemed from the relay's reserve.",
    );
    await onRedeemed(relayId);
  }

  async #save(debt: DebtRecord): Promise<DebtRecord> {
    this.#debts.set(debt.relayId, debt);
    await this.#m.write({ debt });
    return debt;
  }
}
