import { AimoError } from "@aimo/protocol/errors";
import { formatUsd } from "@aimo/protocol/units";
import type { Caller, KeyUsage } from "../core/types.ts";

type Periods = { readonly day: string; readonly week: string; readonly month: string };
export type StoredUsage = Periods & {
  readonly total: string;
  readonly daily: string;
  readonly weekly: string;
  readonly monthly: string;
};
type Entry = Periods & { total: bigint; daily: bigint; weekly: bigint; monthly: bigint; held: bigint };

const DAY_MS = 86_400_000;

/** UTC day, week (by its Monday) and month of a wall-clock time. */
function periodsOf(now: number): Periods {
  const date = new Date(now);
  const iso = date.toISOString();
  const monday = new Date(now - ((date.getUTCDay() + 6) % 7) * DAY_MS).toISOString();
  return { day: iso.slice(0, 10), week: monday.slice(0, 10), month: iso.slice(0, 7) };
}

/** What API keys have spent and hold, by period. */
export class KeyUsages {
  readonly #now: () => number;
  readonly #entries = new Map<string, Entry>();
  /** Days since 1970, and the periods that one lies in. */
  #known: { readonly day: number; readonly periods: Periods } | undefined;

  constructor(now: () => number) {
    this.#now = now;
  }

  restore(keyHash: string, stored: StoredUsage): void {
    const { day, week, month } = stored;
    const [total, daily, weekly, monthly] = [stored.total, stored.daily, stored.weekly, stored.monthly].map(
      BigInt,
    );
    this.#entries.set(keyHash, {
      day,
      week,
      month,
      total: total ?? 0n,
      daily: daily ?? 0n,
      weekly: weekly ?? 0n,
      monthly: monthly ?? 0n,
      held: 0n,
    });
  }

  of(keyHash: string): KeyUsage {
    // A key that never spent is not remembered for being looked at.
    if (!this.#entries.has(keyHash)) return { total: 0n, daily: 0n, weekly: 0n, monthly: 0n, held: 0n };
    const { total, daily, weekly, monthly, held } = this.#fresh(keyHash);
    return { total, daily, weekly, monthly, held };
  }

  /** Throws `key_limit_reached` when the key's limit does not cover `amount` more. */
  require(caller: Caller, amount: bigint): void {
    if (caller.limit === undefined) return;
    const usage = this.of(caller.keyHash);
    const spent = caller.limitReset === undefined ? usage.total : usage[caller.limitReset];
    const left = caller.limit - spent - usage.held;
    if (amount > left)
      throw new AimoError("key_limit_reached", {
        message: `The request may cost ${formatUsd(amount)} USD; the key's limit leaves ${formatUsd(left < 0n ? 0n : left)} USD.`,
        details: { needed_pusd: amount, free_pusd: left < 0n ? 0n : left },
      });
  }

  hold(keyHash: string, amount: bigint): void {
    this.#fresh(keyHash).held += amount;
  }

  /** Frees a hold and charges `amount` (may be 0). */
  settle(keyHash: string, held: bigint, amount: bigint): void {
    this.#fresh(keyHash).held -= held;
    this.charge(keyHash, amount);
  }

  /** Adds to (or takes from, when negative) what the key has spent. Never below zero after a reset. */
  charge(keyHash: string, amount: bigint): void {
    const entry = this.#fresh(keyHash);
    for (const period of ["total", "daily", "weekly", "monthly"] as const) {
      entry[period] += amount;
      if (entry[period] < 0n) entry[period] = 0n;
    }
  }

  /** What the key has spent, as it is kept. Holds are not: they end with the process. */
  stored(keyHash: string): StoredUsage {
    const { day, week, month, total, daily, weekly, monthly } = this.#fresh(keyHash);
    return {
      ...{ day, week, month, total: `${total}`, daily: `${daily}` },
      ...{ weekly: `${weekly}`, monthly: `${monthly}` },
    };
  }

  #fresh(keyHash: string): Entry {
    const periods = this.#today();
    let entry = this.#entries.get(keyHash);
    if (!entry) {
      entry = { ...periods, total: 0n, daily: 0n, weekly: 0n, monthly: 0n, held: 0n };
      this.#entries.set(keyHash, entry);
    }
    if (entry.day === periods.day) return entry;
    entry.daily = 0n;
    if (entry.week !== periods.week) entry.weekly = 0n;
    if (entry.month !== periods.month) entry.monthly = 0n;
    return Object.assign(entry, periods);
  }

  /** Every period ends with a day, so they are worked out once a day. */
  #today(): Periods {
    const now = this.#now();
    const day = Math.floor(now / DAY_MS);
    if (this.#known?.day !== day) this.#known = { day, periods: periodsOf(now) };
    return this.#known.periods;
  }
}
