import { isAimoError } from "@aimo/protocol/errors";
import { AimoError } from "@aimo/sdk";
import { type Command, UsageError } from "./command.ts";
import type { CliContext } from "./context.ts";
import { commandHelp, overview } from "./help.ts";
import { parseCommandLine } from "./parse.ts";

/** Runs one command line and returns its exit code. Prints; throws nothing. */
export async function runCli(
  argv: readonly string[],
  commands: readonly Command[],
  context: CliContext,
): Promise<number> {
  // Known before the command line is understood, so that its errors are in the same form.
  const json = argv.includes("--json");
  try {
    const parsed = parseCommandLine(argv, commands);
    if (parsed.kind === "help") {
      context.write(`${parsed.command ? commandHelp(parsed.command) : overview(commands, parsed.group)}\n`);
      return 0;
    }
    const result = await parsed.command.run(parsed.input, context);
    const text = parsed.json ? toJson(result.json) : result.text;
    if (text !== "") context.write(`${text}\n`);
    return result.exitCode ?? 0;
  } catch (error) {
    return report(error, json, context);
  }
}

/** JSON with big integers as decimal strings, as everywhere. */
export function toJson(value: unknown): string {
  return JSON.stringify(value, (_key, each: unknown) => (typeof each === "bigint" ? each.toString() : each));
}

function report(error: unknown, json: boolean, context: CliContext): number {
  if (error instanceof UsageError) {
    if (json) context.write(`${toJson({ error: { code: "usage", message: error.message } })}\n`);
    context.note(`usage: ${error.message}\nSee aimo --help.`);
    return 2;
  }
  if (isAimoError(error) || error instanceof AimoError) {
    const { code, message, hint } = error;
    if (json) context.write(`${toJson({ error: { code, message, hint } })}\n`);
    context.note(`${code}: ${message}${hint ? `\n${hint}` : ""}`);
    return 1;
  }
  if (json) context.write(`${toJson({ error: { code: "internal_error", message: String(error) } })}\n`);
  context.note(error instanceof Error ? (error.stack ?? error.message) : String(error));
  return 1;
}
