/**
 * One bootstrap at a time: a lock that survives crashes. The lock is a folder holding the owner's process
 * id; it appears by renaming a finished folder into place, so nobody ever sees one without an owner.
 * The owner touches it every second, which tells a live owner from a process id used again.
 */
import {
  mkdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";

const HEARTBEAT_MS = 1_000;
const POLL_MS = 200;
/** An owner whose process is gone may be replaced after this silence. */
const DEAD_AFTER_MS = 5_000;
/** An owner that seems to run (its id may be somebody else's by now) is given up after this silence. */
const SILENT_AFTER_MS = 60_000;
/** How long a process may take to remove a stale lock before another one tries. */
const BREAKING_MS = 10_000;

/**
 * Runs `work` while holding the lock; waits for whoever holds it now. `work` reports the processes it starts:
 * should the owner be killed, they may go on writing, and the lock has to outlast them.
 */
export async function withLock(path, say, work) {
  mkdirSync(dirname(path), { recursive: true });
  let told = false;
  while (!take(path)) {
    if (breakIfStale(path)) continue;
    if (!told) say("waiting for another run that is preparing this folder");
    told = true;
    await delay(POLL_MS);
  }
  const heartbeat = setInterval(() => touch(path), HEARTBEAT_MS);
  try {
    return await work((pid) => writeFileSync(join(path, "worker"), String(pid)));
  } finally {
    clearInterval(heartbeat);
    if (pidIn(path, "pid") === process.pid) rmSync(path, { recursive: true, force: true });
  }
}

function take(path) {
  const mine = `${path}.${process.pid}`;
  rmSync(mine, { recursive: true, force: true });
  mkdirSync(mine);
  writeFileSync(join(mine, "pid"), String(process.pid));
  try {
    renameSync(mine, path);
    return true;
  } catch (error) {
    rmSync(mine, { recursive: true, force: true });
    // A folder that is already there and not empty: each system has its own word for it.
    if (["ENOTEMPTY", "EEXIST", "EPERM", "EACCES"].includes(error.code)) return false;
    throw error;
  }
}

/** Removes the lock of a dead owner. A second folder makes sure that only one process judges at a time. */
function breakIfStale(path) {
  if (!isStale(path)) return false;
  const guard = `${path}.breaking`;
  try {
    mkdirSync(guard);
  } catch (error) {
    if (error.code !== "EEXIST") throw error;
    if ((silenceOf(guard) ?? 0) > BREAKING_MS) rmSync(guard, { recursive: true, force: true });
    return false;
  }
  try {
    if (isStale(path)) rmSync(path, { recursive: true, force: true });
    return true;
  } finally {
    rmdirSync(guard);
  }
}

function isStale(path) {
  const silence = silenceOf(path);
  if (silence === undefined) return false;
  const owner = pidIn(path, "pid");
  const dead = (owner === process.pid || !isRunning(owner)) && !isRunning(pidIn(path, "worker"));
  return silence > (dead ? DEAD_AFTER_MS : SILENT_AFTER_MS);
}

function pidIn(path, file) {
  try {
    return Number(readFileSync(join(path, file), "utf8")) || undefined;
  } catch {
    return undefined; // Gone between two looks, which the caller's next look will see.
  }
}

function silenceOf(path) {
  try {
    return Date.now() - statSync(path).mtimeMs;
  } catch {
    return undefined;
  }
}

function isRunning(pid) {
  if (pid === undefined) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === "EPERM";
  }
}

function touch(path) {
  try {
    const now = new Date();
    utimesSync(path, now, now);
  } catch {
    // Somebody removed the folder by hand; the work itself goes on.
  }
}
