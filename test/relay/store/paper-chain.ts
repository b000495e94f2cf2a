import { toBytes } from "@aimo/protocol/bytes";
import { decodeRows } from "@aimo/protocol/rows";
import type { PostedBatch, PreparedBatch } from "../../../relay/src/core/batch.ts";
import type { SettlementChain } from "../../../relay/src/flow/ports.ts";

type Channel = { readonly available: bigint; readonly spent: bigint };
export type PaperState = {
  readonly channels: ReadonlyMap<number, Channel>;
  readonly paid: ReadonlyMap<number, bigint>;
  readonly batches: readonly PostedBatch[];
};

/** What the relay has in bond and money: enough, so that only the books decide. */
const PLENTY = 10n ** 18n;

/**
 * A chain on paper: takes batches as Settlement does, one number after another, each row on from the total before it. It
 * takes no excuse: a row that does not go on from there throws, where the contract would skip it.
 */
export class PaperChain implements SettlementChain {
  state: PaperState;
  readonly #onPost: () => void;

  constructor(state: PaperState, onPost: () => void = () => {}) {
    this.state = state;
    this.#onPost = onPost;
  }

  async nextBatchNo(): Promise<bigint> {
    return BigInt(this.state.batches.length);
  }
  async blockNumber(): Promise<bigint> {
    return 0n;
  }
  async isPending(): Promise<boolean> {
    return false;
  }
  async enlist(): Promise<void> {}
  async paidTo(ids: readonly number[]): Promise<ReadonlyMap<number, bigint>> {
    return new Map(ids.map((id) => [id, this.paid(id)]));
  }
  async funds() {
    return { own: 0n, feeBps: 100 };
  }
  async room(): Promise<bigint> {
    return PLENTY;
  }
  async cancel(): Promise<void> {}
  abandon(): void {}
  async posted(batchNo: bigint): Promise<PostedBatch | undefined> {
    return this.state.batches[Number(batchNo)];
  }

  async post({ header, rows }: PreparedBatch): Promise<void> {
    const { channels, paid, batches } = this.state;
    if (header.batchNo !== BigInt(batches.length))
      throw new Error(`Batch ${header.batchNo} is not the next.`);
    const { metered, providers } = decodeRows(toBytes(rows), header);
    const [newChannels, newPaid] = [new Map(channels), new Map(paid)];
    for (const { userId, cumEnd, delta } of metered) {
      const { available, spent } = channels.get(userId) ?? { available: 0n, spent: 0n };
      if (cumEnd - delta !== spent || delta > available)
        throw new Error(
          `User ${userId} has spent ${spent} of ${available}; the row goes from ${cumEnd - delta}.`,
        );
      newChannels.set(userId, { available: available - delta, spent: cumEnd });
    }
    for (const { providerId, cumEnd } of providers) {
      if (cumEnd <= this.paid(providerId))
        throw new Error(`Provider ${providerId} was paid ${cumEnd} before.`);
      newPaid.set(providerId, cumEnd);
    }
    const posted = { transaction: rows, postedAt: 1, skipped: [], receiptsRoot: header.receiptsRoot };
    this.state = { channels: newChannels, paid: newPaid, batches: [...batches, posted] };
    this.#onPost();
  }

  paid(providerId: number): bigint {
    return this.state.paid.get(providerId) ?? 0n;
  }
}
