import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";

/** Processes of the bench, each on a core of its own where the system can do that. */

export type Child = {
  readonly pid: number;
  /** What the process said when it was ready. */
  readonly ready: Readonly<Record<string, string | number>>;
  /** Seconds of processor time so far; undefined where the system does not say. */
  cpuSeconds(): Promise<number | undefined>;
  close(): Promise<void>;
};

export type ChildParameters = {
  /** A program of this folder. */
  readonly program: string;
  readonly args?: readonly string[];
  readonly core: number;
};

const READY_MS = 120_000;
const STOP_MS = 10_000;

/** Whether processes can be kept on one core here. */
export const canPin = (): boolean => spawnSync("taskset", ["--version"]).status === 0;

/** Keeps this very process on a core. */
export function pinSelf(core: number): void {
  if (canPin()) spawnSync("taskset", ["-acp", String(core), String(process.pid)]);
}

/** Starts a program and waits until it sends what it is ready with. Throws when it ends before that. */
export async function startChild({ program, args = [], core }: ChildParameters): Promise<Child> {
  const file = fileURLToPath(new URL(program, import.meta.url));
  return startCommand([process.execPath, file, ...args], { core, ready: readyMessage });
}

type CommandParameters = {
  readonly core: number;
  /** Resolves to what the process is ready with. */
  readonly ready: (child: ChildProcess) => Promise<Child["ready"]>;
  readonly env?: Readonly<Record<string, string>>;
  /** What it says about its errors is not shown. */
  readonly quiet?: boolean;
};

/** The same for any command. */
export async function startCommand(
  command: readonly string[],
  { core, ready, env, quiet = false }: CommandParameters,
): Promise<Child> {
  const [file = "", ...args] = canPin() ? ["taskset", "-c", String(core), ...command] : command;
  const child = spawn(file, args, {
    stdio: ["ignore", "ignore", quiet ? "ignore" : "inherit", "ipc"],
    // biome-ignore lint/style/noProcessEnv: the child needs the rest of it
    env: { ...process.env, NODE_ENV: "production", ...env },
  });
  const pid = child.pid;
  if (pid === undefined) throw new Error(`${file} could not be started.`);
  const ended = once(child, "exit");
  const timeout = AbortSignal.timeout(READY_MS);
  const late = once(timeout, "abort").then(() => {
    throw new Error(`${command.join(" ")} was not ready after ${READY_MS / 1_000} s.`);
  });
  const early = ended.then(([code]) => {
    throw new Error(`${command.join(" ")} ended with ${code} before it was ready.`);
  });
  late.catch(() => {});
  early.catch(() => {});
  const close = async (): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill("SIGTERM");
    const timer = setTimeout(() => child.kill("SIGKILL"), STOP_MS);
    await ended;
    clearTimeout(timer);
  };
  try {
    return {
      pid,
      ready: await Promise.race([ready(child), late, early]),
      cpuSeconds: () => cpuOf(pid),
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

async function readyMessage(child: ChildProcess): Promise<Child["ready"]> {
  const [message] = await once(child, "message");
  return message;
}

/** Clock ticks of Linux are a hundredth of a second on every platform that Node runs on. */
const TICKS = 100;

async function cpuOf(pid: number): Promise<number | undefined> {
  try {
    const stat = await readFile(`/proc/${pid}/stat`, "utf8");
    // the name of the command stands in parentheses and may hold spaces
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return (Number(fields[11]) + Number(fields[12])) / TICKS;
  } catch {
    return undefined;
  }
}
