import { toBytes, toHex } from "@aimo/protocol/bytes";
import {
  binaryResponseHash,
  embeddingsResponseHash,
  requestHash,
  requestHashOf,
  type TextChoice,
  textResponseHash,
} from "@aimo/protocol/receipts";
import { expect } from "chai";
import fc from "fast-check";
import { type Hex, keccak256 } from "viem";
import { readVectors, type Vector } from "./cases.ts";

function hashOf(v: Vector): Hex {
  if (v.text("kind") === "text") return textResponseHash(JSON.parse(v.text("choices")) as TextChoice[]);
  if (v.text("kind") === "binary")
    return binaryResponseHash(v.list("items").map((item) => toBytes(item as Hex)));
  return embeddingsResponseHash(
    (JSON.parse(v.text("vectors")) as string[][]).map((list) => list.map(Number)),
  );
}

describe("protocol/receipts", () => {
  const vectors = readVectors("receipts");

  for (const v of vectors.filter((entry) => entry.text("kind") === "request"))
    it(`binds the request of "${v.name}" as the vectors do`, () => {
      const binding = {
        userId: v.number("userId"),
        channelEpoch: v.number("channelEpoch"),
        nonce: v.hex("nonce"),
      };
      expect(requestHash({ ...binding, body: toBytes(v.hex("body")) })).to.equal(v.text("requestHash"));
      expect(requestHashOf({ ...binding, bodyHash: v.hex("bodyHash") })).to.equal(v.text("requestHash"));
    });

  for (const v of vectors.filter((entry) => entry.text("kind") !== "request"))
    it(`hashes the response of "${v.name}" (${v.text("kind")}) as the vectors do`, () => {
      expect(hashOf(v)).to.equal(v.text("responseHash"));
      const items = v.list("items").map((item) => toBytes(item as Hex));
      expect(binaryResponseHash(items), "keccak of the items' hashes").to.equal(v.text("responseHash"));
    });

  it("gives no two vectors the same hash unless their items are alike", () => {
    const seen = new Map<string, string>();
    for (const v of vectors.filter((entry) => entry.has("items"))) {
      const items = JSON.stringify(v.list("items"));
      const known = seen.get(v.text("responseHash"));
      if (known !== undefined) expect(items).to.equal(known);
      seen.set(v.text("responseHash"), items);
    }
  });

  it("refuses a nonce or a body's hash of another length", () => {
    const binding = { userId: 1, channelEpoch: 1, nonce: "0x00" as Hex };
    expect(() => requestHash({ ...binding, body: new Uint8Array() })).to.throw(RangeError, "nonce");
    const nonce: Hex = `0x${"00".repeat(16)}`;
    expect(() => requestHashOf({ ...binding, nonce, bodyHash: "0x00" })).to.throw(RangeError, "hash");
  });

  it("binds a body by its hash alone", () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 300 }),
        fc.nat(),
        fc.nat(65_535),
        (body, userId, channelEpoch) => {
          const nonce = toHex(new Uint8Array(16).fill(7));
          expect(requestHash({ userId, channelEpoch, nonce, body })).to.equal(
            requestHashOf({ userId, channelEpoch, nonce, bodyHash: keccak256(body) }),
          );
        },
      ),
    );
  });
});
