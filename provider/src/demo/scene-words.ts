/** The words of a prompt that the picture painter understands, and the colours they stand for. */
import type { Color } from "./canvas.ts";
import { wordsOf } from "./words.ts";

/** The light of an hour: the sky above and at the horizon, sun or moon, and how far the land is darkened. */
export type Hour = { readonly high: Color; readonly low: Color; readonly light: Color; readonly dim: number };

/** The hours a picture can show. */
export const HOURS = {
  day: { high: [64, 136, 214], low: [188, 222, 242], light: [255, 236, 150], dim: 0 },
  sunset: { high: [74, 52, 120], low: [252, 150, 84], light: [255, 214, 120], dim: 0.28 },
  night: { high: [8, 12, 38], low: [40, 52, 98], light: [236, 236, 220], dim: 0.62 },
  storm: { high: [64, 72, 86], low: [140, 148, 158], light: [210, 214, 220], dim: 0.35 },
} as const satisfies Record<string, Hour>;
/** The words that choose the hour; the first hour named wins. */
export const HOUR_WORDS = {
  sunset: "sunset sunrise dusk dawn evening morning golden orange autumn",
  night: "night midnight moon star stars space galaxy dark cyberpunk neon universe planet",
  storm: "storm rain rainy cloudy fog thunder lightning gray grey",
  day: "day sunny sun summer noon bright spring beautiful blue",
} as const satisfies Record<keyof typeof HOURS, string>;

/** The lands a picture can show, by the colour of their ground. */
export const LANDS = {
  grass: [88, 148, 72],
  sand: [222, 190, 126],
  snow: [236, 242, 248],
  city: [86, 88, 98],
  forest: [48, 104, 62],
} as const satisfies Record<string, Color>;
/** The words that choose the land; the first land named wins. */
export const LAND_WORDS = {
  sand: "desert sand beach dune egypt mars",
  snow: "snow snowy winter ice cold arctic ski mountain",
  city: "city town street building skyscraper robot car cyberpunk futuristic tower market",
  forest: "forest tree wood jungle pine wolf bear",
  grass: "field grass meadow garden farm hill dog cat horse flower landscape",
} as const satisfies Record<keyof typeof LANDS, string>;

/** The words that put a thing into the picture. */
export const THING_WORDS = {
  water: "sea ocean lake river water beach coast harbour boat ship island wave fish",
  peaks: "mountain hill alps peak valley volcano landscape himalaya",
  trees: "tree forest wood jungle pine park garden",
  houses: "house home village cottage farm cabin hut",
  clouds: "cloud cloudy sky rain rainy storm",
  rains: "rain rainy storm thunder",
  snowfall: "snow snowy winter blizzard",
  flowers: "flower garden meadow spring rose tulip",
  shapes: "abstract circle shape geometric pattern balloon bubble art ball robot planet",
  sails: "boat ship sail yacht",
} as const;

const COLORS: Readonly<Record<string, Color>> = {
  red: [204, 52, 48],
  orange: [240, 140, 40],
  yellow: [244, 212, 64],
  green: [60, 156, 84],
  blue: [48, 104, 200],
  purple: [132, 72, 176],
  pink: [240, 136, 176],
  white: [244, 244, 244],
  black: [28, 28, 32],
  gold: [216, 172, 60],
  brown: [124, 84, 52],
  turquoise: [56, 184, 176],
};

/** The colours the prompt names, in order. */
export function colorsIn(prompt: string): Color[] {
  const found: Color[] = [];
  for (const word of wordsOf(prompt)) {
    const color = Object.hasOwn(COLORS, word) ? COLORS[word] : undefined;
    if (color) found.push(color);
  }
  return found;
}
