import { createRequire } from "node:module";
import { dirname, relative } from "node:path";

/** A condition on which the code goes one way or the other, or one operand of `&&` and `||` in it. */
export type Branch = {
  /** Relative to the project. */
  readonly file: string;
  readonly line: number;
  readonly text: string;
};

type Node = {
  readonly nodeType: string;
  readonly src: string;
  readonly [key: string]: unknown;
};
type Parsed = { readonly sources: Readonly<Record<string, { readonly ast: Node }>> };
type Place = { readonly start: number; readonly end: number };

export const COUNTERS = "contracts/Branches.sol";
/** Where the outcomes of a counter are, lines after its first. */
export const OUTCOME_LINES = { true: 2, false: 4 } as const;
const COUNTER_LINES = 6;
const HEAD_LINES = 2;

/**
 * Hardhat counts statements. So every condition is put through a function of its own, in which each outcome is a
 * statement; lines stay where they are. `sources`: text by path. Assembly is left as it is: keep conditions out of it.
 */
export function instrument(sources: ReadonlyMap<string, string>): {
  readonly files: ReadonlyMap<string, string>;
  readonly branches: readonly Branch[];
} {
  const branches: Branch[] = [];
  const files = new Map<string, string>();
  const trees = parse(sources);
  for (const [file, text] of sources) {
    const bytes = Buffer.from(text);
    const edits: { readonly at: number; readonly text: string }[] = [];
    for (const { start, end } of conditionsOf(trees.get(file))) {
      const line = bytes.subarray(0, start).toString().split("\n").length;
      edits.push({ at: start, text: `countBranch${branches.length}(` }, { at: end, text: ")" });
      branches.push({ file, line, text: bytes.subarray(start, end).toString().replace(/\s+/g, " ") });
    }
    if (edits.length === 0) continue;
    const path = relative(dirname(file), COUNTERS);
    const changed = replaceAt(
      bytes,
      edits.sort((a, b) => a.at - b.at),
    );
    files.set(file, `${changed}\nimport "${path.startsWith(".") ? path : `./${path}`}";\n`);
  }
  files.set(COUNTERS, counters(branches.length));
  return { files, branches };
}

/** First line of a counter, from 1. */
export function counterLine(branch: number): number {
  return HEAD_LINES + branch * COUNTER_LINES + 1;
}

function counters(count: number): string {
  const one = (_: unknown, n: number) =>
    `function countBranch${n}(bool isSo) pure returns (bool) {\n    if (isSo)\n        return true;\n    else\n        return false;\n}\n`;
  return `// SPDX-License-Identifier: Apache-2.0\npragma solidity ^0.8.28;\n${Array.from({ length: count }, one).join("")}`;
}

function parse(sources: ReadonlyMap<string, string>): ReadonlyMap<string, Node> {
  const solc = createRequire(import.meta.url)("solc") as { compile(input: string): string };
  const input = {
    language: "Solidity",
    sources: Object.fromEntries([...sources].map(([file, content]) => [file, { content }])),
    settings: { stopAfter: "parsing", outputSelection: { "*": { "": ["ast"] } } },
  };
  const { sources: parsed } = JSON.parse(solc.compile(JSON.stringify(input))) as Parsed;
  return new Map(Object.entries(parsed).map(([file, { ast }]) => [file, ast]));
}

/** In the order of the text. */
function conditionsOf(root: unknown): readonly Place[] {
  const found = new Map<string, Place>();
  const walk = (value: unknown): void => {
    if (typeof value !== "object" || value === null) return;
    if (Array.isArray(value)) {
      for (const item of value) walk(item);
      return;
    }
    const node = value as Node;
    for (const condition of decidedBy(node))
      for (const place of operandsOf(condition)) found.set(`${place.start}-${place.end}`, place);
    for (const child of Object.values(node)) walk(child);
  };
  walk(root);
  return [...found.values()].sort((a, b) => a.start - b.start);
}

/** What decides where a statement or an expression goes on. */
function decidedBy(node: Node): readonly Node[] {
  const { nodeType, condition, expression } = node;
  if (["IfStatement", "Conditional", "WhileStatement", "DoWhileStatement", "ForStatement"].includes(nodeType))
    return condition ? [condition as Node] : [];
  if (nodeType === "BinaryOperation" && isLogical(node)) return [node];
  if (nodeType !== "FunctionCall" || (expression as Node)["name"] !== "require") return [];
  return (node["arguments"] as readonly Node[]).slice(0, 1);
}

function operandsOf(node: Node): readonly Place[] {
  if (isLogical(node)) return [...operandsOf(node["leftExpression"] as Node), ...operandsOf(node["rightExpression"] as Node)];
  if (node.nodeType === "UnaryOperation" && node["operator"] === "!") return operandsOf(node["subExpression"] as Node);
  const components = node.nodeType === "TupleExpression" ? (node["components"] as readonly Node[]) : [];
  if (components.length === 1 && components[0]) return operandsOf(components[0]);
  const [start = 0, length = 0] = node.src.split(":").map(Number);
  return [{ start, end: start + length }];
}

function isLogical(node: Node): boolean {
  return node["operator"] === "&&" || node["operator"] === "||";
}

function replaceAt(bytes: Buffer, edits: readonly { readonly at: number; readonly text: string }[]): string {
  let from = 0;
  let text = "";
  for (const edit of edits) {
    text += bytes.subarray(from, edit.at).toString() + edit.text;
    from = edit.at;
  }
  return text + bytes.subarray(from).toString();
}
