import type { Json } from "./dialects/dialect.ts";

/** Fields that say who asks or for what, and change nothing about the answer. */
const WITHOUT_MEANING: ReadonlySet<string> = new Set([
  ...["user", "metadata", "session_id", "safety_identifier", "prompt_cache_key"],
]);

/**
 * A request's body as one text, whatever the order of its fields: two bodies have the same text exactly if they ask the
 * same. The body has passed `readAsk`, so it is not nested too deep for this.
 */
export function canonicalBody(body: Json): string {
  return writeObject(body, (name) => !WITHOUT_MEANING.has(name));
}

function write(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(write).join(",")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  return writeObject(value as Json, () => true);
}

function writeObject(object: Json, isTold: (name: string) => boolean): string {
  const fields = Object.keys(object)
    .filter(isTold)
    .sort()
    .map((name) => `${JSON.stringify(name)}:${write(object[name])}`);
  return `{${fields.join(",")}}`;
}
