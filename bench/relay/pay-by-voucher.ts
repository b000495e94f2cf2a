import { initFastCrypto, sign } from "@aimo/node/fast-crypto";
import { toBytes } from "@aimo/protocol/bytes";
import { ROUTE_HEADERS } from "@aimo/protocol/routes";
import { domainSeparator } from "@aimo/protocol/typed-data";
import { PUSD_PER_USD } from "@aimo/protocol/units";
import { formatVoucher, voucherDigest } from "@aimo/protocol/vouchers";
import type { Hex } from "viem";
import type { World } from "./world.ts";

/** What is signed for each request more than for the one before: above what any request of the bench is held for. */
const STEP = PUSD_PER_USD / 10n;
const FIRST_EPOCH = 1;

/** Makes the header line of each request on a SIGNED channel: a new voucher, as a client that keeps ahead signs it. */
export async function payByVoucher(
  { relayId, deployment }: World,
  { userId, sessionKey }: { readonly userId: number; readonly sessionKey: Hex },
): Promise<() => string> {
  await initFastCrypto();
  const { chainId, contracts } = deployment;
  const separator = domainSeparator({ chainId, verifyingContract: contracts.settlement });
  const key = toBytes(sessionKey);
  let cumulative = 0n;
  return () => {
    cumulative += STEP;
    const digest = voucherDigest(separator, { relayId, userId, channelEpoch: FIRST_EPOCH, cumulative });
    const voucher = formatVoucher({ epoch: FIRST_EPOCH, cumulative, signature: sign(digest, key) });
    return `${ROUTE_HEADERS.voucher}: ${voucher}\r\n`;
  };
}
