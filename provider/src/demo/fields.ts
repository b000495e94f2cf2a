/** Reads checked fields out of a JSON body. Each refusal names the field and its limit. */
import { RequestError } from "./errors.ts";

export type Fields = Readonly<Record<string, unknown>>;
type Range = { readonly from: number; readonly to: number };

/** True for a JSON object. */
export function isObject(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The number in `name` within the range, or `fallback` when absent or null. */
export function numberIn<T>(fields: Fields, name: string, range: Range, fallback: T): number | T {
  const value = fields[name] ?? undefined;
  if (value === undefined) return fallback;
  if (typeof value !== "number" || !(value >= range.from && value <= range.to)) {
    throw new RequestError(`'${name}' must be a number from ${range.from} to ${range.to}.`, name);
  }
  return value;
}

/** As `numberIn`, for whole numbers. */
export function integerIn<T>(fields: Fields, name: string, range: Range, fallback: T): number | T {
  const value = fields[name] ?? undefined;
  if (value === undefined) return fallback;
  if (!Number.isSafeInteger(value) || (value as number) < range.from || (value as number) > range.to) {
    throw new RequestError(`'${name}' must be an integer from ${range.from} to ${range.to}.`, name);
  }
  return value as number;
}

/** The boolean in `name`; false when absent or null. */
export function flag(fields: Fields, name: string): boolean {
  const value = fields[name] ?? false;
  if (typeof value !== "boolean") throw new RequestError(`'${name}' must be true or false.`, name);
  return value;
}

/** One of `choices`; the first when absent or null. */
export function oneOf<const T extends string>(
  fields: Fields,
  name: string,
  choices: readonly [T, ...T[]],
): T {
  const value = fields[name] ?? choices[0];
  const found = choices.find((choice) => choice === value);
  if (found === undefined) throw new RequestError(`'${name}' must be one of ${choices.join(", ")}.`, name);
  return found;
}

/** The text in `name`, not empty and not longer than the limit. */
export function textIn(fields: Fields, name: string, maxLength: number): string {
  const value = fields[name];
  if (typeof value !== "string" || value.length === 0 || value.length > maxLength) {
    throw new RequestError(`'${name}' must be a string of 1 to ${maxLength} characters.`, name);
  }
  return value;
}
