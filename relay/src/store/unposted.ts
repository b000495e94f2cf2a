import type { Hex } from "viem";
import type { BilledLeaf } from "../core/batch.ts";
import type { UnpostedTotals } from "../core/due.ts";
import { type GroupRecord, SignedGroup } from "../core/signed-group.ts";
import type { Journal } from "./journal.ts";
import { Pages } from "./pages.ts";
import { type BilledRecord, fromStored, type StoredGeneration, usageOf } from "./records.ts";

/** A billed receipt that is in no batch yet. It is small, as there may be very many; its evidence is made when asked for. */
export class UnpostedReceipt implements BilledLeaf {
  readonly id: string;
  readonly userId: number;
  readonly epoch: number;
  readonly providerId: number;
  readonly usageDigest: Hex;
  readonly charge: bigint;
  readonly userCumulative: bigint;
  /** What the provider is owed for it, pUSD. */
  readonly cost: bigint;
  /** Protocol seconds. */
  readonly issuedAt: number;
  /** Wall-clock milliseconds. */
  readonly billedAt: number;
  readonly signed: SignedGroup;
  readonly index: number;

  /** Throws a RangeError when the generation is not one that was served. */
  constructor(
    generation: StoredGeneration,
    { signed, record }: { signed: SignedGroup; record: Omit<BilledRecord, "root"> },
  ) {
    const usage = usageOf(generation);
    if (!usage) throw new RangeError(`Generation ${generation.id} is not billed.`);
    this.id = generation.id;
    this.userId = generation.userId;
    this.epoch = generation.epoch;
    this.providerId = usage.providerId;
    this.usageDigest = usage.statement.receiptHash;
    this.charge = usage.charge;
    this.userCumulative = BigInt(record.userCumulative);
    this.cost = BigInt(usage.statement.cost);
    this.issuedAt = usage.statement.issuedAt;
    this.billedAt = record.billedAt;
    this.signed = signed;
    this.index = record.index;
  }

  get leaf(): BilledLeaf {
    return this;
  }

  get evidence(): Uint8Array {
    return this.signed.evidenceOf(this.index);
  }

  toRecord(): BilledRecord {
    const { index, billedAt, signed } = this;
    return { root: signed.group.root, index, billedAt, userCumulative: `${this.userCumulative}` };
  }
}

/** Billed receipts in the order of billing, on disk and in memory, with the groups that prove them. */
export class UnpostedReceipts {
  readonly #journal: Journal;
  readonly #pages: Pages<UnpostedReceipt>;
  readonly #receipts = new Map<string, UnpostedReceipt>();
  /** Groups that some unposted receipt is in: how many of them are. */
  readonly #groups = new Map<SignedGroup, number>();
  readonly #byUser = new Map<number, bigint>();
  #charged = 0n;
  #oldestIssuedAt: number | undefined | "unknown";

  private constructor(journal: Journal) {
    this.#journal = journal;
    const encode = (receipt: UnpostedReceipt) => JSON.stringify(receipt.toRecord());
    this.#pages = new Pages({ journal, bucket: "unposted", encode });
  }

  static async open(journal: Journal): Promise<UnpostedReceipts> {
    const unposted = new UnpostedReceipts(journal);
    const groups = new Map<Hex, SignedGroup>();
    const found: UnpostedReceipt[] = [];
    for await (const { id, value, keep } of unposted.#pages.restore()) {
      const record = value as BilledRecord;
      const signed = groups.get(record.root) ?? (await readGroup(journal, record.root));
      const generation = fromStored<StoredGeneration | undefined>(await journal.get("generations", id));
      if (!signed || !generation)
        throw new Error(`What generation ${id} was billed by is not in the journal.`);
      // It was taken back, or posted, after its page was written.
      if (generation.state !== "provisional" || (await journal.get("posted", id)) !== undefined) continue;
      groups.set(record.root, signed);
      const receipt = new UnpostedReceipt(generation, { signed, record });
      keep(receipt);
      found.push(receipt);
    }
    for (const receipt of found.sort(compareLeaves)) unposted.#keep(receipt);
    return unposted;
  }

  add(receipt: UnpostedReceipt): void {
    const { signed } = receipt;
    if (!this.#groups.has(signed)) this.#journal.put("groups", signed.group.root, () => signed.toRecord());
    this.#keep(receipt);
    this.#pages.add(receipt.id, receipt);
  }

  get(id: string): UnpostedReceipt | undefined {
    return this.#receipts.get(id);
  }

  values(): MapIterator<UnpostedReceipt> {
    return this.#receipts.values();
  }

  /** Asked for several times a second, so sums are kept and not counted. */
  totals(): UnpostedTotals {
    const [oldest] = this.#receipts.values();
    if (this.#oldestIssuedAt === "unknown") {
      this.#oldestIssuedAt = undefined;
      for (const receipt of this.#receipts.values()) this.#noteIssue(receipt);
    }
    return {
      receipts: this.#receipts.size,
      charged: this.#charged,
      byUser: this.#byUser,
      oldestBilledAt: oldest?.billedAt,
      oldestIssuedAt: this.#oldestIssuedAt,
    };
  }

  /** Forgets receipts: they are posted, or unbilled. Unknown ones are passed over. */
  remove(ids: Iterable<string>): void {
    for (const id of ids) {
      const receipt = this.#receipts.get(id);
      if (!receipt) continue;
      this.#receipts.delete(id);
      this.#pages.delete(id);
      this.#count(receipt, -1);
    }
    // Counted when it is asked for: many may be removed one by one.
    this.#oldestIssuedAt = "unknown";
  }

  #keep(receipt: UnpostedReceipt): void {
    this.#receipts.set(receipt.id, receipt);
    this.#count(receipt, 1);
    this.#noteIssue(receipt);
  }

  #count({ userId, charge, signed }: UnpostedReceipt, sign: 1 | -1): void {
    const amount = sign === 1 ? charge : -charge;
    this.#charged += amount;
    add(this.#byUser, userId, amount);
    const left = (this.#groups.get(signed) ?? 0) + sign;
    if (left > 0) this.#groups.set(signed, left);
    else this.#groups.delete(signed);
  }

  #noteIssue({ issuedAt }: UnpostedReceipt): void {
    if (this.#oldestIssuedAt === "unknown") return;
    if (this.#oldestIssuedAt === undefined || issuedAt < this.#oldestIssuedAt)
      this.#oldestIssuedAt = issuedAt;
  }
}

/** Adds to a sum that is kept only while it is not zero. */
function add(sums: Map<number, bigint>, key: number, amount: bigint): void {
  const sum = (sums.get(key) ?? 0n) + amount;
  if (sum === 0n) sums.delete(key);
  else sums.set(key, sum);
}

/** A provider's signed group as it was kept, or undefined. */
export async function readGroup(journal: Journal, root: Hex): Promise<SignedGroup | undefined> {
  const record = await journal.get<GroupRecord>("groups", root);
  return record && SignedGroup.from(record);
}

/** The order of billing. A free receipt leaves the total where it was, so it comes after the one that brought it there. */
function compareLeaves(a: BilledLeaf, b: BilledLeaf): number {
  const byTotal = a.userCumulative - b.userCumulative;
  if (a.userId !== b.userId) return a.userId - b.userId;
  if (a.epoch !== b.epoch) return a.epoch - b.epoch;
  if (byTotal !== 0n) return byTotal < 0n ? -1 : 1;
  return Number(a.charge === 0n) - Number(b.charge === 0n);
}
