/** A small painter's surface: pixels, a few shapes, and a PNG at the end. Places are in units of the width. */
import { PNG } from "pngjs";

/** Red, green, blue, from 0 to 255. */
export type Color = readonly [number, number, number];
export type Canvas = { readonly size: number; readonly pixels: Uint8Array };
/** How much of a colour covers the point: 0 nothing, 1 all. */
type Cover = (x: number, y: number) => number;
type Box = { readonly left: number; readonly top: number; readonly right: number; readonly bottom: number };

/** A square canvas, opaque black. */
export function newCanvas(size: number): Canvas {
  const pixels = new Uint8Array(size * size * 4);
  for (let i = 3; i < pixels.length; i += 4) pixels[i] = 255;
  return { size, pixels };
}

/** The colour between two colours. */
export function mix(from: Color, to: Color, share: number): Color {
  const at = (i: 0 | 1 | 2) => from[i] + (to[i] - from[i]) * share;
  return [at(0), at(1), at(2)];
}

/** Paints `color` inside the box, as much as `cover` says. */
export function paint(canvas: Canvas, box: Box, color: Color | ((y: number) => Color), cover: Cover): void {
  const { size, pixels } = canvas;
  const clamp = (place: number) => Math.max(0, Math.min(size, place));
  const [left, right] = [clamp(Math.floor(box.left * size)), clamp(Math.ceil(box.right * size))];
  const [top, bottom] = [clamp(Math.floor(box.top * size)), clamp(Math.ceil(box.bottom * size))];
  for (let row = top; row < bottom; row++) {
    const y = (row + 0.5) / size;
    const rowColor = typeof color === "function" ? color(y) : color;
    for (let column = left; column < right; column++) {
      const share = cover((column + 0.5) / size, y);
      if (share <= 0) continue;
      const at = (row * size + column) * 4;
      for (let i = 0; i < 3; i++) {
        const below = pixels[at + i] ?? 0;
        pixels[at + i] = below + ((rowColor[i] ?? 0) - below) * Math.min(1, share);
      }
    }
  }
}

/** A band over the whole width, its colour running from `above` to `below`. */
export function band(canvas: Canvas, y: { top: number; bottom: number }, above: Color, below: Color): void {
  const color = (at: number) => mix(above, below, (at - y.top) / (y.bottom - y.top));
  paint(canvas, { left: 0, right: 1, ...y }, color, () => 1);
}

/** A disc with a smooth edge; `glow` is how far its light reaches beyond it. */
export function disc(
  canvas: Canvas,
  at: { x: number; y: number; radius: number; glow?: number },
  color: Color,
): void {
  const reach = at.radius + (at.glow ?? 0) + 1 / canvas.size;
  const box = { left: at.x - reach, right: at.x + reach, top: at.y - reach, bottom: at.y + reach };
  paint(canvas, box, color, (x, y) => {
    const beyond = Math.hypot(x - at.x, y - at.y) - at.radius;
    const edge = 0.5 - beyond * canvas.size;
    return Math.max(
      Math.min(1, edge),
      at.glow ? 0.45 * (1 - Math.max(0, beyond) / at.glow) ** 2 * Number(beyond < at.glow) : 0,
    );
  });
}

/** A filled rectangle. */
export function rectangle(canvas: Canvas, box: Box, color: Color): void {
  paint(canvas, box, color, () => 1);
}

/** A triangle standing on its base. */
export function triangle(
  canvas: Canvas,
  at: { x: number; top: number; base: number; halfWidth: number },
  color: Color,
): void {
  const box = { left: at.x - at.halfWidth, right: at.x + at.halfWidth, top: at.top, bottom: at.base };
  paint(canvas, box, color, (x, y) => {
    const halfHere = (at.halfWidth * (y - at.top)) / (at.base - at.top);
    return (halfHere - Math.abs(x - at.x)) * canvas.size + 0.5;
  });
}

/** Everything below a line that runs over the whole width. */
export function ridge(
  canvas: Canvas,
  line: (x: number) => number,
  bottom: number,
  above: Color,
  below: Color,
): void {
  const heights = Float64Array.from({ length: canvas.size }, (_, i) => line((i + 0.5) / canvas.size));
  const top = heights.reduce((least, height) => Math.min(least, height), 1);
  const color = (y: number) => mix(above, below, (y - top) / Math.max(0.001, bottom - top));
  paint(canvas, { left: 0, right: 1, top, bottom }, color, (x, y) => {
    return (y - (heights[Math.floor(x * canvas.size)] ?? 1)) * canvas.size + 0.5;
  });
}

/** The canvas as a PNG file. Compression runs off the main thread. */
export function toPng({ size, pixels }: Canvas): Promise<Buffer> {
  // Filter 1 (the difference to the left neighbour) suits flat bands; trying all five costs four times the time.
  const png = new PNG({ width: size, height: size, colorType: 2, inputHasAlpha: true, filterType: 1 });
  png.data = Buffer.from(pixels.buffer);
  return new Promise((resolve, reject) => {
    const parts: Buffer[] = [];
    png
      .pack()
      .on("data", (part: Buffer) => parts.push(part))
      .on("error", reject)
      .on("end", () => resolve(Buffer.concat(parts)));
  });
}
