import { expect } from "chai";
import { PNG } from "pngjs";
import { toPng } from "../../../provider/src/demo/canvas.ts";
import { type DrawingAsk, draw } from "../../../provider/src/demo/draw.ts";

const pngOf = (ask: Partial<DrawingAsk>) =>
  toPng(draw({ prompt: "a sunset over the sea", size: 256, seed: 0, index: 0, ...ask }));

describe("demo/draw", () => {
  for (const size of [256, 512, 1024]) {
    it(`draws a picture that decodes as ${size} by ${size} pixels`, async () => {
      const { width, height } = PNG.sync.read(await pngOf({ size }));
      expect([width, height]).to.deep.equal([size, size]);
    });
  }

  it("draws the same picture for the same prompt and seed", async () => {
    expect(await pngOf({})).to.deep.equal(await pngOf({}));
  });

  it("draws another picture for another prompt, seed or index", async () => {
    const pictures = await Promise.all([
      pngOf({}),
      pngOf({ prompt: "a city at night" }),
      pngOf({ seed: 1 }),
      pngOf({ index: 1 }),
    ]);
    expect(new Set(pictures.map((picture) => picture.toString("base64"))).size).to.equal(4);
  });

  it("draws the night darker than the day, and a red house redder than a blue one", () => {
    const mean = (prompt: string, channel: number) => {
      const { pixels } = draw({ prompt, size: 256, seed: 0, index: 0 });
      return pixels.reduce((sum, value, i) => (i % 4 === channel ? sum + value : sum), 0) / (256 * 256);
    };
    expect(mean("a field at night", 1)).to.be.lessThan(mean("a field on a sunny day", 1) - 40);
    expect(mean("a red house by day", 0)).to.be.greaterThan(mean("a blue house by day", 0));
  });
});
