import {
  addressOfPublicKey,
  initFastCrypto,
  isSignedBy,
  keccak,
  keccakInSteps,
  publicKeyOf,
  recoverAddress,
  sharedSecret,
  sign,
} from "@aimo/node/fast-crypto";
import { expect } from "chai";
import fc from "fast-check";
import { bytesToHex, type Hex, hexToBytes, keccak256, recoverAddress as viemRecover } from "viem";
import { privateKeyToAccount, sign as viemSign } from "viem/accounts";

const ORDER = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;
const digests = fc.uint8Array({ minLength: 32, maxLength: 32 });
const keys = fc
  .bigInt({ min: 1n, max: ORDER - 1n })
  .map((key): Hex => `0x${key.toString(16).padStart(64, "0")}`);

describe("node/fast-crypto", () => {
  before(() => initFastCrypto());

  it("hashes as viem does, for any bytes and any cut into parts", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 1_000 }), fc.nat(), (data, cut) => {
        const at = data.length === 0 ? 0 : cut % data.length;
        expect(bytesToHex(keccak(data))).to.equal(keccak256(data));
        expect(bytesToHex(keccak(data.subarray(0, at), data.subarray(at)))).to.equal(keccak256(data));
      }),
    );
  });

  it("hashes what is long in steps, to the same", async () => {
    const step = 256 * 1024;
    const lengths = fc.oneof(
      fc.nat(64),
      fc.nat(64).map((more) => step * (1 + (more % 3)) - 32 + more),
    );
    await fc.assert(
      fc.asyncProperty(lengths, fc.nat(255), async (length, byte) => {
        const data = new Uint8Array(length).fill(byte);
        expect(bytesToHex(await keccakInSteps(data))).to.equal(keccak256(data));
      }),
      { numRuns: 20 },
    );
  });

  it("signs byte for byte as viem does", async () => {
    await fc.assert(
      fc.asyncProperty(digests, keys, async (digest, privateKey) => {
        const expected = await viemSign({ hash: bytesToHex(digest), privateKey, to: "hex" });
        expect(sign(digest, privateKey)).to.equal(expected);
        expect(sign(bytesToHex(digest), hexToBytes(privateKey))).to.equal(expected);
      }),
      { numRuns: 50 },
    );
  });

  it("recovers the address that viem recovers", async () => {
    await fc.assert(
      fc.asyncProperty(digests, keys, async (digest, privateKey) => {
        const signature = sign(digest, privateKey);
        const { address } = privateKeyToAccount(privateKey);
        expect(recoverAddress(digest, signature)).to.equal(address);
        expect(recoverAddress(bytesToHex(digest), hexToBytes(signature))).to.equal(address);
        expect(await viemRecover({ hash: bytesToHex(digest), signature })).to.equal(address);
        expect(isSignedBy(address.toLowerCase() as Hex, digest, signature)).to.equal(true);
      }),
      { numRuns: 30 },
    );
  });

  it("refuses the second form of a signature, with the high s", () => {
    fc.assert(
      fc.property(digests, keys, (digest, privateKey) => {
        const low = sign(digest, privateKey);
        const s = ORDER - BigInt(`0x${low.slice(66, 130)}`);
        const v = low.endsWith("1b") ? "1c" : "1b";
        const high: Hex = `0x${low.slice(2, 66)}${s.toString(16).padStart(64, "0")}${v}`;
        expect(recoverAddress(digest, high)).to.equal(undefined);
      }),
    );
  });

  it("answers undefined, and never throws, for any bytes that are no signature", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), fc.uint8Array({ maxLength: 40 }), (signature, digest) => {
        const found = recoverAddress(digest, signature);
        if (digest.length !== 32 || signature.length !== 65) expect(found).to.equal(undefined);
      }),
    );
    expect(recoverAddress(new Uint8Array(32), "0xzz" as Hex)).to.equal(undefined);
    expect(recoverAddress(new Uint8Array(32), `0x${"00".repeat(64)}1b`)).to.equal(undefined);
  });

  it("takes no v but 27 and 28", () => {
    const signature = sign(new Uint8Array(32).fill(7), `0x${"11".repeat(32)}`).slice(0, -2);
    for (const v of ["00", "01", "1a", "1d", "25", "ff"])
      expect(recoverAddress(new Uint8Array(32).fill(7), `${signature}${v}` as Hex), v).to.equal(undefined);
  });

  it("refuses to sign with what is no key, without repeating it", () => {
    for (const key of [`0x${"00".repeat(32)}`, `0x${ORDER.toString(16)}`, "0x1234"] as Hex[])
      expect(() => sign(new Uint8Array(32), key))
        .to.throw(RangeError)
        .with.property("message", "The private key is not valid.");
    expect(() => sign(new Uint8Array(31), `0x${"11".repeat(32)}`)).to.throw(RangeError, /31 bytes/);
  });

  it("derives viem's address from a public key in either form", () => {
    fc.assert(
      fc.property(keys, (privateKey) => {
        const account = privateKeyToAccount(privateKey);
        expect(addressOfPublicKey(publicKeyOf(privateKey))).to.equal(account.address);
        expect(addressOfPublicKey(hexToBytes(account.publicKey))).to.equal(account.address);
      }),
      { numRuns: 30 },
    );
  });

  it("gives both sides of Diffie-Hellman the same secret", () => {
    fc.assert(
      fc.property(keys, keys, (a, b) => {
        const [one, two] = [hexToBytes(a), hexToBytes(b)];
        expect(sharedSecret(one, publicKeyOf(two))).to.deep.equal(sharedSecret(two, publicKeyOf(one)));
      }),
    );
  });
});
