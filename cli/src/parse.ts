import { parseArgs } from "node:util";
import { COMMON_OPTIONS, type Command, type CommandInput, type OptionSpec, UsageError } from "./command.ts";

export type Parsed =
  | { readonly kind: "version" }
  | { readonly kind: "help"; readonly command: Command | undefined; readonly group: string }
  | { readonly kind: "run"; readonly command: Command; readonly input: CommandInput; readonly json: boolean };

/** Finds the command in a command line and reads its arguments and options. Throws a UsageError. */
export function parseCommandLine(argv: readonly string[], commands: readonly Command[]): Parsed {
  const words = leadingWords(argv);
  const command = commands
    .filter(({ name }) => name.split(" ").every((word, index) => words[index] === word))
    .sort((a, b) => b.name.length - a.name.length)[0];
  if (!command) return noCommand(argv, words, commands);
  const rest = argv.slice(command.name.split(" ").length);
  const { values, positionals } = readValues(rest, { ...COMMON_OPTIONS, ...command.options });
  if (values["help"] === true) return { kind: "help", command, group: "" };
  const input = inputOf(command, values, positionals);
  return { kind: "run", command, input, json: values["json"] === true };
}

function leadingWords(argv: readonly string[]): readonly string[] {
  const end = argv.findIndex((word) => word.startsWith("-"));
  return end < 0 ? argv : argv.slice(0, end);
}

function noCommand(argv: readonly string[], words: readonly string[], commands: readonly Command[]): Parsed {
  const isGroup = (group: string) => commands.some(({ name }) => name.startsWith(`${group} `));
  const [first = ""] = words;
  if (first === "help") {
    const name = words.slice(1).join(" ");
    const command = commands.find((each) => each.name === name);
    if (command || name === "" || isGroup(name)) return { kind: "help", command, group: name };
  }
  if (words.length === 0 && argv.includes("--version")) return { kind: "version" };
  const asksHelp = argv.length === 0 || argv.includes("--help") || argv.includes("-h");
  if (asksHelp && words.length === 0) return { kind: "help", command: undefined, group: "" };
  const group = words.join(" ");
  if (isGroup(group)) return { kind: "help", command: undefined, group };
  throw new UsageError(`There is no command "${words.join(" ") || argv.join(" ")}".`);
}

type Values = Readonly<Record<string, string | boolean | undefined>>;

function readValues(argv: readonly string[], options: Readonly<Record<string, OptionSpec>>) {
  const end = argv.indexOf("--");
  const negative = (end < 0 ? argv : argv.slice(0, end)).find((word) => /^-[\d.]+$/.test(word));
  if (negative !== undefined)
    throw new UsageError(`"${negative}" is negative: no amount and no number here is.`);
  const config = Object.fromEntries(
    Object.entries(options).map(([name, { type }]) => [
      name,
      { type, ...(name === "help" ? { short: "h" } : {}) },
    ]),
  );
  try {
    const { values, positionals } = parseArgs({
      args: [...argv],
      options: config,
      allowPositionals: true,
      allowNegative: true,
      strict: true,
    });
    const defaults = Object.entries(options).map(([name, spec]) => [name, spec.default]);
    return { values: { ...Object.fromEntries(defaults), ...values } as Values, positionals };
  } catch (error) {
    if (error instanceof TypeError)
      throw new UsageError(error.message.split(". To specify")[0]?.trim() ?? "");
    throw error;
  }
}

function inputOf(command: Command, values: Values, positionals: readonly string[]): CommandInput {
  const specs = command.arguments ?? [];
  const missing = specs.find(({ optional }, index) => !optional && positionals[index] === undefined);
  if (missing) throw new UsageError(`${missing.name} is missing: ${missing.summary}.`);
  const extra = positionals[specs.length];
  if (extra !== undefined) throw new UsageError(`"${extra}" is one argument too many.`);
  return {
    argument(name) {
      return positionals[specs.findIndex((spec) => spec.name === name)];
    },
    text(option) {
      const value = values[option];
      return typeof value === "string" && value !== "" ? value : undefined;
    },
    flag: (option) => values[option] === true,
  };
}
