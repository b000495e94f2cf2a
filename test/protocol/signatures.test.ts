import { concat, toBytes, toHex, uint } from "@aimo/protocol/bytes";
import { compactFault, fromCompact, recoverSigner, toCompact } from "@aimo/protocol/signatures";
import { digestOf } from "@aimo/protocol/typed-data";
import { expect } from "chai";
import fc from "fast-check";
import { type Address, type Hex, keccak256 } from "viem";
import { privateKeyToAccount } from "viem/accounts";
import { readVectors, type Vector } from "./cases.ts";

const ORDER = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;

/** Who signed the voucher of a case, as the chain sees it. */
async function signerOf(v: Vector): Promise<Address | undefined> {
  const compact = { r: v.hex("r"), vs: v.hex("vs") };
  if (compactFault(compact)) return undefined;
  const voucher = {
    relayId: v.number("relayId"),
    userId: v.number("userId"),
    channelEpoch: v.number("channelEpoch"),
    cumulative: v.big("cumulative"),
  };
  if (voucher.cumulative >= 2n ** 80n) return undefined;
  return recoverSigner(digestOf(toBytes(v.hex("separator")), "SpendVoucher", voucher), fromCompact(compact));
}

describe("protocol/signatures", function () {
  // Generous: other programs may use the machine at the same time.

  this.timeout(20_000);
  const vectors = readVectors("vouchers");

  for (const v of vectors.filter((entry) => entry.flag("valid")))
    it(`reads the voucher of "${v.name}" as the vectors do`, async () => {
      expect(await signerOf(v)).to.equal(v.text("key"));
      expect(toCompact(v.hex("signature"))).to.deep.equal({ r: v.text("r"), vs: v.text("vs") });
      expect(fromCompact({ r: v.hex("r"), vs: v.hex("vs") })).to.equal(v.text("signature"));
    });

  for (const v of vectors.filter((entry) => !entry.flag("valid")))
    it(`does not take a voucher with ${v.name}`, async () => {
      expect(await signerOf(v)).to.not.equal(v.text("key"));
    });

  it("packs every signature and reads it back", async () => {
    const seed = fc.uint8Array({ minLength: 32, maxLength: 32 });
    await fc.assert(
      fc.asyncProperty(seed, seed, async (key, message) => {
        const account = privateKeyToAccount(keccak256(key));
        const digest = toBytes(keccak256(message));
        const signature = await account.sign({ hash: toHex(digest) });
        const compact = toCompact(signature);
        expect(compactFault(compact)).to.equal(undefined);
        expect(fromCompact(compact)).to.equal(signature);
        expect(await recoverSigner(digest, signature)).to.equal(account.address);
        expect(await recoverSigner(digest, twinOf(signature))).to.equal(undefined);
        expect(() => toCompact(twinOf(signature))).to.throw(RangeError, "above half");
      }),
      { numRuns: 20 },
    );
  });

  it("refuses other lengths, other v, and numbers that the curve has not", async () => {
    const v = vectors[0];
    if (!v) throw new Error("The vector is missing.");
    const signature = v.hex("signature");
    const part = (r: bigint, s: bigint, last: number): Hex =>
      toHex(concat([uint(r, 32), uint(s, 32), uint(last, 1)]));
    const wrong: Hex[] = [
      "0x",
      signature.slice(0, -2) as Hex,
      `${signature}00`,
      ...[0, 1, 26, 29].map((last) => part(5n, 5n, last)),
      part(0n, 5n, 27),
      part(ORDER, 5n, 27),
      part(5n, 0n, 27),
      part(5n, ORDER / 2n + 1n, 27),
      part(5n, 2n ** 256n - 1n, 27),
    ];
    for (const one of wrong) {
      expect(() => toCompact(one), one).to.throw(RangeError);
      expect(await recoverSigner(toBytes(v.hex("digest")), one), one).to.equal(undefined);
    }
    expect(() => fromCompact({ r: "0x00", vs: v.hex("vs") })).to.throw(RangeError, "r is not 32 bytes");
    expect(() => fromCompact({ r: v.hex("r"), vs: "0x" })).to.throw(RangeError, "vs is not 32 bytes");
  });
});

/** The other signature that the curve allows over the same message. */
function twinOf(signature: Hex): Hex {
  const bytes = toBytes(signature);
  const s = BigInt(toHex(bytes.slice(32, 64)));
  return toHex(concat([bytes.slice(0, 32), uint(ORDER - s, 32), uint(bytes[64] === 27 ? 28 : 27, 1)]));
}
