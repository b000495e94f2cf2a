import { toBytes, toHex } from "@aimo/protocol/bytes";
import { buildGroup, encodeEvidence, type ReceiptGroup } from "@aimo/protocol/groups";
import type { Hex } from "viem";

/** A group as it is kept: once, however many of its receipts are billed. `digests`: of all receipts, one after the other. */
export type GroupRecord = { readonly group: ReceiptGroup; readonly signature: Hex; readonly digests: string };

const HEX_OF_DIGEST = 64;

/** A provider's signed group. The evidence of a receipt is made of it when it is asked for: most never need it. */
export class SignedGroup {
  readonly group: ReceiptGroup;
  readonly signature: Hex;
  readonly #digests: readonly Uint8Array[];
  #paths: readonly (readonly Hex[])[] | undefined;

  /** `digests` are those of all its receipts, in the provider's order. */
  constructor(group: ReceiptGroup, signature: Hex, digests: readonly Uint8Array[]) {
    this.group = group;
    this.signature = signature;
    this.#digests = digests;
  }

  static from({ group, signature, digests }: GroupRecord): SignedGroup {
    const all = Array.from({ length: group.count }, (_, index) =>
      toBytes(`0x${digests.slice(index * HEX_OF_DIGEST, (index + 1) * HEX_OF_DIGEST)}`),
    );
    return new SignedGroup(group, signature, all);
  }

  toRecord(): GroupRecord {
    const { group, signature } = this;
    return { group, signature, digests: this.#digests.map((digest) => toHex(digest).slice(2)).join("") };
  }

  /** Proof that the provider signed the receipt with this place in the group. */
  evidenceOf(index: number): Uint8Array {
    this.#paths ??= buildGroup(this.#digests).paths;
    const { group, signature } = this;
    return encodeEvidence({ group, index, path: this.#paths[index] ?? [], signature });
  }
}
