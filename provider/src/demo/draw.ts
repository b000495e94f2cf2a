/**
 * Pictures without weights. The words of the prompt choose the hour, the land, what stands on it and the colours;
 * chance, seeded by prompt and seed, places it. The same prompt and seed always give the same picture.
 */
import { band, type Canvas, type Color, disc, mix, newCanvas, rectangle, ridge, triangle } from "./canvas.ts";
import { hashText, randomFrom } from "./random.ts";
import { colorsIn, HOUR_WORDS, HOURS, type Hour, LAND_WORDS, LANDS, THING_WORDS } from "./scene-words.ts";
import { stemOf, wordsOf } from "./words.ts";

/** What to draw. `index` tells the pictures of one request apart. */
export type DrawingAsk = {
  readonly prompt: string;
  readonly size: number;
  readonly seed: number;
  readonly index: number;
};

type Random = () => number;

/** Draws the prompt. Costs about 0.1 s for a million pixels. */
export function draw({ prompt, size, seed, index }: DrawingAsk): Canvas {
  const random = randomFrom(hashText(`${seed}\n${index}\n${prompt}`));
  const words = new Set(wordsOf(prompt).map(stemOf));
  const has = (list: string) => list.split(" ").some((word) => words.has(stemOf(word)));
  const hourName = choose(HOUR_WORDS, has, random);
  const hour = HOURS[hourName];
  const landName = choose(LAND_WORDS, has, random);
  const named = colorsIn(prompt);
  const tint = named[0] ?? colorFrom(random);
  const shade = (color: Color) => mix(mix(color, tint, named.length > 0 ? 0.3 : 0.1), hour.high, hour.dim);
  const canvas = newCanvas(size);
  const horizon = 0.52 + random() * 0.14;

  band(canvas, { top: 0, bottom: horizon }, mix(hour.high, tint, 0.14), mix(hour.low, tint, 0.1));
  if (hourName === "night") stars(canvas, horizon, random);
  const light = {
    x: 0.15 + random() * 0.7,
    y: horizon * (hourName === "sunset" ? 0.86 : 0.2 + random() * 0.25),
  };
  disc(
    canvas,
    { ...light, radius: 0.05 + random() * 0.04, glow: hourName === "storm" ? 0.05 : 0.22 },
    hour.light,
  );
  if (has(THING_WORDS.clouds) || random() < 0.5)
    clouds(canvas, horizon, mix([255, 255, 255], hour.high, hour.dim), random);
  if (has(THING_WORDS.peaks) || random() < 0.35)
    peaks(canvas, horizon, shade([112, 116, 132]), hour.low, random);
  const ground = shade(LANDS[landName]);
  band(canvas, { top: horizon, bottom: 1 }, ground, mix(ground, [0, 0, 0], 0.35));
  if (has(THING_WORDS.water)) water(canvas, { horizon, lightX: light.x }, hour, random);
  if (has(THING_WORDS.sails)) boat(canvas, horizon, shade(tint), random);
  if (has(LAND_WORDS.city) || (landName === "city" && !has(THING_WORDS.water)))
    skyline(canvas, horizon, shade([70, 76, 96]), hourName === "night", random);
  const near = has(THING_WORDS.water) ? 0.88 : horizon + 0.1;
  if (has(THING_WORDS.trees) || landName === "forest") trees(canvas, near, shade([34, 92, 52]), random);
  if (has(THING_WORDS.houses)) house(canvas, near + 0.06, shade(tint), random);
  if (has(THING_WORDS.flowers))
    dots(canvas, { top: near, bottom: 1, radius: 0.009, count: 120 }, () => colorFrom(random), random);
  if (has(THING_WORDS.shapes)) shapes(canvas, named.length > 0 ? named : [tint, colorFrom(random)], random);
  if (has(THING_WORDS.rains)) rain(canvas, random);
  if (has(THING_WORDS.snowfall))
    dots(canvas, { top: 0, bottom: 1, radius: 0.005, count: 240 }, () => [250, 250, 255], random);
  return canvas;
}

/** The entry whose words the prompt uses; chance decides when it uses none. */
function choose<K extends string>(
  table: Readonly<Record<K, string>>,
  has: (list: string) => boolean,
  random: Random,
): K {
  const names = Object.keys(table) as K[];
  const drawn = names[Math.floor(random() * names.length)];
  const name = names.find((candidate) => has(table[candidate])) ?? drawn;
  if (name === undefined) throw new RangeError("a table of choices is empty");
  return name;
}

function colorFrom(random: Random): Color {
  return [60 + random() * 190, 60 + random() * 190, 60 + random() * 190];
}

function stars(canvas: Canvas, horizon: number, random: Random): void {
  dots(canvas, { top: 0, bottom: horizon, radius: 0.0018, count: 160 }, () => [240, 240, 255], random);
}

type Field = {
  readonly top: number;
  readonly bottom: number;
  readonly radius: number;
  readonly count: number;
};

function dots(canvas: Canvas, field: Field, color: () => Color, random: Random): void {
  for (let i = 0; i < field.count; i++) {
    const y = field.top + random() * (field.bottom - field.top);
    disc(canvas, { x: random(), y, radius: field.radius * (0.5 + random()) }, color());
  }
}

function clouds(canvas: Canvas, horizon: number, color: Color, random: Random): void {
  for (let i = 2 + Math.floor(random() * 4); i > 0; i--) {
    const [x, y] = [random(), random() * horizon * 0.5 + 0.05];
    for (let puff = 0; puff < 6; puff++) {
      const radius = 0.02 + random() * 0.03;
      disc(canvas, { x: x + puff * 0.03 - 0.08, y: y - radius * 0.4, radius }, color);
    }
  }
}

function peaks(canvas: Canvas, horizon: number, near: Color, far: Color, random: Random): void {
  for (const depth of [0.55, 0.2]) {
    const waves = [1, 2, 4, 8, 16].map((pitch) => ({
      pitch: pitch * (1 + random()),
      phase: random() * 6,
      high: 0.12 / pitch,
    }));
    const line = (x: number) =>
      waves.reduce(
        (y, { pitch, phase, high }) => y - Math.abs(Math.sin(x * pitch * 3 + phase)) * high,
        horizon + 0.02 - depth * 0.1,
      );
    ridge(canvas, line, horizon, mix([250, 250, 255], far, depth), mix(near, far, depth));
  }
}

function water(canvas: Canvas, at: { horizon: number; lightX: number }, hour: Hour, random: Random): void {
  const bottom = 0.86;
  band(
    canvas,
    { top: at.horizon, bottom },
    mix([44, 120, 168], hour.low, 0.4),
    mix([18, 62, 110], hour.high, 0.4),
  );
  for (let y = at.horizon + 0.008; y < bottom; y += 0.014) {
    const wide = 0.03 + (y - at.horizon) * 0.3 * random();
    const left = at.lightX - wide + (random() - 0.5) * 0.03;
    rectangle(
      canvas,
      { left, right: left + wide * 2, top: y, bottom: y + 0.004 },
      mix(hour.light, hour.low, 0.3),
    );
  }
}

function boat(canvas: Canvas, horizon: number, color: Color, random: Random): void {
  const [x, y] = [0.25 + random() * 0.5, horizon + 0.09];
  rectangle(
    canvas,
    { left: x - 0.06, right: x + 0.06, top: y, bottom: y + 0.022 },
    mix(color, [0, 0, 0], 0.3),
  );
  triangle(canvas, { x, top: y - 0.13, base: y - 0.005, halfWidth: 0.05 }, mix(color, [255, 255, 255], 0.6));
}

function skyline(canvas: Canvas, horizon: number, color: Color, lit: boolean, random: Random): void {
  for (let left = -0.02; left < 1; ) {
    const [wide, high] = [0.05 + random() * 0.06, 0.08 + random() * 0.26];
    const top = horizon - high;
    rectangle(
      canvas,
      { left, right: left + wide, top, bottom: horizon },
      mix(color, [0, 0, 0], random() * 0.4),
    );
    for (let y = top + 0.012; y < horizon - 0.015; y += 0.022) {
      for (let x = left + 0.01; x < left + wide - 0.012; x += 0.017) {
        if (random() < 0.55)
          rectangle(
            canvas,
            { left: x, right: x + 0.008, top: y, bottom: y + 0.01 },
            lit ? [250, 214, 120] : [176, 204, 224],
          );
      }
    }
    left += wide + random() * 0.012;
  }
}

function trees(canvas: Canvas, ground: number, color: Color, random: Random): void {
  for (let i = 0; i < 14; i++) {
    const base = ground + (i / 14) * 0.08;
    const [x, high] = [random(), 0.1 + random() * 0.12 + (i / 14) * 0.05];
    rectangle(
      canvas,
      { left: x - 0.006, right: x + 0.006, top: base - 0.02, bottom: base + 0.02 },
      [86, 60, 40],
    );
    for (let part = 0; part < 3; part++) {
      const top = base - high + part * high * 0.25;
      triangle(
        canvas,
        { x, top, base: top + high * 0.45, halfWidth: 0.022 + part * 0.012 },
        mix(color, [0, 0, 0], random() * 0.3),
      );
    }
  }
}

function house(canvas: Canvas, ground: number, color: Color, random: Random): void {
  const x = 0.25 + random() * 0.5;
  rectangle(
    canvas,
    { left: x - 0.08, right: x + 0.08, top: ground - 0.11, bottom: ground },
    mix(color, [255, 255, 255], 0.4),
  );
  triangle(
    canvas,
    { x, top: ground - 0.2, base: ground - 0.11, halfWidth: 0.1 },
    mix(color, [90, 30, 20], 0.5),
  );
  rectangle(canvas, { left: x - 0.016, right: x + 0.016, top: ground - 0.06, bottom: ground }, [84, 56, 40]);
  for (const side of [-0.05, 0.034]) {
    rectangle(
      canvas,
      { left: x + side, right: x + side + 0.022, top: ground - 0.085, bottom: ground - 0.06 },
      [250, 226, 150],
    );
  }
}

function shapes(canvas: Canvas, colors: readonly Color[], random: Random): void {
  for (let i = 0; i < 18; i++) {
    const color = mix(colors[i % colors.length] ?? [200, 200, 200], [255, 255, 255], random() * 0.4);
    const [x, y, radius] = [random(), random() * 0.85, 0.02 + random() * 0.07];
    if (random() < 0.6) disc(canvas, { x, y, radius }, color);
    else triangle(canvas, { x, top: y - radius, base: y + radius, halfWidth: radius }, color);
  }
}

function rain(canvas: Canvas, random: Random): void {
  for (let i = 0; i < 260; i++) {
    const [left, top] = [random(), random()];
    rectangle(
      canvas,
      { left, right: left + 0.0015, top, bottom: top + 0.02 + random() * 0.02 },
      [196, 208, 222],
    );
  }
}
