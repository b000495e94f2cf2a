#!/usr/bin/env node
/**
 * `aimo` in a clone: `node cli/bin/aimo.mjs <command>`. It readies the clone first, so it works right after
 * `git clone` under any Node from 18 up. The published package has its own, bundled entry.
 */
import { basename, relative } from "node:path";
import { argv, env } from "node:process";
import { bootstrap } from "../../scripts/bootstrap.mjs";

// A link of that name is called by it; anything else is run as it was here.
const path = argv[1] ?? "";
const shown = relative("", path);
env.AIMO_PROGRAM ??=
  basename(path) === "aimo" ? "aimo" : `node ${shown.includes(" ") ? JSON.stringify(shown) : shown}`;
await bootstrap(["cli/src/main.ts", ...argv.slice(2)]);
