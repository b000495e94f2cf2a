import { processContext } from "@aimo/cli/config";
import { runDeploy } from "./deploy/command.ts";

process.exitCode = await runDeploy(process.argv.slice(2), {
  write: (text) => console.log(text),
  note: (line) => console.error(line),
  askSecret: processContext().askSecret,
});
