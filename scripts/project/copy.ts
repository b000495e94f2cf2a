import { spawn } from "node:child_process";
import { cp, mkdtemp, readdir, rm, symlink } from "node:fs/promises";
import { constants, setPriority, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const COPIED = ["contracts", "test/contracts", "protocol/vectors", "hardhat.config.ts", "package.json"];
/** Compares with what the optimizer makes of a contract, and there is none in a copy. */
const NEEDS_OPTIMIZER = /Gas\.t\.sol$/;
const TESTS = "test/contracts";

/** Contracts and their tests in a temporary folder, to be changed there. Paths are relative to the project. */
export type ProjectCopy = {
  readonly project: string;
  /** Beside the project, for whatever else is needed. */
  readonly folder: string;
  readonly tests: readonly string[];
  at(path: string): string;
  close(): Promise<void>;
};

/** `name`: of the folder. */
export async function copyProject(name: string): Promise<ProjectCopy> {
  const folder = await mkdtemp(join(tmpdir(), `aimo-${name}-`));
  const project = join(folder, "project");
  const at = (path: string) => join(project, path);
  const close = () => rm(folder, { recursive: true, force: true });
  try {
    for (const path of COPIED) await cp(join(ROOT, path), at(path), { recursive: true });
    await symlink(join(ROOT, "node_modules"), at("node_modules"), "dir");
    const tests = (await readdir(at(TESTS), { recursive: true }))
      .filter((file) => file.endsWith(".t.sol"))
      .map((file) => join(TESTS, file));
    for (const test of tests) if (NEEDS_OPTIMIZER.test(test)) await rm(at(test));
    return { project, folder, tests: tests.filter((test) => !NEEDS_OPTIMIZER.test(test)), at, close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** `code` is null when the process was ended. */
export type HardhatRun = { readonly code: number | null; readonly output: string };

export type RunHardhatParameters = {
  readonly project: string;
  readonly args: readonly string[];
  readonly signal: AbortSignal;
  /** Ended after this time. */
  readonly mostMs: number;
};

/** Hardhat in a copy, with the quickest compiler and tests that still mean something. */
export async function runHardhat(parameters: RunHardhatParameters): Promise<HardhatRun> {
  const { project, args, signal, mostMs } = parameters;
  const hardhat = join(ROOT, "node_modules", "hardhat", "dist", "src", "cli.js");
  // biome-ignore lint/style/noProcessEnv: the child needs the rest of it
  const env = { ...process.env, AIMO_MUTANTS: "1", NO_COLOR: "1", FORCE_COLOR: "0" };
  const child = spawn(process.execPath, [hardhat, ...args], {
    ...{ cwd: project, env, signal, timeout: mostMs, stdio: ["ignore", "pipe", "pipe"] },
  });
  // whoever works on this machine comes first
  if (child.pid !== undefined) setPriority(child.pid, constants.priority.PRIORITY_BELOW_NORMAL);
  let output = "";
  for (const stream of [child.stdout, child.stderr])
    stream?.setEncoding("utf8").on("data", (text: string) => {
      output += text;
    });
  const code = await new Promise<number | null>((done, fail) => {
    child.on("error", fail);
    child.on("close", done);
  });
  return { code, output };
}

const LAST_LINES = 40;

/** The end of an output: what went wrong is there. */
export function lastLines(output: string): string {
  return output.trimEnd().split("\n").slice(-LAST_LINES).join("\n");
}
