import type { BilledLeaf } from "../core/batch.ts";
import type { Journal } from "./journal.ts";
import { type BatchRecord, fromStored, type StoredGeneration, toStored, usageOf } from "./records.ts";

type Debt = { readonly owed: bigint; readonly posted: bigint };
type Unposted = { readonly leaf: BilledLeaf; readonly billedAt: number; readonly issuedAt: number };

/**
 * What is billed and not yet posted, what providers are owed, and the batches. Written with the ledger's entries in the
 * same journal, so a crash leaves both or neither.
 */
export class Books {
  readonly #journal: Journal;
  readonly #unposted = new Map<string, Unposted>();
  readonly #debts = new Map<number, Debt>();
  #open: BatchRecord | undefined;
  #lastBatch: BatchRecord | undefined;

  private constructor(journal: Journal) {
    this.#journal = journal;
  }

  static async open(journal: Journal): Promise<Books> {
    const books = new Books(journal);
    const stored: Unposted[] = [];
    for await (const [, entry] of journal.entries("unposted")) stored.push(fromStored<Unposted>(entry));
    stored.sort(
      (a, b) => a.leaf.userId - b.leaf.userId || (a.leaf.userCumulative < b.leaf.userCumulative ? -1 : 1),
    );
    for (const entry of stored) books.#unposted.set(entry.leaf.id, entry);
    for await (const [key, debt] of journal.entries("debts"))
      books.#debts.set(Number(key), fromStored<Debt>(debt));
    for await (const [, batch] of journal.entries<BatchRecord>("batches")) {
      if (batch.state === "built") books.#open = batch;
      books.#lastBatch = batch;
    }
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
    const entry = { leaf, billedAt, issuedAt: billed.receipt.issuedAt };
    this.#unposted.set(id, entry);
    // `userId` on top: a restart asks for it before anything else is read.
    this.#journal.put("unposted", id, { userId, ...(toStored(entry) as object) });
    const debt = this.debtOf(usage.providerId);
    this.#setDebt(usage.providerId, { ...debt, owed: debt.owed + BigInt(billed.receipt.cost) });
    return debt.owed + BigInt(billed.receipt.cost);
  }

  debtOf(providerId: number): Debt {
    return this.#debts.get(providerId) ?? { owed: 0n, posted: 0n };
  }

  /** In the order of billing. */
  unposted(): readonly Unposted[] {
    return [...this.#unposted.values()];
  }

  /** Providers that are owed more than was posted: id to cumulative. */
  credits(): Map<number, bigint> {
    return new Map(
      [...this.#debts].filter(([, { owed, posted }]) => owed > posted).map(([id, { owed }]) => [id, owed]),
    );
  }

  openBatch(): BatchRecord | undefined {
    return this.#open;
  }

  lastBatch(): BatchRecord | undefined {
    return this.#lastBatch;
  }

  saveBatch(batch: BatchRecord): void {
    this.#open = batch.state === "built" ? batch : undefined;
    this.#lastBatch = batch;
    this.#journal.put("batches", batch.batchNo.padStart(20, "0"), batch);
  }

  /** Forgets leaves: they are posted, or unbilled. */
  remove(ids: Iterable<string>): void {
    for (const id of ids) if (this.#unposted.delete(id)) this.#journal.delete("unposted", id);
  }

  /** What the chain has credited a provider by this relay's rows. */
  setPosted(providerId: number, posted: bigint): void {
    const debt = this.debtOf(providerId);
    this.#setDebt(providerId, { owed: debt.owed > posted ? debt.owed : posted, posted });
  }

  #setDebt(providerId: number, debt: Debt): void {
    this.#debts.set(providerId, debt);
    this.#journal.put("debts", `${providerId}`, toStored(debt));
  }
}
