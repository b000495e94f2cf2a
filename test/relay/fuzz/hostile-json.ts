import fc from "fast-check";

/** JSON that is wrong by a little: a good body with a few of its values, names or places changed. Text, because much of it no writer of JSON would write. */

type Node = { text: string } | { items: Node[] } | { fields: [name: string, value: Node][] };

const deep = (open: string, close: string) => (levels: number) =>
  `${open.repeat(levels)}0${close.repeat(levels)}`;
const LEVELS = fc.constantFrom(2, 30, 63, 64, 65, 128, 1_000, 20_000);
/** Longest text, and list: above what routes take, below what a body may have. */
const LENGTHS = fc.constantFrom(0, 1, 127, 128, 129, 255, 257, 4_096, 70_000);
const COUNTS = fc.constantFrom(0, 1, 3, 65, 129, 1_025, 10_001);

const FRAGMENTS: fc.Arbitrary<string> = fc.oneof(
  fc.constantFrom(
    "null",
    "true",
    "false",
    "{}",
    "[]",
    '""',
    "0",
    "-0",
    "-1",
    "1.5",
    "1e400",
    "-1e400",
    "1e-400",
  ),
  fc.constantFrom("9007199254740993", "4294967296", "123456789012345678901234567890", "0.1e1", "1E2"),
  fc.constantFrom(
    "NaN",
    "Infinity",
    "undefined",
    "01",
    "+1",
    ".5",
    "'x'",
    "{",
    "]",
    "",
    "//",
    "0x10",
    "\u0000",
  ),
  fc.constantFrom(
    '"\\ud800"',
    '"\\udfff\\ud800"',
    '"\\u0000"',
    '"\\u202e"',
    '"\ufeff"',
    '"a\\nb\\r\\n\\r\\n"',
  ),
  fc.constantFrom(
    '{"__proto__":{"x":1}}',
    '{"constructor":{"prototype":{"x":1}}}',
    '{"toString":1,"length":-1}',
  ),
  fc.constantFrom(
    '"__proto__"',
    '"constructor"',
    '"hasOwnProperty"',
    '"demo"',
    '"aimo-st-x"',
    '"0x"',
    '"gen-0"',
  ),
  fc.constantFrom(
    '"data:image/png;base64,AAAA"',
    '"data:,"',
    '"http://["',
    '"1970-01-01T00:00:00Z"',
    '"::/0"',
  ),
  LEVELS.map(deep("[", "]")),
  LEVELS.map(deep('{"a":', "}")),
  LEVELS.map(deep('[{"type":"text","content":', "}]")),
  LENGTHS.map((length) => JSON.stringify("x".repeat(length))),
  LENGTHS.map((length) => JSON.stringify("𝔘".repeat(length / 4))),
  fc
    .tuple(COUNTS, fc.constantFrom("0", '"a"', "{}", "null", '{"role":"user","content":"a"}', "[]"))
    .map(([count, item]) => `[${Array.from({ length: count }, () => item).join(",")}]`),
  COUNTS.map((count) => `{${Array.from({ length: count }, (_, at) => `"k${at}":${at}`).join(",")}}`),
  fc.json({ maxDepth: 4 }),
  fc.double().map((value) => String(value)),
  fc.string({ unit: "binary", maxLength: 40 }).map((value) => JSON.stringify(value)),
);

const NAMES = fc.oneof(
  fc.constantFrom(
    "__proto__",
    "constructor",
    "prototype",
    "toString",
    "hasOwnProperty",
    "",
    "length",
    "$ref",
  ),
  fc.constantFrom("model", "models", "messages", "provider", "stream", "tools", "input", "n", "max_tokens"),
  fc.constantFrom("response_format", "metadata", "session_id", "stop", "logprobs", "usage", "aimo", "preset"),
  fc.constantFrom(
    "only",
    "order",
    "max_price",
    "role",
    "content",
    "type",
    "tool_calls",
    "cache_control",
    "text",
  ),
  fc.string({ unit: "binary", maxLength: 12 }),
);

type Change = {
  readonly at: number;
  readonly kind: "replace" | "remove" | "repeat" | "add" | "rename";
  readonly name: string;
  readonly text: string;
};

const CHANGE: fc.Arbitrary<Change> = fc.record({
  at: fc.nat(1_000),
  kind: fc.constantFrom("replace", "replace", "add", "remove", "repeat", "rename"),
  name: NAMES,
  text: FRAGMENTS,
});

/** Texts near to a good body: now and then the body itself. */
export function hostileJson(good: fc.Arbitrary<unknown>): fc.Arbitrary<string> {
  const changed = fc.tuple(good, fc.array(CHANGE, { maxLength: 4 })).map(([body, changes]) => {
    const tree = { items: [nodeOf(body)] };
    for (const change of changes) apply(tree, change);
    return tree.items.map(write).join("");
  });
  return fc.oneof(
    { weight: 12, arbitrary: changed },
    { weight: 1, arbitrary: FRAGMENTS },
    // Half a body.
    { weight: 1, arbitrary: fc.tuple(changed, fc.nat(400)).map(([text, length]) => text.slice(0, length)) },
  );
}

function nodeOf(value: unknown): Node {
  if (Array.isArray(value)) return { items: value.map(nodeOf) };
  if (typeof value === "object" && value !== null)
    return { fields: Object.entries(value).map(([name, inner]) => [name, nodeOf(inner)]) };
  return { text: JSON.stringify(value ?? null) };
}

/** A value's place: what holds it, and where. */
type Place = { readonly holder: Exclude<Node, { text: string }>; readonly index: number };

function apply(tree: { items: Node[] }, { at, kind, name, text }: Change): void {
  const places = placesIn(tree);
  const place = places[at % Math.max(1, places.length)];
  if (!place) return;
  const { holder, index } = place;
  const fresh: Node = { text };
  if ("items" in holder) {
    const [old = fresh] = holder.items.slice(index, index + 1);
    if (kind === "replace" || kind === "rename") holder.items[index] = fresh;
    else if (holder === tree) add(old, name, fresh);
    else if (kind === "remove") holder.items.splice(index, 1);
    else holder.items.splice(index, 0, kind === "add" ? fresh : old);
    return;
  }
  const field = holder.fields[index];
  if (!field) return;
  if (kind === "replace") field[1] = fresh;
  else if (kind === "rename") field[0] = name;
  else if (kind === "remove") holder.fields.splice(index, 1);
  else if (kind === "add") holder.fields.push([name, fresh]);
  else holder.fields.push([field[0], fresh]);
}

function add(node: Node, name: string, value: Node): void {
  if ("fields" in node) node.fields.push([name, value]);
  else if ("items" in node) node.items.push(value);
}

function placesIn(node: Node): Place[] {
  if ("text" in node) return [];
  const inner = "items" in node ? node.items : node.fields.map(([, value]) => value);
  return inner.flatMap((value, index) => [{ holder: node, index }, ...placesIn(value)]);
}

function write(node: Node): string {
  if ("text" in node) return node.text;
  if ("items" in node) return `[${node.items.map(write).join(",")}]`;
  return `{${node.fields.map(([name, value]) => `${JSON.stringify(name)}:${write(value)}`).join(",")}}`;
}
