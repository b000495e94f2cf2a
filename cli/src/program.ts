import type { Command } from "./command.ts";

/** Of this package; a test compares it with package.json, which is elsewhere in the bundle. */
export const VERSION = "0.1.0";

/**
 * Texts name commands as `aimo …`. In a clone there is no such program: this writes them as it was invoked, so that what
 * is advised can be copied. Other words after `aimo` are left alone.
 */
export function invokedAs(program: string, commands: readonly Command[]): (text: string) => string {
  if (program === "aimo") return (text) => text;
  const words = [...new Set(commands.map(({ name }) => name.split(" ")[0]))].join("|");
  const name = new RegExp(
    `(?<![\\w./-])aimo(?=\\s(?:${words}|help|<command>|--(?:help|version))(?![\\w-]))`,
    "g",
  );
  return (text) => text.replaceAll(name, () => program);
}
