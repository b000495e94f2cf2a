import {
  AUDIO_BLOCK_BYTES,
  AudioHash,
  charactersOf,
  countCharacters,
  longestAudioMs,
  waveBytesPerSecond,
} from "@aimo/protocol/audio";
import { binaryResponseHash } from "@aimo/protocol/receipts";
import { expect } from "chai";
import fc from "fast-check";

/** A WAVE file of 16-bit mono PCM. */
function wave(bytes: number, rate = 16_000): Buffer {
  const file = Buffer.alloc(44 + bytes);
  file.write("RIFF", 0);
  file.write("WAVEfmt ", 8);
  file.writeUInt32LE(16, 16);
  file.writeUInt16LE(1, 20);
  file.writeUInt16LE(1, 22);
  file.writeUInt32LE(rate, 24);
  file.writeUInt16LE(2, 32);
  file.writeUInt16LE(16, 34);
  file.write("data", 36);
  file.writeUInt32LE(bytes, 40);
  return file;
}

describe("protocol/audio", () => {
  it("hashes blocks as they come, however they are cut", () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 0, max: 3 * AUDIO_BLOCK_BYTES }), { maxLength: 6 }),
        fc.nat(),
        (sizes, seed) => {
          const total = sizes.reduce((sum, size) => sum + size, 0);
          const audio = Uint8Array.from({ length: total }, (_, index) => (index * 31 + seed) & 255);
          const hashed = new AudioHash();
          let at = 0;
          for (const size of sizes) {
            hashed.push(audio.subarray(at, at + size));
            at += size;
          }
          const blocks: Uint8Array[] = [];
          for (let from = 0; from < total; from += AUDIO_BLOCK_BYTES)
            blocks.push(audio.subarray(from, from + AUDIO_BLOCK_BYTES));
          const whole = Math.floor(total / AUDIO_BLOCK_BYTES);
          expect([hashed.bytes, hashed.blocks]).to.deep.equal([total, whole]);
          expect(hashed.hashOfAll()).to.equal(binaryResponseHash(blocks));
          expect(hashed.hashOfBlocks(whole)).to.equal(binaryResponseHash(blocks.slice(0, whole)));
        },
      ),
      { numRuns: 40 },
    );
  });

  it("knows how long plain WAVE is, and bounds the rest by its bytes", () => {
    expect(waveBytesPerSecond(wave(32_000))).to.equal(32_000);
    // The head counts too: a bound must not be below.
    expect(longestAudioMs(wave(32_000))).to.equal(1_002);
    expect(longestAudioMs(new Uint8Array(1_000))).to.equal(2_000);
    const compressed = wave(32_000);
    compressed.writeUInt16LE(0x55, 20);
    expect(longestAudioMs(compressed)).to.equal(2 * (32_000 + 44));
    const lying = wave(32_000);
    lying.writeUInt32LE(0, 24);
    expect(longestAudioMs(lying)).to.equal(2 * (32_000 + 44));
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (file) => longestAudioMs(file) >= 0));
  });

  it("counts code points", () => {
    expect(countCharacters("héllo")).to.equal(5);
    expect(countCharacters("a😀b")).to.equal(3);
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (text) => countCharacters(text) === [...text].length),
    );
    expect(charactersOf(["ab", { type: "text", text: "cd" }, { type: "image_url" }, 7])).to.equal(4);
    expect(charactersOf({})).to.equal(0);
  });
});
