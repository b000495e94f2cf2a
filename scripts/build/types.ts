import { globSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, posix } from "node:path";
import ts from "typescript";

export type TypesParameters = { readonly root: string; readonly entry: string; readonly dist: string };

/** Where the declarations of a source go, below `types/`. */
const FOLDERS: readonly (readonly [string, string])[] = [
  ["sdk/typescript/src/", ""],
  ["protocol/src/", "protocol/"],
];

/**
 * Writes the declarations of an entry and of all that they mention, of other workspaces too: the published package has
 * its types whole. Specifiers become relative paths to what was written.
 */
export function writeTypes({ root, entry, dist }: TypesParameters): void {
  const declarations = emit(root, entry);
  const written = new Set<string>();
  const queue = [placeOf(entry)];
  for (let place = queue.pop(); place !== undefined; place = queue.pop()) {
    if (written.has(place)) continue;
    written.add(place);
    const text = declarations.get(place);
    if (text === undefined) throw new Error(`There are no declarations for ${place}.`);
    const { code, imports } = relink(place, text);
    queue.push(...imports);
    const file = `${dist}/types/${place}.d.ts`;
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, code);
  }
}

/** `protocol/src/units.ts` is at `protocol/units`. */
function placeOf(source: string): string {
  for (const [folder, place] of FOLDERS)
    if (source.startsWith(folder)) return `${place}${source.slice(folder.length).replace(/(\.d)?\.ts$/, "")}`;
  throw new Error(`${source} is of no workspace that the package's types may mention.`);
}

function emit(root: string, entry: string): Map<string, string> {
  const { config } = ts.readConfigFile(`${root}tsconfig.json`, (path) => readFileSync(path, "utf8"));
  const { options } = ts.convertCompilerOptionsFromJson(config.compilerOptions, root);
  // Named as roots: what is found through node_modules counts as foreign, and gets no declarations.
  const protocol = globSync("protocol/src/**/*.ts", { cwd: root }).map((path) => `${root}${path}`);
  const program = ts.createProgram([...protocol, `${root}${entry}`], {
    ...options,
    noEmit: false,
    declaration: true,
    emitDeclarationOnly: true,
    stripInternal: true,
    rootDir: root,
    outDir: "/",
  });
  const found = new Map<string, string>();
  const { diagnostics } = program.emit(undefined, (path, text) => {
    found.set(placeOf(path.replace(/^\/+/, "")), text);
  });
  const [fault] = [...ts.getPreEmitDiagnostics(program), ...diagnostics];
  if (fault) throw new Error(ts.flattenDiagnosticMessageText(fault.messageText, "\n"));
  return found;
}

/** The text with specifiers that lead to what is published, and the places they lead to. */
function relink(place: string, text: string): { code: string; imports: string[] } {
  const imports: string[] = [];
  const code = text.replace(
    /(\bfrom\s*|\bimport\(\s*|\bimport\s+)"([^"]+)"/g,
    (whole, before: string, name: string) => {
      const target = targetOf(place, name);
      if (target === undefined) return whole;
      imports.push(target);
      const relative = posix.relative(posix.dirname(place), target);
      return `${before}"${relative.startsWith(".") ? "" : "./"}${relative}.js"`;
    },
  );
  return { code, imports };
}

function targetOf(place: string, name: string): string | undefined {
  if (name.startsWith("@aimo/protocol/")) return `protocol/${name.slice("@aimo/protocol/".length)}`;
  if (!name.startsWith(".")) return undefined;
  return posix.join(posix.dirname(place), name).replace(/\.(ts|js)$/, "");
}
