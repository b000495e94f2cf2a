import { COMMON_OPTIONS, type Command, type OptionSpec } from "./command.ts";

/** The help of one command. */
export function commandHelp(command: Command): string {
  const parts = [`Usage: ${usageOf(command)}`, "", `${command.summary}.`];
  if (command.description) parts.push("", command.description);
  if (command.arguments?.length)
    parts.push("", "Arguments:", columns(command.arguments.map(({ name, summary }) => [name, summary])));
  parts.push("", "Options:", columns(optionRows(command)));
  if (command.examples?.length) parts.push("", "Examples:", ...command.examples.map((line) => `  ${line}`));
  return parts.join("\n");
}

/** The list of commands, all or those of a group such as `keys`. */
export function overview(commands: readonly Command[], group = ""): string {
  const shown = group === "" ? commands : commands.filter(({ name }) => name.startsWith(`${group} `));
  return [
    `Usage: aimo ${group === "" ? "<command>" : `${group} <command>`} [options]`,
    "",
    "Commands:",
    columns(shown.map((command) => [[command.name, ...argumentNames(command)].join(" "), command.summary])),
    "",
    "Every command knows --help and --json; `aimo --version` tells the version.",
    "",
    "Settings come from options, the environment, .env, and then from the network in this folder",
    "(.aimo/local/network.json, or that of --data). The relay, where no option and no variable names one: the",
    "network's first, else that of the last login. The key, where no variable has one: that of a login at the",
    "relay (`aimo auth login`), which goes before the key of the network's user.",
  ].join("\n");
}

/** `docs/reference/cli.md`. */
export function referencePage(commands: readonly Command[]): string {
  const sections = commands.flatMap((command) => [
    `## aimo ${command.name}`,
    "",
    `${command.summary}.`,
    "",
    ...(command.description ? [command.description, ""] : []),
    "```",
    usageOf(command),
    "```",
    "",
    ...table(
      ["Argument", "Meaning"],
      (command.arguments ?? []).map(({ name, summary }) => [name, summary]),
    ),
    ...table(["Option", "Meaning"], optionRows(command, false)),
    ...(command.examples?.length ? ["```bash", ...command.examples, "```", ""] : []),
  ]);
  return [
    "<!-- Generated from cli/src/commands by `npm run docs`. -->",
    "# Command line",
    "",
    "In a clone: `node cli/bin/aimo.mjs <command>`. Every command also knows `--help` and `--json`.",
    "With `--json`, amounts are named with their unit (`availablePusd`: 10⁻¹² USD, a decimal string), and what the relay's",
    "own interface gives is passed on under `data` as it is, except for balances.",
    "Exit codes: 0 done, 1 an error or a bill that does not hold, 2 a command line that cannot be understood.",
    "",
    ...sections,
  ].join("\n");
}

function usageOf(command: Command): string {
  return ["aimo", command.name, ...argumentNames(command), "[options]"].join(" ");
}

function argumentNames({ arguments: specs = [] }: Command): string[] {
  return specs.map(({ name, optional }) => (optional ? `[${name}]` : name));
}

function optionRows(command: Command, withCommon = true): [string, string][] {
  const options: Record<string, OptionSpec> = { ...command.options, ...(withCommon ? COMMON_OPTIONS : {}) };
  return Object.entries(options).map(([name, { summary, value, default: fallback, type }]) => {
    const isOn = type === "boolean" && fallback === true;
    const shown =
      fallback === undefined || type === "boolean" ? summary : `${summary} (default: ${fallback})`;
    return [`--${isOn ? "no-" : ""}${name}${value ? ` ${value}` : ""}`, shown];
  });
}

function columns(rows: readonly (readonly [string, string])[]): string {
  const width = Math.max(...rows.map(([left]) => left.length));
  return rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}`).join("\n");
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  if (rows.length === 0) return [];
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
  return [
    line(head),
    line(head.map(() => "---")),
    ...rows.map(([left = "", right = ""]) => line([`\`${left}\``, right])),
    "",
  ];
}
