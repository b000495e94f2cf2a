import {
  type DomainParameters,
  digestByViem,
  domainSeparator,
  type MessageName,
  TYPES,
} from "@aimo/protocol/typed-data";
import { concat, encodeAbiParameters, type Hex, keccak256, stringToHex, toHex } from "viem";
import { bytes32, type Case, userAccount, VECTOR_DOMAIN } from "./case.ts";

type Value = Hex | bigint;
/** Withdraw and SignerProof are for other contracts than Settlement. */
const OTHER_CONTRACT = "0xc0ffeec0ffeec0ffeec0ffeec0ffeec0ffeec0ff";

/** A field's least, greatest and an ordinary value. */
function fieldValue(type: string, name: string, which: "least" | "greatest" | "ordinary"): Value {
  const bits = type === "address" ? 160 : type === "bytes32" ? 256 : Number(type.slice(4));
  const highest = 2n ** BigInt(bits) - 1n;
  const ordinary = BigInt(bytes32(name)) & highest;
  const value = which === "least" ? 0n : which === "greatest" ? highest : ordinary;
  if (type === "bytes32" || type === "address") return toHex(value, { size: bits / 8 });
  return value;
}

/**
 * Every message at the edges of its widths, on two chains and for two contracts. Encoded here by the ABI of EIP-712 itself and by viem,
 * not by the protocol's own fast code, which is held to these.
 */
export async function typedDataCases(): Promise<Case[]> {
  const domains: DomainParameters[] = [
    VECTOR_DOMAIN,
    { ...VECTOR_DOMAIN, chainId: 8453 },
    { ...VECTOR_DOMAIN, verifyingContract: OTHER_CONTRACT },
  ];
  const cases: Case[] = [];
  for (const domain of domains)
    for (const message of Object.keys(TYPES) as MessageName[])
      for (const which of ["least", "greatest", "ordinary"] as const) {
        const fields = TYPES[message].map(({ name, type }) => ({
          name,
          type,
          value: fieldValue(type, name, which),
        }));
        const typeHash = keccak256(
          stringToHex(`${message}(${fields.map(({ type, name }) => `${type} ${name}`).join(",")})`),
        );
        const structHash = keccak256(
          concat([typeHash, ...fields.map(({ type, value }) => encodeAbiParameters([{ type }], [value]))]),
        );
        const separator = toHex(domainSeparator(domain));
        const digest = keccak256(concat(["0x1901", separator, structHash]));
        const values = Object.fromEntries(fields.map(({ name, value }) => [name, value]));
        if (digest !== digestByViem(domain, message, values))
          throw new Error(`${message} differs from viem.`);
        cases.push({
          name: `${message}, ${which}, ${domain.verifyingContract} on chain ${domain.chainId}`,
          message,
          chainId: String(domain.chainId),
          verifyingContract: domain.verifyingContract,
          separator,
          typeHash,
          structHash,
          digest,
          signer: userAccount.address,
          signature: await userAccount.sign({ hash: digest }),
          ...Object.fromEntries(fields.map(({ name, value }) => [name, String(value)])),
        });
      }
  return cases;
}
