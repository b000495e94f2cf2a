import { once } from "node:events";
import { mkdir, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { join } from "node:path";
import { AimoError } from "@aimo/protocol/errors";

/** What a local network leaves in its folder: whose it is, and where its chain was. */
const MARK = "local-network.json";

type Mark = { readonly pid: number; readonly rpcUrl: string };

/**
 * Empties a folder for a new local network: every start has a new chain, and what belongs to an old one is worthless.
 * Only a folder that a local network made is emptied. Throws `config_invalid` when something else is in it, and
 * `data_in_use` while another network runs in it.
 */
export async function claimFolder(folder: string, rpcUrl: string): Promise<void> {
  await requireOwn(folder);
  await requireIdle(folder, rpcUrl);
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const mark: Mark = { pid: process.pid, rpcUrl };
  await writeFile(join(folder, MARK), `${JSON.stringify(mark)}\n`, { mode: 0o600 });
}

async function requireOwn(folder: string): Promise<void> {
  const found = await stat(folder).catch(() => undefined);
  if (!found) return;
  const names = found.isDirectory() ? await readdir(folder) : undefined;
  if (names && (names.length === 0 || names.includes(MARK))) return;
  throw new AimoError("config_invalid", {
    message:
      `${folder} ${names ? "holds files that no local network made" : "is a file"}. A local network empties its folder ` +
      "when it starts, so name a new one or an empty one with --data.",
    details: { folder },
  });
}

async function requireIdle(folder: string, own: string): Promise<void> {
  const mark = await readMark(folder);
  if (!mark || mark.rpcUrl === own || !isRunning(mark.pid) || !(await answers(mark.rpcUrl))) return;
  throw new AimoError("data_in_use", {
    message: `A local network runs in ${folder} (process ${mark.pid}, chain at ${mark.rpcUrl}). Stop it, or name another folder with --data.`,
    details: { folder },
  });
}

async function readMark(folder: string): Promise<Mark | undefined> {
  try {
    return JSON.parse(await readFile(join(folder, MARK), "utf8")) as Mark;
  } catch {
    return undefined;
  }
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

/** A process id may be another's by now; its chain's port tells. */
async function answers(url: string): Promise<boolean> {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  try {
    await once(socket, "connect");
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}
