#!/usr/bin/env node
import { COMMANDS } from "./commands.ts";
import { processContext } from "./config.ts";
import { runCli } from "./run.ts";

// Not process.exit: what is written to a pipe must get out first.
process.exitCode = await runCli(process.argv.slice(2), COMMANDS, processContext());
