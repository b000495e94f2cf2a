import type { AbiParameter } from "viem";

/** Values whose name and type say what they count, by name. */
const BY_NAME: Readonly<Record<string, string>> = {
  tokens: "base units of the token",
  value: "base units of the token",
  feeBps: "basis points",
  mode: "0 METERED, 1 SIGNED",
  role: "1 relay, 2 provider",
  kinds: "see packKinds",
  p0: "pUSD per unit",
  p1: "pUSD per unit",
  p2: "pUSD per unit",
};

/** The unit of a value, by the conventions of the contracts; undefined when it has none. */
export function unitOf({ name, type }: AbiParameter): string | undefined {
  const known = name === undefined ? undefined : BY_NAME[name];
  if (known) return known;
  if (type === "uint40") return "protocol seconds";
  if (/^uint(96|80|128)$/.test(type)) return "pUSD";
  if (type === "uint256" && name === "deadline") return "block seconds";
  return undefined;
}
