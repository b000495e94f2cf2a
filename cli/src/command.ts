import type { CliContext } from "./context.ts";

export type OptionSpec = {
  readonly type: "string" | "boolean";
  readonly summary: string;
  /** What stands for the value in the help, e.g. `FILE`. */
  readonly value?: string;
  readonly default?: string | boolean;
};
export type ArgumentSpec = { readonly name: string; readonly summary: string; readonly optional?: boolean };

/** What a command was given, read by the names of its specification. */
export type CommandInput = {
  /** The argument, or undefined when an optional one was left out. */
  argument(name: string): string | undefined;
  text(option: string): string | undefined;
  flag(option: string): boolean;
};

/** What a command has to say: one of both is printed. */
export type CommandResult = {
  readonly text: string;
  readonly json: unknown;
  /** The text is not ours, and is printed as it is. */
  readonly isVerbatim?: true;
  /** 0 unless the command found something wrong. */
  readonly exitCode?: number;
};

/** A command is data: help, completion of arguments and the reference page come from it. */
export type Command = {
  /** Words after `aimo`, e.g. `keys create`. */
  readonly name: string;
  readonly summary: string;
  /** More than the summary, for the help and the reference. */
  readonly description?: string;
  readonly arguments?: readonly ArgumentSpec[];
  readonly options?: Readonly<Record<string, OptionSpec>>;
  readonly examples?: readonly string[];
  run(input: CommandInput, context: CliContext): Promise<CommandResult>;
};

/** A command line that cannot be understood: printed with a pointer to the help, exit code 2. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** Options that every command has. */
export const COMMON_OPTIONS = {
  json: { type: "boolean", summary: "print JSON, for programs" },
  help: { type: "boolean", summary: "print this help" },
} as const satisfies Record<string, OptionSpec>;

/** Where a local network wrote down what it is: relays, chain, contracts and a user. */
const NETWORK_OPTIONS = {
  data: {
    type: "string",
    value: "DIR",
    summary: "folder of a local network, which then goes before the environment (default: .aimo/local)",
  },
} as const satisfies Record<string, OptionSpec>;

export const RELAY_OPTIONS = {
  ...NETWORK_OPTIONS,
  "base-url": { type: "string", value: "URL", summary: "the relay, with /v1 (default: AIMO_BASE_URL)" },
} as const satisfies Record<string, OptionSpec>;

export const CHAIN_OPTIONS = {
  ...NETWORK_OPTIONS,
  "rpc-url": { type: "string", value: "URL", summary: "the chain's RPC endpoint (default: AIMO_RPC_URL)" },
  deployment: {
    type: "string",
    value: "FILE",
    summary: "file with the contracts' addresses (default: AIMO_DEPLOYMENT)",
  },
} as const satisfies Record<string, OptionSpec>;

export const WALLET_OPTIONS = {
  wallet: {
    type: "string",
    value: "FILE",
    summary: "key file or keystore of the wallet (default: AIMO_WALLET)",
  },
  "password-file": {
    type: "string",
    value: "FILE",
    summary: "file with the keystore's password (default: ask)",
  },
} as const satisfies Record<string, OptionSpec>;
