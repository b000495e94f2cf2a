import { isAimoError } from "@aimo/protocol/errors";
import { AimoError } from "@aimo/sdk";
import { type Command, UsageError } from "./command.ts";
import type { CliContext } from "./context.ts";
import { commandHelp, overview } from "./help.ts";
import { parseCommandLine } from "./parse.ts";
import { invokedAs, VERSION } from "./program.ts";

/** Runs one command line and returns its exit code. Prints; throws nothing. */
export async function runCli(
  argv: readonly string[],
  commands: readonly Command[],
  context: CliContext,
): Promise<number> {
  // Known before the command line is understood, so that its errors are in the same form.
  const json = argv.includes("--json");
  const say = invokedAs(context.program, commands);
  // Not a copy: what is read of a context may have effects.
  const told: CliContext = Object.create(context, {
    note: { value: (line: string) => context.note(say(line)) },
  });
  try {
    const parsed = parseCommandLine(argv, commands);
    if (parsed.kind === "version") {
      context.write(`${json ? toJson({ version: VERSION }) : VERSION}\n`);
      return 0;
    }
    if (parsed.kind === "help") {
      const page = parsed.command ? commandHelp(parsed.command) : overview(commands, parsed.group);
      context.write(`${say(page)}\n`);
      return 0;
    }
    const result = await parsed.command.run(parsed.input, told);
    const text = parsed.json ? toJson(result.json) : result.isVerbatim ? result.text : say(result.text);
    if (text !== "") context.write(`${text}\n`);
    return result.exitCode ?? 0;
  } catch (error) {
    return report(error, { json, say }, context);
  }
}

/** JSON with big integers as decimal strings, as everywhere. */
export function toJson(value: unknown): string {
  return JSON.stringify(value, (_key, each: unknown) => (typeof each === "bigint" ? each.toString() : each));
}

type Form = { readonly json: boolean; readonly say: (text: string) => string };

function report(error: unknown, { json, say }: Form, context: CliContext): number {
  const write = (fields: object) => {
    if (json) context.write(`${toJson({ error: fields })}\n`);
  };
  if (error instanceof UsageError) {
    const message = say(error.message);
    write({ code: "usage", message });
    context.note(say(`usage: ${message}\nSee aimo --help.`));
    return 2;
  }
  if (isAimoError(error) || error instanceof AimoError) {
    const { code } = error;
    const message = say(error.message);
    const hint = error.hint === undefined ? undefined : say(error.hint);
    write({ code, message, hint });
    context.note(`${code}: ${message}${hint ? `\n${hint}` : ""}`);
    return 1;
  }
  write({ code: "internal_error", message: String(error) });
  context.note(error instanceof Error ? (error.stack ?? error.message) : String(error));
  return 1;
}
