import { homedir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { Writable } from "node:stream";
import { text as readAll } from "node:stream/consumers";
import type { CliContext } from "./context.ts";

/** The context of a real process: its terminal, environment, folders and signals. */
export function processContext(): CliContext {
  const { env, stdin } = process;
  let interrupt: AbortController | undefined;
  return {
    program: env["AIMO_PROGRAM"] ?? "aimo",
    write: (text) => void process.stdout.write(text),
    note: (line) => void process.stderr.write(`${line}\n`),
    environment: env,
    folder: process.cwd(),
    configFolder:
      env["AIMO_CONFIG_DIR"] ?? join(env["XDG_CONFIG_HOME"] ?? join(homedir(), ".config"), "aimo"),
    askSecret: stdin.isTTY ? askSecret : undefined,
    readInput: stdin.isTTY ? undefined : () => readAll(stdin),
    // Only what can be cancelled listens: the first Ctrl-C cancels it, a second one ends the process.
    get signal() {
      if (!interrupt) {
        const controller = new AbortController();
        process.once("SIGINT", () => controller.abort());
        interrupt = controller;
      }
      return interrupt.signal;
    },
  };
}

/** Asks at the terminal without showing what is typed. */
function askSecret(question: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const silent = new Writable({ write: (_chunk, _encoding, done) => done() });
    const lines = createInterface({ input: process.stdin, output: silent, terminal: true });
    process.stderr.write(question);
    lines.on("SIGINT", () => {
      lines.close();
      process.stderr.write("\n");
      reject(new Error("Cancelled."));
    });
    lines.question("", (answer) => {
      lines.close();
      process.stderr.write("\n");
      resolve(answer.trim());
    });
  });
}
