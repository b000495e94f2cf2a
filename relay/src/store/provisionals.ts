import { type StoredGeneration, usageOf } from "./records.ts";

/** `deadline`: wall-clock milliseconds. */
export type Provisional = { readonly generation: StoredGeneration; readonly deadline: number };

/** Requests that were served and wait for their provider's signature: by receipt, by generation and by request. */
export class Provisionals {
  readonly #byReceipt = new Map<string, Provisional>();
  readonly #receiptOfGeneration = new Map<string, string>();
  readonly #receiptOfRequest = new Map<string, string>();
  /** Cost of what waits, by provider, pUSD. */
  readonly #unsigned = new Map<number, bigint>();

  get size(): number {
    return this.#byReceipt.size;
  }

  has(receiptHash: string): boolean {
    return this.#byReceipt.has(receiptHash);
  }

  get(receiptHash: string): Provisional | undefined {
    return this.#byReceipt.get(receiptHash);
  }

  ofGeneration(id: string): StoredGeneration | undefined {
    return this.#byReceipt.get(this.#receiptOfGeneration.get(id) ?? "")?.generation;
  }

  /** Hash of the receipt that was stated for a request. */
  receiptOfRequest(requestHash: string): string | undefined {
    return this.#receiptOfRequest.get(requestHash);
  }

  /** Receipt hashes of what waits no longer. */
  lateAt(now: number): string[] {
    const late: string[] = [];
    for (const [receiptHash, { deadline }] of this.#byReceipt) if (deadline <= now) late.push(receiptHash);
    return late;
  }

  /** Cost of receipts that a provider stated and has not signed yet, pUSD. */
  unsignedOf(providerId: number): bigint {
    return this.#unsigned.get(providerId) ?? 0n;
  }

  /** Throws a RangeError when the generation was not served, or another one waits for its receipt. */
  add(provisional: Provisional): void {
    const { generation } = provisional;
    const usage = usageOf(generation);
    if (!usage) throw new RangeError(`Generation ${generation.id} was not served.`);
    const { receiptHash, cost } = usage.statement;
    if (this.#byReceipt.has(receiptHash))
      throw new RangeError(`Another generation waits for receipt ${receiptHash}.`);
    this.#byReceipt.set(receiptHash, provisional);
    this.#receiptOfGeneration.set(generation.id, receiptHash);
    this.#receiptOfRequest.set(usage.requestHash, receiptHash);
    this.#count(usage.providerId, BigInt(cost));
  }

  remove(receiptHash: string): void {
    const generation = this.#byReceipt.get(receiptHash)?.generation;
    const usage = generation && usageOf(generation);
    if (!generation || !usage) return;
    this.#byReceipt.delete(receiptHash);
    this.#receiptOfGeneration.delete(generation.id);
    this.#receiptOfRequest.delete(usage.requestHash);
    this.#count(usage.providerId, -BigInt(usage.statement.cost));
  }

  #count(providerId: number, cost: bigint): void {
    const sum = this.unsignedOf(providerId) + cost;
    if (sum > 0n) this.#unsigned.set(providerId, sum);
    else this.#unsigned.delete(providerId);
  }
}
