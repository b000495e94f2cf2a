/**
 * The door every command of this repository goes through:
 *
 *     node scripts/bootstrap.mjs scripts/start.ts --port 8080     a file of ours
 *     node scripts/bootstrap.mjs hardhat test                     a tool from node_modules
 *
 * It makes a fresh clone ready (a recent Node, the locked packages, compiled contracts), then runs the
 * command. When nothing has changed it only compares stamps. Plain JavaScript without dependencies,
 * because it has to work before anything is installed, under any Node from 18 up.
 */
import { spawn } from "node:child_process";
import { existsSync, readFileSync, realpathSync } from "node:fs";
import { constants } from "node:os";
import { delimiter, dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { withLock } from "./bootstrap-lock.mjs";
import { findNode, installNode, StepError, steps } from "./bootstrap-steps.mjs";

const root = dirname(dirname(fileURLToPath(import.meta.url)));

/** What reads sources only. It must run even while the contracts do not compile. */
const NEEDS_NO_CONTRACTS = new Set(["biome", "solhint", "knip", "scripts/check.ts", "scripts/docs.ts"]);

/** Tools whose package is not called like the command. */
const PACKAGE_OF_BIN = { biome: "@biomejs/biome", tsc: "typescript" };

const PARENT_POLL_MS = 250;

/** Readies the clone, runs the command and ends this process the way the command ended. */
export async function bootstrap(args) {
  try {
    const node = await makeReady(!NEEDS_NO_CONTRACTS.has(args[0]));
    await run(node, args);
  } catch (error) {
    if (!(error instanceof StepError)) throw error;
    process.stderr.write(`\n${error.message}\n`);
    process.exitCode = error.exitCode;
  }
}

async function makeReady(withContracts) {
  const wanted = steps.filter((step) => withContracts || step.name !== "contracts");
  const known = await findNode(root);
  if (known && wanted.every((step) => step.isDone(root, known))) return known;

  return withLock(join(root, ".node", "bootstrap.lock"), say, async (track) => {
    const node = (await findNode(root)) ?? (await installNode(root, say, track));
    const env = environment(node);
    for (const step of wanted) {
      if (!step.isDone(root, node)) await step.run({ root, node, env, say, track });
    }
    return node;
  });
}

/** Runs the command in the caller's folder, with its terminal, and takes over its exit code or signal. */
async function run(node, [command, ...args]) {
  if (!command) throw new StepError("Usage: node scripts/bootstrap.mjs <file or tool> [arguments]", 2);
  const program = locate(node, command);
  const child = spawn(program[0], [...program.slice(1), ...args], {
    stdio: "inherit",
    env: environment(node),
  });
  const release = passSignals(child);
  const end = await new Promise((done) => {
    child.on("error", (error) => done({ error }));
    child.on("exit", (code, signal) => done({ code, signal }));
  });
  release();
  if (end.error) throw new StepError(`Could not run ${command}: ${end.error.message}`);
  if (!end.signal) process.exitCode = end.code ?? 1;
  else if (process.platform === "win32") process.exitCode = 1;
  else endBySignal(end.signal);
}

/** What to spawn: our own file and any tool written in JavaScript run under `node`, the rest by itself. */
function locate(node, command) {
  // Type stripping still warns in the oldest releases of Node 24.
  const script = (file) => [node.path, "--disable-warning=ExperimentalWarning", file];
  if (/\.[cm]?[jt]s$/.test(command)) {
    const file = resolve(root, command);
    if (existsSync(file)) return script(file);
    throw new StepError(`There is no ${command} in this repository.`);
  }
  const tool = toolEntry(command);
  if (!tool) {
    throw new StepError(
      `There is no tool called ${command} in node_modules/.bin. Is it in package.json? ` +
        "After adding it, run `npm install`.",
    );
  }
  return isJavaScript(tool) ? script(tool) : [tool];
}

function toolEntry(name) {
  const folder = join(root, "node_modules", PACKAGE_OF_BIN[name] ?? name);
  const manifest = join(folder, "package.json");
  if (existsSync(manifest)) {
    const { bin } = JSON.parse(readFileSync(manifest, "utf8"));
    const entry = typeof bin === "string" ? bin : bin?.[name];
    if (entry) return join(folder, entry);
  }
  const link = join(root, "node_modules", ".bin", name);
  return existsSync(link) ? realpathSync(link) : undefined;
}

function isJavaScript(file) {
  if (/\.[cm]?js$/.test(file)) return true;
  return /^#!.*\bnode\b/.test(readFileSync(file, "latin1").slice(0, 200));
}

function environment(node) {
  const env = { HARDHAT_DISABLE_TELEMETRY: "true", ...process.env };
  const pathKey = Object.keys(env).find((key) => key.toUpperCase() === "PATH") ?? "PATH";
  const first = [dirname(node.path), join(root, "node_modules", ".bin")];
  const rest = (env[pathKey] ?? "").split(delimiter).filter((folder) => !first.includes(folder));
  env[pathKey] = [...first, ...rest].join(delimiter);
  return env;
}

/**
 * Keeps this process alive until the child has ended, and hands on signals. A terminal delivers Ctrl-C
 * to the whole foreground group, so there the child already has it, and a second copy would read as
 * "leave at once".
 */
function passSignals(child) {
  const fromTerminal = process.stdin.isTTY ? ["SIGINT", "SIGQUIT", "SIGHUP"] : [];
  const handlers = ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT"].map((signal) => {
    const handler = fromTerminal.includes(signal) ? () => {} : () => child.kill(signal);
    process.on(signal, handler);
    return [signal, handler];
  });
  const watch = watchNpm(() => child.kill("SIGTERM"));
  return () => {
    clearInterval(watch);
    for (const [signal, handler] of handlers) process.removeListener(signal, handler);
  };
}

/**
 * `npm run` puts a shell between itself and us. Told to stop, npm stops that shell, and some shells die without
 * a word to us: then the loss of our parent is the only sign that we are to stop.
 */
function watchNpm(stop) {
  const parent = process.ppid;
  if (!process.env.npm_lifecycle_event || process.platform === "win32") return undefined;
  const watch = setInterval(() => {
    if (process.ppid === parent) return;
    clearInterval(watch);
    stop();
  }, PARENT_POLL_MS);
  return watch;
}

function endBySignal(signal) {
  process.exitCode = 128 + (constants.signals[signal] ?? 0);
  process.kill(process.pid, signal);
  // The signal arrives asynchronously; stay until it does, should nothing else keep the process open.
  setTimeout(() => {}, 1000);
}

/** Progress goes to stderr: stdout belongs to the command, whose last line may be JSON. */
function say(line) {
  process.stderr.write(`- ${line}\n`);
}

const isEntry = process.argv[1] && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url);
if (isEntry) await bootstrap(process.argv.slice(2));
