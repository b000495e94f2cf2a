import { type ParseArgsConfig, parseArgs } from "node:util";

type Options = NonNullable<ParseArgsConfig["options"]>;
type Read<options extends Options, positionals extends boolean> = ReturnType<
  typeof parseArgs<{ options: options; allowPositionals: positionals; args: string[] }>
>;

/**
 * The options of a script, out of its command line. Every script knows --help, which prints `help` and ends the process;
 * what cannot be understood ends it with one sentence and exit code 2.
 */
export function readOptions<const options extends Options, positionals extends boolean = false>(
  help: string,
  options: options,
  { allowPositionals = false as positionals }: { readonly allowPositionals?: positionals } = {},
): Read<options, positionals> {
  const args = process.argv.slice(2);
  if (args.includes("--help") || args.includes("-h")) {
    console.log(help);
    process.exit(0);
  }
  try {
    return parseArgs({ options, allowPositionals, args });
  } catch (error) {
    if (!isMisread(error)) throw error;
    endWithUsage(error.message.split(". To specify")[0] ?? error.message);
  }
}

/** Ends the process over a command line that makes no sense. */
export function endWithUsage(sentence: string): never {
  console.error(`${sentence.replace(/\.?$/, ".")} --help lists the options.`);
  process.exit(2);
}

const isMisread = (error: unknown): error is TypeError & { readonly code: string } =>
  error instanceof TypeError && "code" in error && String(error.code).startsWith("ERR_PARSE_ARGS_");
