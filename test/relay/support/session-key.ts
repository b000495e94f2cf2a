import { sign } from "@aimo/node/fast-crypto";
import { toHex, uint } from "@aimo/protocol/bytes";
import { formatVoucher, type SignedVoucher, voucherDigest } from "@aimo/protocol/vouchers";
import type { Hex } from "viem";
import { privateKeyToAccount } from "viem/accounts";

export const SESSION_KEY: Hex = toHex(uint(31_337, 32));
export const SESSION_ADDRESS = privateKeyToAccount(SESSION_KEY).address;

export type VoucherDomain = {
  readonly separator: Uint8Array;
  readonly relayId: number;
  readonly userId: number;
};

/** Signs vouchers as a user's session key does. */
export function signVoucher(
  { separator, relayId, userId }: VoucherDomain,
  cumulative: bigint,
  { epoch = 1, key = SESSION_KEY }: { epoch?: number; key?: Hex } = {},
): SignedVoucher {
  const digest = voucherDigest(separator, { relayId, userId, channelEpoch: epoch, cumulative });
  return { epoch, cumulative, signature: sign(digest, key) };
}

/** The header's value. */
export function voucherText(
  domain: VoucherDomain,
  cumulative: bigint,
  options?: { epoch?: number; key?: Hex },
): string {
  return formatVoucher(signVoucher(domain, cumulative, options));
}
