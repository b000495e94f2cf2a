/**
 * Edits of the top-level members of a JSON object in its text. Every other member stays as it was, byte for byte
 * (space between members is dropped): numbers keep their digits, and a long prompt is not encoded again.
 */

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;

type Member = {
  readonly key: string;
  readonly start: number;
  readonly valueStart: number;
  readonly end: number;
};

/** New JSON text of each member by key; undefined takes the member out. */
export type MemberEdits = Readonly<Record<string, string | undefined>>;

/**
 * `json` with the edits made, also where a key stands twice; members that are new come first.
 * The text must be a valid JSON object (the caller has parsed it); throws a RangeError otherwise.
 */
export function editMembers(json: string, edits: MemberEdits): string {
  const { open, close, members } = membersOf(json);
  const parts: string[] = [];
  for (const [key, value] of Object.entries(edits))
    if (value !== undefined && !members.some((member) => member.key === key))
      parts.push(`${JSON.stringify(key)}:${value}`);
  for (const member of members) {
    if (!Object.hasOwn(edits, member.key)) parts.push(json.slice(member.start, member.end));
    else if (edits[member.key] !== undefined)
      parts.push(json.slice(member.start, member.valueStart) + edits[member.key]);
  }
  return json.slice(0, open + 1) + parts.join(",") + json.slice(close);
}

type Scan = { readonly open: number; readonly close: number; readonly members: readonly Member[] };

function membersOf(json: string): Scan {
  const open = skipSpace(json, 0);
  if (json.charCodeAt(open) !== OPEN_BRACE) throw new RangeError("The JSON text is not an object.");
  const members: Member[] = [];
  let at = skipSpace(json, open + 1);
  while (json.charCodeAt(at) === QUOTE) {
    const keyEnd = stringEnd(json, at);
    const valueStart = skipSpace(json, skipSpace(json, keyEnd) + 1);
    const end = valueEnd(json, valueStart);
    members.push({ key: JSON.parse(json.slice(at, keyEnd)) as string, start: at, valueStart, end });
    at = skipSpace(json, end);
    if (json.charCodeAt(at) !== COMMA) break;
    at = skipSpace(json, at + 1);
  }
  if (json.charCodeAt(at) !== CLOSE_BRACE) throw new RangeError("The JSON object does not end.");
  return { open, close: at, members };
}

function skipSpace(json: string, from: number): number {
  let at = from;
  while (json.charCodeAt(at) <= 0x20) at++;
  return at;
}

/** Index after the closing quote of the string that opens at `open`. */
function stringEnd(json: string, open: number): number {
  let at = json.indexOf('"', open + 1);
  while (at !== -1 && isEscaped(json, at)) at = json.indexOf('"', at + 1);
  if (at === -1) throw new RangeError("A JSON string does not end.");
  return at + 1;
}

function isEscaped(json: string, at: number): boolean {
  let slashes = 0;
  while (json.charCodeAt(at - 1 - slashes) === BACKSLASH) slashes++;
  return slashes % 2 === 1;
}

function valueEnd(json: string, start: number): number {
  const first = json.charCodeAt(start);
  if (first === QUOTE) return stringEnd(json, start);
  if (first !== OPEN_BRACE && first !== OPEN_BRACKET) return primitiveEnd(json, start);
  let depth = 0;
  let at = start;
  while (at < json.length) {
    const code = json.charCodeAt(at);
    if (code === QUOTE) {
      at = stringEnd(json, at);
      continue;
    }
    if (code === OPEN_BRACE || code === OPEN_BRACKET) depth++;
    else if (code === CLOSE_BRACE || code === CLOSE_BRACKET) depth--;
    at++;
    if (depth === 0) return at;
  }
  throw new RangeError("A JSON value does not end.");
}

function primitiveEnd(json: string, start: number): number {
  let at = start;
  while (at < json.length) {
    const code = json.charCodeAt(at);
    if (code <= 0x20 || code === COMMA || code === CLOSE_BRACE || code === CLOSE_BRACKET) break;
    at++;
  }
  return at;
}
