import fc from "fast-check";

/** Forms with a file that are wrong by a little: in their boundary, their heads, their fields or their end. */

const MODEL = ["model", "acme/listen"] as const;
const FIELDS = fc.array(
  fc.tuple(
    fc.constantFrom(
      "model",
      "purpose",
      "provider",
      "stream",
      "response_format",
      "file",
      "",
      "__proto__",
      "language",
    ),
    fc.constantFrom(
      "acme/listen",
      "batch",
      "{}",
      '{"only":["x"]}',
      "[",
      "true",
      "false",
      "text",
      "",
      "\ud800",
      "3600",
    ),
  ),
  { maxLength: 4 },
);
const CONTENTS = fc.oneof(
  fc.constantFrom("", "x", "{}\n", "RIFF\x00\x00\x00\x00WAVEfmt ", "ID3", "\xff\xfb\x90\x00", "OggS", "fLaC"),
  fc.constantFrom(
    '{"custom_id":"a","method":"POST","url":"/v1/chat/completions","body":{"model":"acme/text"}}\n',
    "\r\n--b",
    "\r\n--b--",
    "x".repeat(70_000),
  ),
  fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes).toString("latin1")),
);
const BOUNDARIES = fc.constantFrom(
  "b",
  "b",
  "b",
  "b",
  "",
  "a b",
  "-",
  "b".repeat(70),
  "b".repeat(71),
  'q"q',
  "\u00e9",
);
const HEADS = fc.constantFrom(
  'Content-Disposition: form-data; name="file"; filename="a.wav"',
  'Content-Disposition: form-data; name="file"; filename="a.wav"',
  'content-disposition:form-data;name=file;filename="\\"',
  "Content-Disposition: form-data",
  'Content-Disposition: attachment; name="file"',
  `Content-Disposition: form-data; name="file"; filename="${"n".repeat(9_000)}"`,
  "",
);
const ENDS = fc.constantFrom(
  "\r\n--b--\r\n",
  "\r\n--b--\r\n",
  "\r\n--b--",
  "\r\n--b",
  "",
  "\r\n--b\r\n--b--",
);

/** Forms for a route: transcriptions, or files of batches. */
export function hostileForm(path: string): fc.Arbitrary<{ text: Buffer; type: string }> {
  const own = path.includes("files") ? (["purpose", "batch"] as const) : MODEL;
  return fc
    .tuple(FIELDS, CONTENTS, BOUNDARIES, HEADS, ENDS, fc.boolean())
    .map(([others, content, boundary, head, end, isFirst]) => {
      const fields = [...(isFirst ? [own] : []), ...others, ...(isFirst ? [] : [own])].map(
        ([name, value]) =>
          `--${boundary}\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`,
      );
      const file = `--${boundary}\r\n${head}\r\nContent-Type: audio/wav\r\n\r\n${content}`;
      const text = `${fields.join("")}${file}${boundary === "b" ? end : `\r\n--${boundary}--\r\n`}`;
      const type = `multipart/form-data; boundary=${/["\s]/.test(boundary) ? `"${boundary}"` : boundary}`;
      return { text: Buffer.from(text, "latin1"), type };
    });
}
