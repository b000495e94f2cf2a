import { formatUsd, PUSD_PER_USD, parseUsd } from "@aimo/protocol/units";
import { UsageError } from "./command.ts";

/** "1.5 USD". */
export const usd = (pusd: bigint): string => `${formatUsd(pusd)} USD`;

/** "1 batch", "2 batches". */
export const count = (number: number, singular: string, plural = `${singular}s`): string =>
  `${number} ${number === 1 ? singular : plural}`;

/** Protocol seconds as a date; the same as the time of day but for pauses. */
export const timeOf = (seconds: number): string => new Date(seconds * 1_000).toISOString();

/** No amount of a person is larger: a number with more digits is a slip, or was meant in smaller units. */
const MOST_USD = 1_000_000_000n;

/** pUSD of an amount of USD on the command line. Throws a UsageError that names it and the limits. */
export function readUsd(name: string, text: string): bigint {
  const amount = parseOrNothing(text);
  if (amount !== undefined && amount <= MOST_USD * PUSD_PER_USD) return amount;
  throw new UsageError(
    `${name} is "${text}": use an amount of USD such as 5 or 0.25, from 0 to ${MOST_USD}, with at most 12 decimals.`,
  );
}

/** An amount that is more than nothing. Throws a UsageError. */
export function readSum(name: string, text: string): bigint {
  const amount = readUsd(name, text);
  if (amount === 0n) throw new UsageError(`${name} is 0.`);
  return amount;
}

function parseOrNothing(text: string): bigint | undefined {
  try {
    return parseUsd(text);
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
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
