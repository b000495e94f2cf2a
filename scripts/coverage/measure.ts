import { globSync, readFileSync } from "node:fs";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { copyProject, lastLines, runHardhat } from "../project/copy.ts";
import { type Branch, COUNTERS, counterLine, instrument, OUTCOME_LINES } from "./branches.ts";

/** A line that never ran, or a condition that was never so. */
export type Gap = {
  readonly file: string;
  readonly line: number;
  /** The line without its indent, or the condition. */
  readonly code: string;
  readonly outcome?: "true" | "false";
};

export type FileCoverage = {
  readonly file: string;
  readonly lines: number;
  readonly linesHit: number;
  /** Outcomes: two for each condition. */
  readonly branches: number;
  readonly branchesHit: number;
  readonly gaps: readonly Gap[];
};

const MOST_MS = 30 * 60_000;

/** Runs all Solidity tests over contracts that count. Throws when one fails. */
export async function measure(signal: AbortSignal): Promise<readonly FileCoverage[]> {
  const copy = await copyProject("coverage");
  try {
    const sources = new Map(
      globSync("contracts/**/*.sol", { cwd: copy.project })
        .sort()
        .map((file) => [file, readFileSync(copy.at(file), "utf8")]),
    );
    const { files, branches } = instrument(sources);
    for (const [file, text] of files) {
      await mkdir(dirname(copy.at(file)), { recursive: true });
      await writeFile(copy.at(file), text);
    }
    const args = ["test", "solidity", "--coverage"];
    const { code, output } = await runHardhat({ project: copy.project, args, signal, mostMs: MOST_MS });
    if (code !== 0) throw new Error(`The tests fail in contracts that count:\n${failuresIn(output)}`);
    const runs = readLcov(await readFile(copy.at("coverage/lcov.info"), "utf8"));
    return [...sources].flatMap(([file, text]) => {
      const found = coverageOf(file, text, branches, runs);
      return found.lines + found.branches === 0 ? [] : [found];
    });
  } finally {
    await copy.close();
  }
}

/** Between the list of tests and the report. */
function failuresIn(output: string): string {
  return lastLines(/\d+ failing[\s\S]*?(?=\n╔|$)/.exec(output)?.[0] ?? output);
}

type Runs = ReadonlyMap<string, ReadonlyMap<number, boolean>>;

/** Whether a line ran, by file and line. */
function readLcov(text: string): Runs {
  const runs = new Map<string, Map<number, boolean>>();
  let lines = new Map<number, boolean>();
  for (const row of text.split("\n")) {
    const [key, value = ""] = row.split(/:(.*)/s);
    if (key === "SF") {
      lines = new Map();
      runs.set(value, lines);
    }
    const [line, count] = value.split(",").map(Number);
    if (key === "DA" && line !== undefined) lines.set(line, count !== 0);
  }
  return runs;
}

function coverageOf(file: string, text: string, branches: readonly Branch[], runs: Runs): FileCoverage {
  const code = text.split("\n").map((line) => line.trim());
  // the line with which a copy imports its counters is not one of the file's
  const lines = [...(runs.get(file) ?? [])].filter(([line]) => line <= code.length);
  const counters = runs.get(COUNTERS);
  const gaps: Gap[] = lines.flatMap(([line, ran]) => (ran ? [] : [{ file, line, code: code[line - 1] ?? "" }]));
  let branchCount = 0;
  const missed: Gap[] = [];
  for (const [n, branch] of branches.entries()) {
    if (branch.file !== file) continue;
    for (const outcome of ["true", "false"] as const) {
      ++branchCount;
      const line = counterLine(n) + OUTCOME_LINES[outcome];
      if (!counters?.get(line)) missed.push({ file, line: branch.line, code: branch.text, outcome });
    }
  }
  return {
    file,
    lines: lines.length,
    linesHit: lines.length - gaps.length,
    branches: branchCount,
    branchesHit: branchCount - missed.length,
    gaps: [...gaps, ...missed].sort((a, b) => a.line - b.line),
  };
}
