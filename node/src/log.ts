import { type DestinationStream, type Logger, pino } from "pino";

/** The log of a node and of its rooms. Objects first, then a short past-tense sentence. */
export type Log = Logger;

export const LOG_LEVELS = ["trace", "debug", "info", "warn", "error", "fatal", "silent"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** Names that never reach a log, whatever the caller passes: keys, and what users and models say. */
const SECRETS = [
  "authorization",
  "x-api-key",
  "apiKey",
  "cookie",
  "key",
  "mnemonic",
  "password",
  "privateKey",
  "secret",
  "sessionKey",
  "body",
  "completion",
  "content",
  "input",
  "messages",
  "prompt",
] as const;

/** Redaction reaches this deep: an object, what it holds, and what that holds. Deeper objects do not belong in a log. */
const DEPTHS = ["", "*.", "*.*."] as const;

export type LogOptions = {
  readonly level: LogLevel;
  /** Which node speaks, e.g. `relay-1`. */
  readonly name?: string;
  /** Where lines go; standard output when absent. */
  readonly destination?: DestinationStream;
};

/** A log of JSON lines in which secrets, prompts and completions stand as `[redacted]`. */
export function createLog({ level, name, destination }: LogOptions): Log {
  const paths = DEPTHS.flatMap((depth) => [
    ...SECRETS.map((secret) => pathOf(depth, secret)),
    `${depth}headers["aimo-mac"]`,
    `${depth}headers["set-cookie"]`,
  ]);
  const options = {
    level,
    ...(name ? { name } : {}),
    redact: { paths, censor: "[redacted]" },
    timestamp: pino.stdTimeFunctions.isoTime,
  };
  return destination ? pino(options, destination) : pino(options);
}

/** A name with a hyphen stands in brackets, without the dot in front. */
const pathOf = (depth: string, name: string): string =>
  name.includes("-") ? `${depth.slice(0, -1)}["${name}"]` : depth + name;

/** A log that says nothing, for tests and for tools that print their own lines. */
export function silentLog(): Log {
  return createLog({ level: "silent" });
}
