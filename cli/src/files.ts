import { mkdir, readFile, rename, stat, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { AimoError } from "@aimo/protocol/errors";

/** The text of a file; undefined when there is none. Throws `config_invalid` when it cannot be read. */
export async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, "utf8");
  } catch (cause) {
    const code = cause instanceof Error && "code" in cause ? cause.code : undefined;
    if (code === "ENOENT" || code === "ENOTDIR") return undefined;
    throw new AimoError("config_invalid", { message: `The file ${path} cannot be read.`, cause });
  }
}

/** The JSON of a file; undefined when there is none. Throws `config_invalid`. */
export async function readJsonIfThere(path: string): Promise<unknown> {
  const text = await readIfThere(path);
  if (text === undefined) return undefined;
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new AimoError("config_invalid", { message: `The file ${path} is not JSON.`, cause });
  }
}

/** Writes a file that its owner alone can read, whole or not at all. */
export async function writePrivate(path: string, text: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  const draft = `${path}.${process.pid}.tmp`;
  await writeFile(draft, text, { mode: 0o600 });
  await rename(draft, path);
}

/** Throws `config_invalid` when others on this machine can read a file that holds secrets. */
export async function refuseReadableByOthers(path: string): Promise<void> {
  if (process.platform === "win32") return;
  const { mode } = await stat(path);
  if ((mode & 0o077) !== 0)
    throw new AimoError("config_invalid", {
      message: `Others on this machine can read ${path}, which holds API keys. Run: chmod 600 ${path}`,
    });
}
