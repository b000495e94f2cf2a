import { spawn } from "node:child_process";
import { cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { constants, setPriority, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Fault, plant } from "./fault.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const COPIED = ["contracts", "test/contracts", "protocol/vectors", "hardhat.config.ts", "package.json"];
const COMPILED = ["artifacts", "cache"];
/** Compared with the compiler's optimum, which there is none of here. */
const NEEDS_OPTIMIZER = "Gas.t.sol";
const TESTS = "test/contracts";
/** No honest run comes near it: a fault may make a test go on for ever. */
const MOST_MS = 20 * 60_000;

export type Verdict =
  | { readonly kind: "caught"; readonly by: readonly string[] }
  | { readonly kind: "survived" }
  /** It is no fault if it does not compile. */
  | { readonly kind: "broken"; readonly output: string };

type Run = { readonly ok: boolean; readonly failing: readonly string[]; readonly output: string };

export type Scratch = Awaited<ReturnType<typeof openScratch>>;

/** A copy of the project in a temporary folder, compiled without a fault. Throws when its tests fail as it is. */
export async function openScratch(signal: AbortSignal) {
  const folder = await mkdtemp(join(tmpdir(), "aimo-mutants-"));
  const project = join(folder, "project");
  const pristine = join(folder, "pristine");
  const close = () => rm(folder, { recursive: true, force: true });
  const at = (path: string) => join(project, path);
  try {
    for (const path of COPIED) await cp(join(ROOT, path), at(path), { recursive: true });
    await rm(at(join(TESTS, NEEDS_OPTIMIZER)), { force: true });
    await symlink(join(ROOT, "node_modules"), at("node_modules"), "dir");
    const tests = (await readdir(at(TESTS), { recursive: true }))
      .filter((file) => file.endsWith(".t.sol"))
      .map((file) => join(TESTS, file));
    const built = await build(project, signal);
    if (!built.ok) throw new Error(`The contracts do not compile:\n${lastOf(built.output)}`);
    const baseline = await runTests(project, tests, signal);
    if (!baseline.ok) throw new Error(`The tests fail without any fault:\n${lastOf(baseline.output)}`);
    await mkdir(pristine);
    for (const path of COMPILED) await cp(at(path), join(pristine, path), { recursive: true });
    return {
      close,
      /** Runs the tests over a fault: first those that are to catch it, then all others. */
      async judge(fault: Fault): Promise<Verdict> {
        const file = at(join("contracts", fault.file));
        const text = await readFile(file, "utf8");
        await writeFile(file, plant(text, fault));
        try {
          const first = tests.filter((test) => fault.tests.some((name) => test === `${TESTS}/${name}.t.sol`));
          const rest = tests.filter((test) => !first.includes(test));
          const built = await build(project, signal);
          if (!built.ok) return { kind: "broken", output: lastOf(built.output) };
          for (const list of [first, rest]) {
            if (list.length === 0) continue;
            const { ok, failing, output } = await runTests(project, list, signal);
            if (failing.length > 0) return { kind: "caught", by: failing };
            if (!ok) return { kind: "broken", output: lastOf(output) };
          }
          return { kind: "survived" };
        } finally {
          await writeFile(file, text);
          for (const path of COMPILED) {
            await rm(at(path), { recursive: true, force: true });
            await cp(join(pristine, path), at(path), { recursive: true });
          }
        }
      },
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Contracts and tests, as far as they changed. Tests take contracts from their artifacts, so all of them are needed. */
function build(project: string, signal: AbortSignal): Promise<Run> {
  return runHardhat(project, ["build", "--quiet"], signal);
}

function runTests(project: string, files: readonly string[], signal: AbortSignal): Promise<Run> {
  return runHardhat(project, ["test", "solidity", "--no-compile", ...files], signal);
}

async function runHardhat(project: string, args: readonly string[], signal: AbortSignal): Promise<Run> {
  const hardhat = join(ROOT, "node_modules", "hardhat", "dist", "src", "cli.js");
  // biome-ignore lint/style/noProcessEnv: the child needs the rest of it
  const env = { ...process.env, AIMO_MUTANTS: "1", NO_COLOR: "1", FORCE_COLOR: "0" };
  const child = spawn(process.execPath, [hardhat, ...args], {
    ...{ cwd: project, env, signal, timeout: MOST_MS, stdio: ["ignore", "pipe", "pipe"] },
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
  const failing = [...output.matchAll(/^\s*\d+\) (\w+#\w+)/gm)].map((match) => match[1] ?? "");
  return { ok: code === 0, failing: code === null ? ["a test that never ends"] : failing, output };
}

const LAST_LINES = 40;

function lastOf(output: string): string {
  return output.trimEnd().split("\n").slice(-LAST_LINES).join("\n");
}
