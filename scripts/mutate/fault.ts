/** A fault as a slip of the hand would make it: one line of a contract, and what stands there instead. */
export type Fault = {
  readonly name: string;
  /** Below `contracts/`. */
  readonly file: string;
  /** The whole line without its indentation; found exactly once in the file. */
  readonly line: string;
  readonly replacement: string;
  /** What would be possible with it. */
  readonly means: string;
  /** Test files to run first, as `Posts` for `test/contracts/Posts.t.sol`; then all others. */
  readonly tests: readonly string[];
};

/** The text with the fault in it. Throws a RangeError when the line is not there exactly once. */
export function plant(text: string, { name, file, line, replacement }: Fault): string {
  const lines = text.split("\n");
  const places = lines.flatMap((one, index) => (one.trim() === line ? [index] : []));
  const [place] = places;
  if (place === undefined || places.length !== 1)
    throw new RangeError(
      `Fault ${name}: contracts/${file} has the line ${places.length} times, not once: ${line}`,
    );
  const indent = lines[place]?.match(/^\s*/)?.[0] ?? "";
  return lines.toSpliced(place, 1, replacement === "" ? "" : `${indent}${replacement}`).join("\n");
}
