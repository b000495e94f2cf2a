import { CONTRACT_ERRORS } from "./contract-error-table.ts";
import { formatUsd } from "./units.ts";

const FORMATS: Readonly<Record<string, (value: bigint) => string>> = {
  usd: (value) => `${formatUsd(value)} USD`,
  // Protocol time: less than the time of day by all pauses so far.
  time: (value) =>
    value === 0n
      ? "never"
      : value > 8_640_000_000_000n
        ? "the end of time"
        : `${new Date(Number(value) * 1_000).toISOString().slice(0, 19)}Z`,
  role: (value) => ({ 1: "relay", 2: "provider" })[Number(value)] ?? `role ${value}`,
  mode: (value) => ({ 0: "METERED", 1: "SIGNED" })[Number(value)] ?? `mode ${value}`,
};

/** The row of an error with its values filled in; undefined for what is no error of the contracts. */
export function refusalOf({
  name,
  details,
}: {
  readonly name: string;
  readonly details: Readonly<Record<string, unknown>>;
}): { readonly words: string; readonly hint: string | undefined } | undefined {
  const row = Object.hasOwn(CONTRACT_ERRORS, name) ? CONTRACT_ERRORS[name] : undefined;
  if (!row) return undefined;
  const words = row.text.replace(
    /\{(\w+)(?::(\w+))?\}/g,
    (whole, field: string, format: string | undefined) => {
      const value = details[field];
      if (value === undefined) return whole;
      const write = format === undefined ? undefined : FORMATS[format];
      return write && (typeof value === "bigint" || typeof value === "number")
        ? write(BigInt(value))
        : String(value);
    },
  );
  return { words, hint: row.hint };
}
