import { formatUsd, parseUsd } from "@aimo/protocol/units";
import { UsageError } from "./command.ts";

/** "1.5 USD". */
export const usd = (pusd: bigint): string => `${formatUsd(pusd)} USD`;

/** "1 batch", "2 batches". */
export const count = (number: number, singular: string, plural = `${singular}s`): string =>
  `${number} ${number === 1 ? singular : plural}`;

/** pUSD of an amount of USD on the command line. Throws a UsageError that names it. */
export function readUsd(name: string, text: string): bigint {
  try {
    return parseUsd(text);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new UsageError(`${name} is "${text}": use an amount of USD such as 5 or 0.25.`);
  }
}

/** A whole number within limits. Throws a UsageError that names it. */
export function readWhole(name: string, text: string, [least, most]: readonly [number, number]): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= least && value <= most) return value;
  throw new UsageError(`${name} is "${text}": use a whole number from ${least} to ${most}.`);
}

/** Rows as columns of equal width; numbers are told apart by their header being right-aligned with `>`. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const isRight = head.map((title) => title.startsWith(">"));
  const all = [head.map((title) => title.replace(/^>/, "")), ...rows];
  const widths = head.map((_, column) => Math.max(...all.map((row) => (row[column] ?? "").length)));
  return all
    .map((row) =>
      row
        .map((cell, column) =>
          isRight[column] ? cell.padStart(widths[column] ?? 0) : cell.padEnd(widths[column] ?? 0),
        )
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}
