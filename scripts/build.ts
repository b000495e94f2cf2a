/**
 * `npm run build`: makes the published packages as plain JavaScript in `sdk/typescript/dist` and `cli/dist`, each with
 * a package.json of its own, ready for `npm pack ./sdk/typescript/dist ./cli/dist` (and `npm publish` of the same
 * folders). The workspaces themselves are TypeScript sources with private dependencies: they are not published.
 * The contracts are compiled before, by the bootstrap that every script goes through.
 */
import { cpSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { bundle } from "./build/bundle.ts";
import { type Manifest, publishedManifest, readManifest } from "./build/manifest.ts";
import { writeTypes } from "./build/types.ts";
import { readOptions } from "./project/options.ts";

const HELP = `Usage: npm run build [-- --help]

Makes the published packages as plain JavaScript in sdk/typescript/dist and cli/dist, ready for npm pack.

Options:
  --help   this text`;

const root = fileURLToPath(new URL("../", import.meta.url));

function startDist(workspace: string): string {
  const dist = `${root}${workspace}/dist`;
  rmSync(dist, { recursive: true, force: true });
  mkdirSync(dist);
  cpSync(`${root}LICENSE`, `${dist}/LICENSE`);
  cpSync(`${root}${workspace}/README.md`, `${dist}/README.md`);
  return dist;
}

function finish(dist: string, manifest: Manifest): void {
  writeFileSync(`${dist}/package.json`, `${JSON.stringify(manifest, null, 2)}\n`);
  console.log(`built ${manifest.name}@${manifest.version} in ${dist.slice(root.length)}`);
}

async function buildSdk(): Promise<void> {
  const workspace = "sdk/typescript";
  const dist = startDist(workspace);
  const packages = await bundle({ root, entry: `${workspace}/src/index.ts`, dist, target: "node20" });
  writeTypes({ root, entry: `${workspace}/src/index.ts`, dist });
  const manifest = publishedManifest(readManifest(`${root}${workspace}`), { root, packages, range: "^" });
  finish(dist, {
    ...manifest,
    engines: { node: ">=20" },
    sideEffects: false,
    exports: { ".": { types: "./types/index.d.ts", default: "./index.js" } },
  });
}

async function buildCli(): Promise<void> {
  const dist = startDist("cli");
  // Where the relay looks for what its processes and threads run: `programOf` in relay/src/processes.ts.
  const programs = {
    "relay-worker": "relay/src/worker.ts",
    "relay-token-counting": "relay/src/token-counting.ts",
  };
  const packages = await bundle({ root, entry: "cli/src/main.ts", programs, dist, target: "node24" });
  // Exact versions: a relay or a provider runs on what was tested.
  const manifest = publishedManifest(readManifest(`${root}cli`), { root, packages, range: "" });
  finish(dist, { ...manifest, engines: { node: ">=24" }, bin: { aimo: "main.js" } });
}

readOptions(HELP, {});
await buildSdk();
await buildCli();
