import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { setTimeout as wait } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { type Child, startCommand } from "./child.ts";

/** Portkey's gateway, for comparison: installed next to the bench in a folder that git ignores, never a dependency. */

const PACKAGE = "@portkey-ai/gateway";
const VERSION = "1.15.2";
const FOLDER = fileURLToPath(new URL("../.portkey/", import.meta.url));
const SERVER = `${FOLDER}node_modules/${PACKAGE}/build/start-server.js`;
const POLL_MS = 100;

/** Starts it, after installing it where it is missing. Throws when either fails. */
export async function startPortkey(core: number): Promise<Child> {
  if (!existsSync(SERVER)) await install();
  const port = await freePort();
  return startCommand([process.execPath, SERVER, `--port=${port}`, "--headless"], {
    core,
    // by itself it calls no address of this machine
    env: { TRUSTED_CUSTOM_HOSTS: "127.0.0.1" },
    // it says on the screen that it fails, once for each request
    quiet: true,
    ready: async () => {
      while (!(await answers(port))) await wait(POLL_MS);
      return { port };
    },
  });
}

/** The headers with which it passes requests on to a server of OpenAI's kind. */
export const portkeyHeaders = (upstream: number): Readonly<Record<string, string>> => ({
  "x-portkey-provider": "openai",
  "x-portkey-custom-host": `http://127.0.0.1:${upstream}/v1`,
});

async function install(): Promise<void> {
  await mkdir(FOLDER, { recursive: true });
  // without one of its own, npm would install into the folder above
  await writeFile(`${FOLDER}package.json`, '{ "private": true }\n');
  const { status, stderr } = spawnSync(
    "npm",
    ["install", `${PACKAGE}@${VERSION}`, "--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock"],
    { cwd: FOLDER, encoding: "utf8" },
  );
  if (status !== 0) throw new Error(`${PACKAGE}@${VERSION} could not be installed: ${stderr.slice(-500)}`);
}

/** It cannot tell which port it took, so it is told one that is free now. */
async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === "string") throw new Error("No port is free.");
  return address.port;
}

async function answers(port: number): Promise<boolean> {
  try {
    await fetch(`http://127.0.0.1:${port}/`);
    return true;
  } catch {
    // not listening yet
    return false;
  }
}
