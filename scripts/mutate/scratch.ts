import { cp, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { copyProject, type HardhatRun, lastLines, runHardhat } from "../project/copy.ts";
import { type Fault, plant } from "./fault.ts";

const COMPILED = ["artifacts", "cache"];
/** No honest run comes near it: a fault may make a test go on for ever. */
const MOST_MS = 20 * 60_000;

export type Verdict =
  | { readonly kind: "caught"; readonly by: readonly string[] }
  | { readonly kind: "survived" }
  /** It is no fault if it does not compile. */
  | { readonly kind: "broken"; readonly output: string };

export type Scratch = Awaited<ReturnType<typeof openScratch>>;

/** A copy of the project in a temporary folder, compiled without a fault. Throws when its tests fail as it is. */
export async function openScratch(signal: AbortSignal) {
  const { project, folder, tests, at, close } = await copyProject("mutants");
  const pristine = join(folder, "pristine");
  const run = (args: readonly string[]) => runHardhat({ project, args, signal, mostMs: MOST_MS });
  // contracts and tests, as far as they changed: tests take contracts from their artifacts, so all of them are needed
  const build = () => run(["build", "--quiet"]);
  const runTests = (files: readonly string[]) => run(["test", "solidity", "--no-compile", ...files]);
  try {
    const built = await build();
    if (built.code !== 0) throw new Error(`The contracts do not compile:\n${lastLines(built.output)}`);
    const baseline = await runTests(tests);
    if (baseline.code !== 0)
      throw new Error(`The tests fail without any fault:\n${lastLines(baseline.output)}`);
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
          const first = tests.filter((test) =>
            fault.tests.some((name) => test === `test/contracts/${name}.t.sol`),
          );
          const rest = tests.filter((test) => !first.includes(test));
          const built = await build();
          if (built.code !== 0) return { kind: "broken", output: lastLines(built.output) };
          for (const list of [first, rest]) {
            if (list.length === 0) continue;
            const { code, output } = await runTests(list);
            const failing = failingOf({ code, output });
            if (failing.length > 0) return { kind: "caught", by: failing };
            if (code !== 0) return { kind: "broken", output: lastLines(output) };
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

function failingOf({ code, output }: HardhatRun): readonly string[] {
  if (code === null) return ["a test that never ends"];
  return [...output.matchAll(/^\s*\d+\) (\w+#\w+)/gm)].map((match) => match[1] ?? "");
}
