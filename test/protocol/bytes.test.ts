import { concat, depthOf, hash, isWord, readUint, toBytes, toHex, uint, ZERO_32 } from "@aimo/protocol/bytes";
import { expect } from "chai";
import fc from "fast-check";
import { bytesToHex, hexToBytes, keccak256 } from "viem";

describe("protocol/bytes", () => {
  it("reads back every unsigned integer it writes, big-endian", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 32 }),
        fc.bigInt({ min: 0n, max: 2n ** 256n - 1n }),
        (width, wide) => {
          const value = wide & (2n ** BigInt(8 * width) - 1n);
          const bytes = uint(value, width);
          expect(bytes.length).to.equal(width);
          expect(BigInt(toHex(bytes))).to.equal(value);
          expect(readUint(concat([new Uint8Array(3), bytes]), 3, width)).to.equal(value);
        },
      ),
    );
  });

  it("refuses integers that do not fit, and reads past the end", () => {
    expect(() => uint(256, 1)).to.throw(RangeError, "8 bits");
    expect(() => uint(-1n, 4)).to.throw(RangeError);
    expect(() => readUint(new Uint8Array(4), 1, 4)).to.throw(RangeError, "4 bytes at 1");
  });

  it("hashes parts as their concatenation", () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array()), (parts) => {
        expect(toHex(hash(...parts))).to.equal(keccak256(concat(parts)));
      }),
    );
  });

  it("knows the depth of a tree", () => {
    expect([0, 1, 2, 3, 4, 5, 8, 9, 255, 256, 257].map(depthOf)).to.deep.equal([
      0, 0, 1, 2, 2, 3, 3, 4, 8, 8, 9,
    ]);
  });

  it("reads and writes hex as viem does, capitals too, and refuses what is none", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        const hex = bytesToHex(bytes);
        expect(toHex(bytes)).to.equal(hex);
        expect(toBytes(hex)).to.deep.equal(bytes);
        expect(toBytes(`0x${hex.slice(2).toUpperCase()}`)).to.deep.equal(bytes);
      }),
    );
    expect(toBytes("0x123")).to.deep.equal(hexToBytes("0x123"));
    for (const other of ["0xzz", "0x1g", "0x\u0661\u0662", "0x 1"] as const)
      expect(() => toBytes(other), other).to.throw(Error);
  });

  it("tells 32 bytes of hex from anything else", () => {
    expect(isWord(ZERO_32)).to.equal(true);
    for (const other of ["0x", ZERO_32.slice(2), `${ZERO_32}0`, ZERO_32.replace("0x0", "0xg"), 5, null])
      expect(isWord(other)).to.equal(false);
  });
});
