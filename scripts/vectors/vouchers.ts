import { toBytes, toHex, uint } from "@aimo/protocol/bytes";
import { type CompactSignature, recoverSigner, toCompact } from "@aimo/protocol/signatures";
import { digestOf, domainSeparator } from "@aimo/protocol/typed-data";
import { MAX_U80 } from "@aimo/protocol/units";
import type { Hex } from "viem";
import { type Case, decimals, providerAccount, userAccount, VECTOR_DOMAIN } from "./case.ts";

const separator = domainSeparator(VECTOR_DOMAIN);
const ORDER = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;
const PARITY = 1n << 255n;

type Voucher = {
  readonly relayId: number;
  readonly userId: number;
  readonly channelEpoch: number;
  readonly cumulative: bigint;
};

/** A SpendVoucher by the session key of these vectors, as 65 bytes and as a signed row has it. */
export async function signVoucher(
  voucher: Voucher,
): Promise<{ readonly signature: Hex; readonly compact: CompactSignature; readonly digest: Uint8Array }> {
  const digest = digestOf(separator, "SpendVoucher", voucher);
  const signature = await userAccount.sign({ hash: toHex(digest) });
  return { signature, compact: toCompact(signature), digest };
}

const VOUCHERS: readonly (Voucher & { readonly name: string })[] = [
  { name: "an ordinary voucher", relayId: 3, userId: 7, channelEpoch: 2, cumulative: 1_500_000_000_000n },
  { name: "its next", relayId: 3, userId: 7, channelEpoch: 2, cumulative: 1_500_000_000_001n },
  { name: "lowest values", relayId: 1, userId: 1, channelEpoch: 1, cumulative: 0n },
  {
    name: "highest values",
    relayId: 2 ** 32 - 1,
    userId: 2 ** 32 - 1,
    channelEpoch: 2 ** 16 - 1,
    cumulative: MAX_U80,
  },
];

/** SpendVouchers as compact signatures; `valid` is false where a signed row with it must revert. */
export async function voucherCases(): Promise<Case[]> {
  const good = await Promise.all(VOUCHERS.map(goodCase));
  const parities = new Set(good.map((entry) => BigInt(String(entry["vs"])) >= PARITY));
  if (parities.size !== 2) throw new Error("The vouchers do not show both parities.");
  const [first] = good;
  if (!first) throw new Error("The case to falsify is missing.");
  return [...good, ...falseCases(first)];
}

async function goodCase({ name, ...voucher }: Voucher & { readonly name: string }): Promise<Case> {
  const { signature, compact, digest } = await signVoucher(voucher);
  if ((await recoverSigner(digest, signature)) !== userAccount.address) throw new Error(`"${name}" is lost.`);
  return {
    name,
    valid: true,
    separator: toHex(separator),
    ...decimals(voucher),
    digest: toHex(digest),
    key: userAccount.address,
    signature,
    ...compact,
  };
}

function falseCases(good: Case): Case[] {
  const more = (field: string) => ({ [field]: String(BigInt(String(good[field])) + 1n) });
  const vs = BigInt(String(good["vs"]));
  const s = vs & (PARITY - 1n);
  const word = (value: bigint): Hex => toHex(uint(value, 32));
  const flipped = toBytes(String(good["r"]) as Hex).map((byte, at) => (at === 31 ? byte ^ 1 : byte));
  const changes: [string, Case][] = [
    ["another relay", more("relayId")],
    ["another user", more("userId")],
    ["another epoch", more("channelEpoch")],
    ["another cumulative", more("cumulative")],
    ["a cumulative above 80 bits", { cumulative: String(2n ** 80n) }],
    [
      "a cumulative that is the voucher's after 80 bits",
      { cumulative: String(BigInt(String(good["cumulative"])) + 2n ** 80n) },
    ],
    ["another domain", { separator: toHex(domainSeparator({ ...VECTOR_DOMAIN, chainId: 1 })) }],
    ["another key", { key: providerAccount.address }],
    ["another parity", { vs: word(vs >= PARITY ? vs - PARITY : vs + PARITY) }],
    ["another r", { r: toHex(flipped) }],
    ["r of zero", { r: word(0n) }],
    ["r of the order", { r: word(ORDER) }],
    ["s of zero", { vs: word(0n) }],
    // the upper half of the order does not fit beside the parity, but for its beginning
    ["s just above half the order", { vs: word(ORDER / 2n + 1n) }],
    ["s of zero with a parity", { vs: word(PARITY) }],
    ["the twin in the upper half, cut to 255 bits", { vs: word((ORDER - s) & (PARITY - 1n)) }],
  ];
  return changes.map(([name, change]) => {
    const { digest: _digest, signature: _signature, ...rest } = good;
    return { ...rest, ...change, name, valid: false };
  });
}
