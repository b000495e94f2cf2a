import { toBytes, toHex, uint } from "@aimo/protocol/bytes";
import {
  buildGroup,
  decodeEvidence,
  encodeEvidence,
  groupDigest,
  groupRootFrom,
} from "@aimo/protocol/groups";
import { recoverSigner } from "@aimo/protocol/signatures";
import { expect } from "chai";
import fc from "fast-check";
import { type Hex, keccak256 } from "viem";
import { readVectors } from "./cases.ts";

/** Whether evidence shows that `signer` signed `digest`: what every verifier does. */
async function proves(
  evidence: Uint8Array,
  digest: Hex,
  signer: string,
  separator: Uint8Array,
): Promise<boolean> {
  try {
    const { group, index, path, signature } = decodeEvidence(evidence);
    if (groupRootFrom(toBytes(digest), { index, count: group.count, path }) !== group.root) return false;
    return (await recoverSigner(groupDigest(separator, group), signature)) === signer;
  } catch {
    return false;
  }
}

describe("protocol/groups", function () {
  // Generous: other programs may use the machine at the same time.

  this.timeout(20_000);
  const vectors = readVectors("groups");

  it("signs receipts alone and in groups as the vectors do", async () => {
    let paths: readonly (readonly Hex[])[] = [];
    for (const v of vectors.filter((entry) => entry.flag("valid"))) {
      if (v.has("digests")) {
        const built = buildGroup(v.list("digests").map((digest) => toBytes(digest as Hex)));
        expect(built.root, v.name).to.equal(v.text("root"));
        paths = built.paths;
      }
      const evidence = toBytes(v.hex("evidence"));
      const decoded = decodeEvidence(evidence);
      expect(paths[v.number("index")], v.name).to.deep.equal(v.list("path"));
      expect(toHex(encodeEvidence(decoded)), v.name).to.equal(v.text("evidence"));
      expect(keccak256(evidence), v.name).to.equal(v.text("evidenceHash"));
      expect(toHex(groupDigest(toBytes(v.hex("separator")), decoded.group)), v.name).to.equal(
        v.text("groupDigest"),
      );
      expect(await proves(evidence, v.hex("digest"), v.text("signer"), toBytes(v.hex("separator")))).to.equal(
        true,
      );
    }
  });

  for (const v of vectors.filter((entry) => !entry.flag("valid")))
    it(`refuses evidence with ${v.name}`, async () => {
      const separator = toBytes(v.hex("separator"));
      expect(await proves(toBytes(v.hex("evidence")), v.hex("digest"), v.text("signer"), separator)).to.equal(
        false,
      );
    });

  const digests = fc
    .array(fc.uint8Array({ minLength: 32, maxLength: 32 }), { minLength: 1, maxLength: 256, size: "medium" })
    .filter((list) => new Set(list.map(toHex)).size === list.length);

  it("proves every receipt at its own place and no other", () => {
    fc.assert(
      fc.property(digests, (list) => {
        const { root, paths } = buildGroup(list);
        const count = list.length;
        list.forEach((digest, index) => {
          const path = paths[index] ?? [];
          expect(groupRootFrom(digest, { index, count, path })).to.equal(root);
          const other = (index + 1) % count;
          if (other !== index)
            expect(groupRootFrom(digest, { index: other, count, path })).to.not.equal(root);
        });
      }),
      { numRuns: 30 },
    );
  });

  it("reaches no root after any change of digest, path or length", () => {
    fc.assert(
      fc.property(digests, fc.nat(), fc.nat(31), fc.nat(), (list, pick, byte, level) => {
        const { root, paths } = buildGroup(list);
        const index = pick % list.length;
        const count = list.length;
        const digest = list[index] ?? new Uint8Array();
        const path = paths[index] ?? [];
        const flipped = digest.map((value, at) => (at === byte ? value ^ 1 : value));
        expect(groupRootFrom(flipped, { index, count, path })).to.not.equal(root);
        expect(groupRootFrom(digest, { index, count, path: [...path, root] })).to.equal(undefined);
        if (path.length === 0) return;
        const at = level % path.length;
        const wrong = path.map((step, height) =>
          height === at ? toHex(toBytes(step).map((value, i) => (i === byte ? value ^ 1 : value))) : step,
        );
        expect(groupRootFrom(digest, { index, count, path: wrong })).to.not.equal(root);
        expect(groupRootFrom(digest, { index, count, path: path.slice(1) })).to.equal(undefined);
      }),
      { numRuns: 50 },
    );
  });

  it("refuses empty and oversized groups, and places that are none", () => {
    const digest = uint(1, 32);
    expect(() => buildGroup([])).to.throw(RangeError);
    expect(() => buildGroup(Array.from({ length: 257 }, () => digest))).to.throw(RangeError, "257");
    const path: Hex[] = [`0x${"00".repeat(32)}`];
    for (const index of [-1, 0.5, 2])
      expect(groupRootFrom(digest, { index, count: 2, path }), String(index)).to.equal(undefined);
    expect(groupRootFrom(digest, { index: 0, count: 0, path: [] })).to.equal(undefined);
    expect(groupRootFrom(digest, { index: 0.5, count: 1, path: [] })).to.equal(undefined);
    expect(groupRootFrom(digest, { index: 0, count: 0.5, path: [] })).to.equal(undefined);
    expect(groupRootFrom(digest, { index: 0, count: 2, path: ["0x00"] })).to.equal(undefined);
  });
});
