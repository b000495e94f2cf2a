import type { Hex } from "viem";
import { digestOf } from "./typed-data.ts";
import { MAX_U64, MAX_U80 } from "./units.ts";

/** What the session key of a SIGNED channel promises to pay over all of the channel's epoch, pUSD. */
export type SpendVoucher = {
  readonly relayId: number;
  readonly userId: number;
  readonly channelEpoch: number;
  readonly cumulative: bigint;
};

/** A voucher as it goes with a request: who pays whom is known from the API key. 65 bytes of signature. */
export type SignedVoucher = {
  readonly epoch: number;
  /** pUSD. */
  readonly cumulative: bigint;
  readonly signature: Hex;
};

export function voucherDigest(separator: Uint8Array, voucher: SpendVoucher): Uint8Array {
  return digestOf(separator, "SpendVoucher", voucher);
}

/** The value of the `aimo-voucher` header: epoch, cumulative in pUSD and signature. */
export function formatVoucher({ epoch, cumulative, signature }: SignedVoucher): string {
  return `${epoch}:${cumulative}:${signature}`;
}

/** Longest: 5 digits, 25 digits (80 bits), 132 of the signature, two colons. */
const FORM = /^([0-9]{1,5}):([0-9]{1,25}):(0x[0-9a-fA-F]{130})$/;
const MAX_U16 = 2 ** 16 - 1;

/** Inverse of `formatVoucher`. Undefined: it has another form, or a number is too large for the message. */
export function parseVoucher(text: string): SignedVoucher | undefined {
  const [, epochText = "", cumulativeText = "", signature = ""] = FORM.exec(text) ?? [];
  if (signature === "") return undefined;
  const [epoch, cumulative] = [Number(epochText), BigInt(cumulativeText)];
  if (epoch > MAX_U16 || cumulative > MAX_U80) return undefined;
  return { epoch, cumulative, signature: signature as Hex };
}

/**
 * The highest cumulative that a relay can post for a channel that the chain has debited by `spent`: a signed row tells
 * what the voucher has above the row's end in 64 bits.
 */
export function highestPostable(spent: bigint): bigint {
  return spent + MAX_U64;
}
