import { toHex } from "@aimo/protocol/bytes";
import { digestByViem, digestOf, domainSeparator, type MessageName, TYPES } from "@aimo/protocol/typed-data";
import { expect } from "chai";
import fc from "fast-check";
import { type Address, type Hex, recoverAddress } from "viem";
import { readVectors, type Vector } from "./cases.ts";

type Message = Record<string, Hex | bigint>;

function messageOf(v: Vector): Message {
  return Object.fromEntries(
    TYPES[v.text("message") as MessageName].map(({ name, type }) => [
      name,
      type.startsWith("uint") ? v.big(name) : v.hex(name),
    ]),
  );
}

describe("protocol/typed-data", function () {
  // Generous: other programs may use the machine at the same time.

  this.timeout(20_000);
  for (const v of readVectors("typed-data"))
    it(`digests "${v.name}" as the vectors do`, async () => {
      const domain = {
        chainId: v.number("chainId"),
        verifyingContract: v.text("verifyingContract") as Address,
      };
      const name = v.text("message") as MessageName;
      const separator = domainSeparator(domain);
      expect(toHex(separator)).to.equal(v.text("separator"));
      const digest = toHex(digestOf(separator, name, messageOf(v)));
      expect(digest).to.equal(v.text("digest"));
      const signature = v.hex("signature");
      expect(await recoverAddress({ hash: digest, signature })).to.equal(v.text("signer"));
    });

  const fields: Record<string, fc.Arbitrary<Hex | bigint>> = {
    address: fc.uint8Array({ minLength: 20, maxLength: 20 }).map(toHex),
    bytes32: fc.uint8Array({ minLength: 32, maxLength: 32 }).map(toHex),
  };
  const uintOf = (bits: number) => fc.bigInt({ min: 0n, max: 2n ** BigInt(bits) - 1n });

  for (const name of Object.keys(TYPES) as MessageName[])
    it(`digests any ${name} as viem does`, () => {
      const message = fc.record(
        Object.fromEntries(
          TYPES[name].map((field) => [field.name, fields[field.type] ?? uintOf(Number(field.type.slice(4)))]),
        ),
      ) as fc.Arbitrary<Message>;
      fc.assert(
        fc.property(message, fields["address"] as fc.Arbitrary<Hex>, fc.nat(), (value, contract, chainId) => {
          const domain = { chainId, verifyingContract: contract };
          expect(toHex(digestOf(domainSeparator(domain), name, value))).to.equal(
            digestByViem(domain, name, value),
          );
        }),
        { numRuns: 40 },
      );
    });

  it("refuses a field that is missing or too large", () => {
    const separator = new Uint8Array(32);
    const voucher = { relayId: 1, providerId: 2 };
    expect(() => digestOf(separator, "ProviderVoucher", voucher)).to.throw(TypeError, "cumulative");
    expect(() => digestOf(separator, "ProviderVoucher", { ...voucher, cumulative: 2n ** 80n })).to.throw(
      RangeError,
      "80 bits",
    );
  });

  it("refuses a word of another length, which would make two messages alike", () => {
    const group = { relayId: 1, providerId: 2, count: 1, closedAt: 1 };
    expect(() => digestOf(new Uint8Array(32), "ReceiptGroup", { ...group, root: "0x00" })).to.throw(
      RangeError,
      "root",
    );
  });
});
