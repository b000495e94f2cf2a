/** The rules of the house, as functions over source texts; `test/tidy.test.ts` applies them to the repository. */
import { isBuiltin } from "node:module";
import { dirname, posix } from "node:path";
import ts from "typescript";

export type Source = { readonly path: string; readonly text: string };

export const MAX_LINES = 300;

/** Workspace packages and the folder their sub-paths lead to. */
const PACKAGES: Readonly<Record<string, string>> = {
  "@aimo/protocol": "protocol/src",
  "@aimo/node": "node/src",
  "@aimo/relay": "relay/src",
  "@aimo/provider": "provider/src",
  "@aimo/sdk": "sdk/typescript/src",
  "@aimo/cli": "cli/src",
};

/** A relay and a provider have the same shape inside. */
const nodeRooms = (name: "relay" | "provider"): Record<string, readonly string[]> => {
  const at = (room: string) => `${name}/src/${room}`;
  const more =
    name === "relay" ? ["sign-in", "batch", "cache", "preset"].map((port) => `flow/${port}-ports.ts`) : [];
  const ports = ["flow/ports.ts", ...more].map(at);
  const adapter = ["protocol/src", "node/src", at("core"), ...ports];
  const rooms = ["core", "store", "chain", "gossip", "upstream", "flow", "http"].map(at);
  if (name === "relay") rooms.push(at("workers"));
  const everything = ["protocol/src", "node/src", ...rooms, ...ports, `${name}/src`, at("config.ts")];
  return {
    [at("core")]: ["protocol/src"],
    // The ports are types only: what the flow needs, named so that its adapters can say they fulfil it.
    ...Object.fromEntries(ports.map((port) => [port, ["protocol/src", at("core")]])),
    [at("store")]: adapter,
    [at("chain")]: adapter,
    [at("gossip")]: adapter,
    [at("upstream")]: adapter,
    [at("flow")]: ["protocol/src", at("core"), ...ports],
    [at("http")]: ["protocol/src", "node/src", at("core"), at("flow"), ...ports],
    [at("workers")]: ["protocol/src", "node/src", ...["core", "flow", "http"].map(at), ...ports],
    [`${name}/src`]: everything,
    [at("config.ts")]: ["protocol/src", "node/src", at("core"), `${name}/src`],
    [at("node.ts")]: name === "provider" ? [...everything, at("demo")] : everything,
    [at("main.ts")]: [...everything, at("node.ts")],
  };
};

const ANYTHING = ["*"];

/** Who may import whom. A room may import itself and the rooms named here; the longest path that fits rules. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  contracts: [],
  "protocol/src": [],
  "node/src": ["protocol/src"],
  ...nodeRooms("relay"),
  ...nodeRooms("provider"),
  "provider/src/demo": ["protocol/src", "node/src"],
  "sdk/typescript/src": ["protocol/src"],
  "cli/src": [
    "protocol/src",
    "node/src",
    "sdk/typescript/src",
    "relay/src/node.ts",
    "relay/src/config.ts",
    "provider/src/node.ts",
    "provider/src/config.ts",
    "provider/src/chain",
  ],
  "cli/bin": ["scripts"],
  scripts: ANYTHING,
  bench: ANYTHING,
  test: ANYTHING,
  "hardhat.config.ts": ANYTHING,
};

/** Rooms that must give the same answer for the same arguments, in any runtime. */
const PURE = ["protocol/src", "relay/src/core", "provider/src/core"];

/** Names of the surroundings: clock, chance, environment, I/O. `Date` is judged apart, by how it is used. */
const IMPURE = new Set(
  "process performance crypto fetch console globalThis setTimeout setInterval setImmediate queueMicrotask".split(
    " ",
  ),
);

const byLength = Object.keys(MAY_IMPORT).sort((a, b) => b.length - a.length);

const roomOf = (path: string) => byLength.find((room) => path === room || path.startsWith(`${room}/`));

/** The files of this repository that a source imports, types included. */
function importsOf({ path, text }: Source): string[] {
  return moduleNames({ path, text }).flatMap((name) => {
    if (name.startsWith(".")) return [posix.normalize(posix.join(dirname(path), name))];
    const [scope, packageName, ...rest] = name.split("/");
    const folder = PACKAGES[`${scope}/${packageName}`];
    if (folder) return [`${folder}/${rest.length > 0 ? rest.join("/") : "index"}.ts`];
    return [];
  });
}

function moduleNames({ path, text }: Source): string[] {
  if (!path.endsWith(".sol"))
    return ts.preProcessFile(text, true, true).importedFiles.map((file) => file.fileName);
  const code = text.replace(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, "");
  return [...code.matchAll(/^\s*import\b[^;"']*["']([^"']+)["']/gm)].map((match) => match[1] ?? "");
}

/** Files outside every room, and imports that the table above does not allow. */
export function wrongImports(sources: readonly Source[]): string[] {
  return sources.flatMap((source) => {
    const room = roomOf(source.path);
    if (!room) return [`${source.path}: lies in no room of the table in test/tidy/rules.ts`];
    const allowed = [room, ...(MAY_IMPORT[room] ?? [])];
    if (allowed.includes("*")) return [];
    return importsOf(source)
      .filter((target) => !allowed.includes(roomOf(target) ?? ""))
      .map((target) => `${source.path} -> ${target}`);
  });
}

/** Solidity may use OpenZeppelin and itself, nothing else from npm. */
export function foreignSolidity(sources: readonly Source[]): string[] {
  return sources
    .filter(({ path }) => roomOf(path) === "contracts")
    .flatMap((source) => moduleNames(source).map((name) => ({ path: source.path, name })))
    .filter(({ name }) => !name.startsWith(".") && !name.startsWith("@openzeppelin/contracts/"))
    .map(({ path, name }) => `${path} -> ${name}`);
}

/** Each import cycle once, as the path that closes it. */
export function importCycles(sources: readonly Source[]): string[] {
  const graph = new Map(sources.map((source) => [source.path, importsOf(source)]));
  const done = new Set<string>();
  const found: string[] = [];
  const visit = (path: string, trail: readonly string[]): void => {
    const start = trail.indexOf(path);
    if (start >= 0) found.push([...trail.slice(start), path].join(" -> "));
    if (start >= 0 || done.has(path)) return;
    for (const next of graph.get(path) ?? []) visit(next, [...trail, path]);
    done.add(path);
  };
  for (const path of graph.keys()) visit(path, []);
  return found;
}

/** Hand-written files that are too long to be one idea. */
export function longFiles(sources: readonly Source[]): string[] {
  return sources
    .filter(({ text }) => !isGenerated(text))
    .map(({ path, text }) => ({ path, lines: text.replace(/\n$/, "").split("\n").length }))
    .filter(({ lines }) => lines > MAX_LINES)
    .map(({ path, lines }) => `${path}: ${lines} lines`);
}

const isGenerated = (text: string) => /generated/i.test(text.split("\n", 1)[0] ?? "");

/** Uses of the clock, chance, the environment or Node modules in rooms that promise to have none. */
export function impurities(sources: readonly Source[]): string[] {
  return sources
    .filter(({ path }) => PURE.includes(roomOf(path) ?? ""))
    .flatMap((source) =>
      [...builtinsOf(source), ...surroundingsOf(source)].map((name) => `${source.path}: ${name}`),
    );
}

const builtinsOf = (source: Source) => moduleNames(source).filter((name) => isBuiltin(name));

function surroundingsOf({ path, text }: Source): string[] {
  const found: string[] = [];
  const visit = (node: ts.Node): void => {
    if (ts.isIdentifier(node) && !isOnlyAName(node)) {
      if (IMPURE.has(node.text)) found.push(node.text);
      if (node.text === "Date" && readsTheClock(node)) found.push("Date");
    }
    if (ts.isPropertyAccessExpression(node) && node.getText() === "Math.random") found.push("Math.random");
    ts.forEachChild(node, visit);
  };
  visit(ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true));
  return found;
}

/** `x.process`, `{ process: 1 }` and `process?: string` mention a name without meaning the global. */
function isOnlyAName(node: ts.Identifier): boolean {
  const { parent } = node;
  if (ts.isPropertyAccessExpression(parent) || ts.isQualifiedName(parent))
    return parent.getChildAt(0) !== node;
  const named =
    ts.isPropertyAssignment(parent) || ts.isPropertySignature(parent) || ts.isMethodSignature(parent);
  return named && parent.name === node;
}

function readsTheClock(node: ts.Identifier): boolean {
  const { parent } = node;
  if (ts.isPropertyAccessExpression(parent)) return parent.name.text === "now";
  if (ts.isNewExpression(parent)) return (parent.arguments?.length ?? 0) === 0;
  return ts.isCallExpression(parent) && parent.expression === node;
}

/** Files that only pass on what others export: they hide where things live and pull in everything. */
export function barrels(sources: readonly Source[]): string[] {
  return sources
    .filter(({ path }) => path.endsWith(".ts") && path !== "sdk/typescript/src/index.ts")
    .filter(({ text }) => /\bexport\b[^;]*\bfrom\b/.test(text) && onlyPassesOn(text))
    .map(({ path }) => path);
}

function onlyPassesOn(text: string): boolean {
  const { statements } = ts.createSourceFile("file.ts", text, ts.ScriptTarget.Latest);
  return statements.every(
    (statement) => ts.isImportDeclaration(statement) || ts.isExportDeclaration(statement),
  );
}
