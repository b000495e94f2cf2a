import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { COMMANDS } from "@aimo/cli/commands";
import type { CliContext } from "@aimo/cli/context";
import { runCli } from "@aimo/cli/run";

type Outcome = { readonly code: number; readonly out: string; readonly notes: string };
export type Terminal = {
  readonly folder: string;
  readonly configFolder: string;
  /** Runs a command line; words are split at spaces, so texts with spaces are given as a list. */
  run(line: string | readonly string[], more?: Partial<CliContext>): Promise<Outcome>;
  /** `run` with --json; the result parsed. */
  json<T>(line: string | readonly string[], more?: Partial<CliContext>): Promise<T>;
  close(): Promise<void>;
};

/** A terminal in a folder of its own, with no environment but what is given. */
export async function openTerminal(environment: Record<string, string> = {}): Promise<Terminal> {
  const folder = await mkdtemp(join(tmpdir(), "aimo-cli-"));
  const configFolder = join(folder, "config");
  const run: Terminal["run"] = async (line, more = {}) => {
    const argv = typeof line === "string" ? line.split(" ").filter((word) => word !== "") : line;
    let out = "";
    const notes: string[] = [];
    const code = await runCli(argv, COMMANDS, {
      program: "aimo",
      write: (text) => {
        out += text;
      },
      note: (text) => notes.push(text),
      environment,
      folder,
      configFolder,
      askSecret: undefined,
      readInput: undefined,
      signal: new AbortController().signal,
      ...more,
    });
    return { code, out, notes: notes.join("\n") };
  };
  return {
    folder,
    configFolder,
    run,
    async json<T>(line: string | readonly string[], more?: Partial<CliContext>) {
      const argv = typeof line === "string" ? line.split(" ") : line;
      const { out, notes } = await run([...argv, "--json"], more);
      try {
        return JSON.parse(out) as T;
      } catch {
        throw new Error(`No JSON: ${out}\n${notes}`);
      }
    },
    close: () => rm(folder, { recursive: true }),
  };
}
