import { readFileSync } from "node:fs";
import type { Hex } from "viem";

/** A golden case with its fields read as what they are. */
export type Vector = {
  readonly name: string;
  text(field: string): string;
  flag(field: string): boolean;
  number(field: string): number;
  big(field: string): bigint;
  hex(field: string): Hex;
  list(field: string): readonly string[];
  has(field: string): boolean;
};

/** The cases of `protocol/vectors/{file}.json`. */
export function readVectors(file: string): Vector[] {
  const url = new URL(`../../protocol/vectors/${file}.json`, import.meta.url);
  const { cases } = JSON.parse(readFileSync(url, "utf8")) as { cases: Record<string, unknown>[] };
  return cases.map((entry) => {
    const get = (field: string) => {
      if (!(field in entry)) throw new Error(`${file}: "${String(entry["name"])}" has no ${field}.`);
      return entry[field];
    };
    return {
      name: String(entry["name"]),
      text: (field) => String(get(field)),
      flag: (field) => get(field) === true,
      number: (field) => Number(get(field)),
      big: (field) => BigInt(String(get(field))),
      hex: (field) => String(get(field)) as Hex,
      list: (field) => get(field) as string[],
      has: (field) => field in entry,
    };
  });
}
