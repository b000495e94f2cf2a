export type Doc = {
  readonly notice: string;
  readonly parameters: ReadonlyMap<string, string>;
  readonly returns: string;
};

/** What a Solidity source says of its functions and public variables, by name. Knows `///` and `/** … *\/`. */
export function readNatSpec(source: string): ReadonlyMap<string, Doc> {
  const found = new Map<string, Doc>();
  const documented =
    /((?:[ \t]*\/\/\/[^\n]*\n)+|[ \t]*\/\*\*(?:(?!\*\/)[\s\S])*\*\/\s*\n)(?:[ \t]*\/\/[^/\n][^\n]*\n)*[ \t]*function (\w+)/g;
  for (const [, comment = "", name = ""] of source.matchAll(documented)) {
    const doc = readComment(comment);
    if (doc.notice !== "") found.set(name, doc);
  }
  return found;
}

function readComment(comment: string): Doc {
  const text = comment
    .split("\n")
    .map((line) => line.replace(/^\s*(\/\/\/|\/\*\*|\*\/|\*)/, "").trim())
    .join("\n");
  const [first = "", ...tags] = text.split(/^@/m);
  let notice = first.trim();
  let returns = "";
  const parameters = new Map<string, string>();
  for (const tag of tags) {
    const [, kind = "", rest = ""] = /^(\w+)\s*([\s\S]*)$/.exec(tag) ?? [];
    if (kind === "notice" || kind === "dev") notice ||= rest.charAt(0).toUpperCase() + rest.slice(1);
    if (kind === "return") returns = rest.replace(/^[a-z]\w*\s+(?=[A-Z])/, "");
    const [, name = "", said = ""] = /^(\w+)\s+([\s\S]*)$/.exec(rest) ?? [];
    if (kind === "param") parameters.set(name, flat(said));
  }
  return { notice: flat(paragraph(notice)), parameters, returns: flat(returns) };
}

/** OpenZeppelin's comments go on after a blank line with what matters to implementers. */
const paragraph = (text: string): string => text.trim().split(/\n\s*\n/)[0] ?? "";

const flat = (text: string): string => text.replace(/\s+/g, " ").trim();
