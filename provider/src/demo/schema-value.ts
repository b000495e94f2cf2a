/** Values that fit a JSON schema, made of words from the prompt: how the demo model fills in a form. */
import { RequestError } from "./errors.ts";
import { type Fields, isObject } from "./fields.ts";

/** Values in all. Schemas that refer to themselves would grow without end. */
const MAX_VALUES = 1_000;
const MAX_ITEMS = 16;
const FORMATS = new Map([
  ["date-time", "2026-01-01T12:00:00Z"],
  ["date", "2026-01-01"],
  ["time", "12:00:00Z"],
  ["email", "someone@example.com"],
  ["uri", "https://example.com"],
  ["uuid", "00000000-0000-4000-8000-000000000000"],
]);

/** A value for `schema`. `words` are used in turn, for texts that are free. */
export function valueFor(schema: unknown, words: readonly string[]): unknown {
  const names = words.length > 0 ? words : ["something"];
  let used = 0;
  let made = 0;
  const make = (of: unknown): unknown => {
    if (++made > MAX_VALUES)
      throw new RequestError(`The schema asks for more than ${MAX_VALUES} values.`, "response_format");
    const fields = settled(of, schema);
    if ("const" in fields) return fields["const"];
    if (Array.isArray(fields["enum"])) return fields["enum"][0];
    if ("default" in fields) return fields["default"];
    const types: unknown[] = [fields["type"]].flat();
    const type = types.find((name) => name !== "null") ?? types[0] ?? typeOf(fields);
    if (type === "object") return objectFor(fields, make);
    if (type === "array") return listFor(fields, make);
    if (type === "integer" || type === "number") return numberFor(fields);
    if (type === "boolean") return true;
    if (type === "null") return null;
    return FORMATS.get(String(fields["format"])) ?? textFor(fields, names[used++ % names.length] ?? "");
  };
  return make(schema);
}

/** The schema itself where another is referred to, or the first that is not null where there is a choice. */
function settled(schema: unknown, root: unknown): Fields {
  let fields: Fields = isObject(schema) ? schema : {};
  for (let step = 0; step < MAX_ITEMS; step++) {
    const { $ref: pointer, anyOf, oneOf, allOf } = fields;
    const [choices] = [anyOf, oneOf, allOf].filter((each) => Array.isArray(each));
    const next: unknown =
      typeof pointer === "string"
        ? pointedAt(pointer, root)
        : choices?.find((each: unknown) => isObject(each) && each["type"] !== "null");
    if (!isObject(next)) return fields;
    fields = next;
  }
  return fields;
}

function pointedAt(pointer: string, root: unknown): unknown {
  return pointer
    .split("/")
    .slice(1)
    .reduce<unknown>((at, name) => (isObject(at) && Object.hasOwn(at, name) ? at[name] : undefined), root);
}

const typeOf = ({ properties, items }: Fields): string | undefined =>
  isObject(properties) ? "object" : isObject(items) ? "array" : undefined;

function objectFor({ properties }: Fields, make: (schema: unknown) => unknown): object {
  const entries = isObject(properties) ? Object.entries(properties) : [];
  return Object.fromEntries(entries.map(([name, schema]) => [name, make(schema)]));
}

function listFor({ items, minItems }: Fields, make: (schema: unknown) => unknown): unknown[] {
  const count = typeof minItems === "number" && minItems > 1 ? Math.min(minItems, MAX_ITEMS) : 1;
  return Array.from({ length: count }, () => make(items));
}

function numberFor({ minimum, exclusiveMinimum, maximum }: Fields): number {
  if (typeof minimum === "number") return minimum;
  if (typeof exclusiveMinimum === "number") return exclusiveMinimum + 1;
  return typeof maximum === "number" ? Math.min(maximum, 1) : 1;
}

function textFor({ minLength, maxLength }: Fields, word: string): string {
  const least = typeof minLength === "number" ? Math.min(minLength, 1_000) : 0;
  return word.padEnd(least, ".").slice(0, typeof maxLength === "number" ? maxLength : undefined);
}
