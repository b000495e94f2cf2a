import type { BilledLeaf } from "../core/batch.ts";
import type { CreditClaim } from "../core/credits.ts";
import type { Journal } from "./journal.ts";
import { type BatchRecord, fromStored, type StoredGeneration, usageOf } from "./records.ts";

type Debt = { readonly owed: bigint; readonly posted: bigint };
/** `cost`: what the provider is owed for it, pUSD. */
type Unposted = {
  readonly leaf: BilledLeaf;
  readonly billedAt: number;
  readonly issuedAt: number;
  readonly cost: bigint;
};

/**
 * What is billed and not yet posted, what providers are owed, and the batches. Written with the ledger's entries in the
 * same journal, so a crash leaves both or neither.
 */
export class Books {
  readonly #journal: Journal;
  readonly #unposted = new Map<string, Unposted>();
  readonly #debts = new Map<number, Debt>();
  #open: BatchRecord | undefined;

  private constructor(journal: Journal) {
    this.#journal = journal;
  }

  static async open(journal: Journal): Promise<Books> {
    const books = new Books(journal);
    const stored: Unposted[] = [];
    for await (const [, entry] of journal.entries("unposted")) stored.push(fromStored<Unposted>(entry));
    stored.sort(({ leaf: a }, { leaf: b }) => compareLeaves(a, b));
    for (const entry of stored) books.#unposted.set(entry.leaf.id, entry);
    for await (const [key, debt] of journal.entries("debts"))
      books.#debts.set(Number(key), fromStored<Debt>(debt));
    const last = await journal.last<BatchRecord>("batches");
    if (last?.state === "built") books.#open = last;
    return books;
  }

  /** Takes in a billed generation. `usageDigest` is its receipt's. Returns the provider's new cumulative. */
  add(generation: StoredGeneration, usageDigest: `0x${string}`, billedAt: number): bigint {
    const usage = usageOf(generation);
    const { billed, userCumulative } = generation;
    if (!usage || !billed || userCumulative === undefined)
      throw new RangeError(`Generation ${generation.id} is not billed.`);
    const { id, userId, epoch } = generation;
    const leaf = {
      id,
      userId,
      epoch,
      providerId: usage.providerId,
      usageDigest,
      evidence: billed.evidence,
      charge: usage.charge,
      userCumulative,
    };
    const cost = BigInt(billed.receipt.cost);
    this.#save({ leaf, billedAt, issuedAt: billed.receipt.issuedAt, cost });
    const debt = this.debtOf(usage.providerId);
    this.#setDebt(usage.providerId, { ...debt, owed: debt.owed + cost });
    return debt.owed + cost;
  }

  debtOf(providerId: number): Debt {
    return this.#debts.get(providerId) ?? { owed: 0n, posted: 0n };
  }

  /** In the order of billing. */
  unposted(): readonly Unposted[] {
    return [...this.#unposted.values()];
  }

  /**
   * What providers may claim of a batch of the leaves `taken`: all that they are owed, less what leaves for later will
   * pay. What no debit pays for (skipped rows, receipts given up, vouchers from before the books were lost) is in it.
   */
  claims(taken: ReadonlySet<string>): CreditClaim[] {
    const [now, later] = [new Map<number, bigint>(), new Map<number, bigint>()];
    for (const { leaf, cost } of this.#unposted.values()) {
      const sums = taken.has(leaf.id) ? now : later;
      sums.set(leaf.providerId, (sums.get(leaf.providerId) ?? 0n) + cost);
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
    for (const id of ids) if (this.#unposted.delete(id)) this.#journal.delete("unposted", id);
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

  #save(entry: Unposted): void {
    const { id, userId } = entry.leaf;
    this.#unposted.set(id, entry);
    // `userId` on top: a restart asks for it before anything else is read.
    this.#journal.put("unposted", id, { userId, ...entry });
  }

  #setDebt(providerId: number, debt: Debt): void {
    this.#debts.set(providerId, debt);
    this.#journal.put("debts", `${providerId}`, debt);
  }
}

/** The order of billing. A free receipt leaves the total where it was, so it comes after the one that brought it there. */
function compareLeaves(a: BilledLeaf, b: BilledLeaf): number {
  const byTotal = a.userCumulative - b.userCumulative;
  if (a.userId !== b.userId) return a.userId - b.userId;
  if (a.epoch !== b.epoch) return a.epoch - b.epoch;
  if (byTotal !== 0n) return byTotal < 0n ? -1 : 1;
  return Number(a.charge === 0n) - Number(b.charge === 0n);
}

/** Keys sort as text: the last one is the newest batch. */
function batchKey(batchNo: string): string {
  return batchNo.padStart(20, "0");
}
