import type { CreditClaim } from "../core/credits.ts";
import type { UnpostedTotals } from "../core/due.ts";
import type { Journal } from "./journal.ts";
import { type BatchRecord, fromStored } from "./records.ts";
import type { UnpostedReceipt, UnpostedReceipts } from "./unposted.ts";

type Debt = { readonly owed: bigint; readonly posted: bigint };

/**
 * What is billed and not yet posted, what providers are owed, and the batches. Written with the ledger's entries in the
 * same journal, so a crash leaves both or neither.
 */
export class Books {
  readonly #journal: Journal;
  readonly #unposted: UnpostedReceipts;
  readonly #debts = new Map<number, Debt>();
  #open: BatchRecord | undefined;

  private constructor(journal: Journal, unposted: UnpostedReceipts) {
    this.#journal = journal;
    this.#unposted = unposted;
  }

  static async open(journal: Journal, unposted: UnpostedReceipts): Promise<Books> {
    const books = new Books(journal, unposted);
    for await (const [key, debt] of journal.entries("debts"))
      books.#debts.set(Number(key), fromStored<Debt>(debt));
    const last = await journal.last<BatchRecord>("batches");
    if (last?.state === "built") books.#open = last;
    return books;
  }

  /** Takes in a billed receipt: its provider is owed what it cost. */
  add(receipt: UnpostedReceipt): void {
    this.#unposted.add(receipt);
    const debt = this.debtOf(receipt.providerId);
    this.#setDebt(receipt.providerId, { ...debt, owed: debt.owed + receipt.cost });
  }

  debtOf(providerId: number): Debt {
    return this.#debts.get(providerId) ?? { owed: 0n, posted: 0n };
  }

  /** In the order of billing. */
  unposted(): readonly UnpostedReceipt[] {
    return [...this.#unposted.values()];
  }

  unpostedOf(id: string): UnpostedReceipt | undefined {
    return this.#unposted.get(id);
  }

  totals(): UnpostedTotals {
    return this.#unposted.totals();
  }

  /**
   * What providers may claim of a batch of the leaves `taken`: all that they are owed, less what leaves for later will
   * pay. What no debit pays for (skipped rows, receipts given up, vouchers from before the books were lost) is in it.
   */
  claims(taken: ReadonlySet<string>): CreditClaim[] {
    const [now, later] = [new Map<number, bigint>(), new Map<number, bigint>()];
    for (const { id, providerId, cost } of this.#unposted.values()) {
      const sums = taken.has(id) ? now : later;
      sums.set(providerId, (sums.get(providerId) ?? 0n) + cost);
    }
    return [...this.#debts].flatMap(([providerId, { owed, posted: paid }]) => {
      const most = owed - (later.get(providerId) ?? 0n);
      const covered = paid + (now.get(providerId) ?? 0n);
      return most > paid ? [{ providerId, most, covered: covered < most ? covered : most, paid }] : [];
    });
  }

  /** Providers that are owed more than the chain has paid. */
  creditors(): readonly number[] {
    return [...this.#debts].filter(([, { owed, posted }]) => owed > posted).map(([id]) => id);
  }

  /** What a provider is owed and was not paid, pUSD. */
  unpaidTo(providerId: number): bigint {
    const { owed, posted } = this.debtOf(providerId);
    return owed - posted;
  }

  /** Whether anything is known of what a provider is owed. */
  knowsDebt(providerId: number): boolean {
    return this.#debts.has(providerId);
  }

  openBatch(): BatchRecord | undefined {
    return this.#open;
  }

  /** Forgets the batch that was written down: it was never posted, and its leaves go into another. */
  dropBatch(): void {
    if (this.#open) this.#journal.delete("batches", batchKey(this.#open.batchNo));
    this.#open = undefined;
  }

  saveBatch(batch: BatchRecord): void {
    this.#open = batch.state === "built" ? batch : undefined;
    this.#journal.put("batches", batchKey(batch.batchNo), batch);
  }

  /** Forgets leaves: they are posted, or unbilled. */
  remove(ids: Iterable<string>): void {
    this.#unposted.remove(ids);
  }

  /** What the chain has paid a provider for this relay, by rows and by redeemed vouchers. It only grows. */
  setPosted(providerId: number, posted: bigint): void {
    const debt = this.debtOf(providerId);
    const isNews = posted > debt.posted || !this.knowsDebt(providerId);
    if (isNews) this.#setDebt(providerId, { owed: debt.owed > posted ? debt.owed : posted, posted });
  }

  /** This relay once signed that it owes this much. */
  raiseOwed(providerId: number, owed: bigint): void {
    const debt = this.debtOf(providerId);
    if (owed > debt.owed) this.#setDebt(providerId, { ...debt, owed });
  }

  #setDebt(providerId: number, debt: Debt): void {
    this.#debts.set(providerId, debt);
    this.#journal.put("debts", `${providerId}`, debt);
  }
}

/** Keys sort as text: the last one is the newest batch. */
function batchKey(batchNo: string): string {
  return batchNo.padStart(20, "0");
}
