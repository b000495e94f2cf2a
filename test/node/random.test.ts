import { randomHex } from "@aimo/node/random";
import { expect } from "chai";

describe("node/random", () => {
  it("gives as many bytes as asked, and none twice", () => {
    const drawn = new Set<string>();
    // more than a pool of 8,192 bytes holds
    for (let i = 0; i < 2_000; i++) {
      const text = randomHex(16);
      expect(text).to.match(/^[0-9a-f]{32}$/);
      drawn.add(text);
    }
    expect(drawn.size).to.equal(2_000);
  });

  it("refuses more than it holds", () => {
    expect(randomHex(8_192)).to.have.length(16_384);
    expect(() => randomHex(8_193)).to.throw(RangeError, "8193 bytes");
  });
});
