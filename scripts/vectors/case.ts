import type { Address, Hex } from "viem";
import { keccak256, toHex } from "viem";
import { privateKeyToAccount } from "viem/accounts";

/** One flat case: integers as decimal strings, bytes as 0x hex, so that Solidity and any other language can read it. */
export type Case = Readonly<Record<string, string | boolean | readonly string[]>>;

/** Keys of nobody: fixed, so that the signatures in the vectors never change. */
const key = (name: string): Hex => keccak256(toHex(`aimo-vector-key-${name}`));
export const providerAccount = privateKeyToAccount(key("provider"));
export const userAccount = privateKeyToAccount(key("user"));

export const VECTOR_DOMAIN = {
  chainId: 31337,
  verifyingContract: "0x5e771e5e771e5e771e5e771e5e771e5e771e5e77",
} as const satisfies { readonly chainId: number; readonly verifyingContract: Address };

/** 32 bytes that follow from a name. */
export const bytes32 = (name: string): Hex => keccak256(toHex(`aimo-vector-${name}`));

/** Every number of an object as a decimal string. */
export function decimals(values: Readonly<Record<string, number | bigint | string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, String(value)]));
}
