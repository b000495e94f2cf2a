#!/usr/bin/env node
/**
 * `aimo` in a clone: `node cli/bin/aimo.mjs <command>`. It readies the clone first, so it works right after
 * `git clone` under any Node from 18 up. The published package has its own, bundled entry.
 */
import { bootstrap } from "../../scripts/bootstrap.mjs";

await bootstrap(["cli/src/main.ts", ...process.argv.slice(2)]);
