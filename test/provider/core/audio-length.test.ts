import { expect } from "chai";
import fc from "fast-check";
import { audioMs } from "../../../provider/src/core/audio-length.ts";

/** Frames of MPEG 1 layer 3, 128 kbit/s at 44.1 kHz: 417 bytes and 1,152 samples each. */
const mp3 = (frames: number) => {
  const frame = Buffer.alloc(417);
  frame.set([0xff, 0xfb, 0x90, 0x00]);
  return Buffer.concat(Array.from({ length: frames }, () => frame));
};
const opus = (samples: number) => {
  const head = Buffer.alloc(47);
  head.write("OggS", 0);
  head.write("OpusHead", 28);
  const last = Buffer.alloc(4_000);
  last.write("OggS", 0);
  last.writeUInt32LE(samples, 6);
  return Buffer.concat([head, last]);
};

describe("provider/core/audio-length", () => {
  it("reads the length of common formats from their own frames", () => {
    expect(audioMs(mp3(100))).to.equal(Math.ceil((100 * 1_152_000) / 44_100));
    const tagged = Buffer.concat([
      Buffer.from([0x49, 0x44, 0x33, 4, 0, 0, 0, 0, 1, 0]),
      Buffer.alloc(128),
      mp3(10),
    ]);
    expect(audioMs(tagged)).to.equal(Math.ceil((10 * 1_152_000) / 44_100));
    expect(audioMs(opus(96_000))).to.equal(2_000);
    const flac = Buffer.alloc(2_000);
    flac.write("fLaC", 0);
    flac.writeUInt32BE((44_100 << 12) >>> 0, 18);
    flac.writeUInt32BE(88_200, 22);
    expect(audioMs(flac)).to.equal(2_000);
  });

  it("says nothing of what it cannot read, and never more than may be billed", () => {
    expect(audioMs(Buffer.from("hello there"))).to.equal(undefined);
    expect(audioMs(opus(4_000_000_000))).to.equal(2 * 4_047);
    fc.assert(
      fc.property(
        fc.constantFrom("RIFF", "fLaC", "OggS", "ID3\u0004", "\u00ff\u00fb"),
        fc.uint8Array(),
        (head, rest) => {
          const ms = audioMs(Buffer.concat([Buffer.from(head, "latin1"), rest]));
          expect(ms === undefined || (Number.isInteger(ms) && ms >= 0)).to.equal(true);
        },
      ),
    );
  });
});
