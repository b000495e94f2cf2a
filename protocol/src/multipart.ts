/**
 * Forms with files, as transcription requests carry them. Read on the bytes themselves, by their own first line: what a
 * relay and a provider see of a form hangs on the body alone, which is what a receipt is bound to.
 */

/** Fields of a form; OpenAI's have about ten. */
const MAX_PARTS = 64;
const MAX_HEAD_BYTES = 8 * 1024;
/** RFC 2046: 70 characters, after two dashes. */
const MAX_BOUNDARY = 72;
const CRLF = [0x0d, 0x0a] as const;
const DASH = 0x2d;

export type Part = {
  readonly name: string;
  readonly filename: string | undefined;
  readonly contentType: string | undefined;
  /** Where its content lies in the body. */
  readonly start: number;
  readonly end: number;
};

/** The boundary that a body begins with, without its two dashes. Throws a RangeError when it begins otherwise. */
export function boundaryOf(body: Uint8Array): string {
  const end = indexOf(body, CRLF, 0);
  if (end < 3 || end > MAX_BOUNDARY || body[0] !== DASH || body[1] !== DASH)
    throw new RangeError("The form does not begin with its boundary.");
  const boundary = latin1(body, 2, end);
  if (!/^[\x21-\x7e]+$/.test(boundary)) throw new RangeError("The form's boundary is no text.");
  return boundary;
}

/** The parts of a form, in order. Throws a RangeError that says what is wrong. */
export function readMultipart(body: Uint8Array): readonly Part[] {
  const delimiter = [...CRLF, DASH, DASH, ...new TextEncoder().encode(boundaryOf(body))];
  const parts: Part[] = [];
  let at = delimiter.length - CRLF.length;
  while (!(body[at] === DASH && body[at + 1] === DASH)) {
    if (body[at] !== CRLF[0] || body[at + 1] !== CRLF[1])
      throw new RangeError("The form is not well formed.");
    if (parts.length === MAX_PARTS) throw new RangeError(`The form has more than ${MAX_PARTS} parts.`);
    const start = endOfHead(body, at);
    const end = indexOf(body, delimiter, start - CRLF.length);
    if (end === -1) throw new RangeError("The form ends before its last boundary.");
    parts.push({ ...readHead(decode(body, at, start)), start, end: Math.max(end, start) });
    at = end + delimiter.length;
  }
  return parts;
}

/** Text of a part. Throws a RangeError when it is not UTF-8. */
export function textOfPart(body: Uint8Array, { name, start, end }: Part): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(body.subarray(start, end));
  } catch (cause) {
    throw new RangeError(`The part ${name} is not UTF-8.`, { cause });
  }
}

/** The body with the content of one part replaced; all other bytes stay. */
export function replacePart(body: Uint8Array, { start, end }: Part, content: Uint8Array): Uint8Array {
  const out = new Uint8Array(body.length - (end - start) + content.length);
  out.set(body.subarray(0, start));
  out.set(content, start);
  out.set(body.subarray(end), start + content.length);
  return out;
}

/** Index after the empty line that ends a part's head. */
function endOfHead(body: Uint8Array, at: number): number {
  const end = indexOf(body, [...CRLF, ...CRLF], at);
  if (end === -1 || end - at > MAX_HEAD_BYTES)
    throw new RangeError("A part of the form has no head that ends.");
  return end + 2 * CRLF.length;
}

function readHead(head: string): Pick<Part, "name" | "filename" | "contentType"> {
  let disposition = "";
  let contentType: string | undefined;
  for (const line of head.split("\r\n")) {
    const [, field = "", value = ""] = /^([^:]+):[ \t]*(.*)$/.exec(line) ?? [];
    if (/^content-disposition$/i.test(field)) disposition = value;
    if (/^content-type$/i.test(field)) contentType = value.toLowerCase();
  }
  const parameter = (name: string) =>
    new RegExp(`;\\s*${name}="((?:[^"\\\\]|\\\\.)*)"`, "i").exec(disposition)?.[1] ??
    new RegExp(`;\\s*${name}=([^\\s;"]+)`, "i").exec(disposition)?.[1];
  const name = parameter("name");
  if (!/^form-data\b/i.test(disposition) || name === undefined)
    throw new RangeError("A part of the form has no name.");
  return { name, filename: parameter("filename"), contentType };
}

/** First place of `needle` from `from` on, or -1. */
function indexOf(body: Uint8Array, needle: readonly number[], from: number): number {
  const [first] = needle;
  // A plain loop: a call for each place that looks right would let a hostile body take a second.
  for (let at = from; at <= body.length - needle.length; at++) {
    if (body[at] !== first) continue;
    let same = 1;
    while (same < needle.length && body[at + same] === needle[same]) same++;
    if (same === needle.length) return at;
  }
  return -1;
}

const latin1 = (body: Uint8Array, start: number, end: number) =>
  String.fromCharCode(...body.subarray(start, end));
const decode = (body: Uint8Array, start: number, end: number) =>
  new TextDecoder().decode(body.subarray(start, end));
