import { AimoError } from "./errors.ts";
import type { SessionOptions } from "./payment/session.ts";
import type { Recorder } from "./records.ts";

export type AimoClientOptions = {
  /** API key (`aimo-sk-…`) or session token. Default: AIMO_API_KEY. */
  readonly apiKey?: string | undefined;
  /** A relay's address with `/v1`. Default: AIMO_BASE_URL, else `https://api.aimo.network/v1`. */
  readonly baseURL?: string | undefined;
  /** Replaces the runtime's fetch: a proxy, a test. */
  readonly fetch?: typeof fetch | undefined;
  /** Until an answer is complete; for streams until the first byte and between two chunks. Default: 10 minutes. */
  readonly timeoutMs?: number | undefined;
  /** Retries of what can be repeated safely; never after the first byte of a stream. Default: 2. */
  readonly maxRetries?: number | undefined;
  readonly defaultHeaders?: Readonly<Record<string, string>> | undefined;
  /**
   * Where to keep what proves a bill: a file (JSON lines, appended) or a function. With records, `verifyBill` names a
   * receipt that a relay dropped or changed by its id.
   */
  readonly records?: string | Recorder | undefined;
  /** Pays out of a SIGNED channel: signs a voucher for each request, for no more than what is in flight. */
  readonly session?: SessionOptions | undefined;
};

export type ClientConfig = {
  readonly apiKey: string | undefined;
  readonly baseURL: string;
  readonly fetch: typeof fetch;
  readonly timeoutMs: number;
  readonly maxRetries: number;
  readonly defaultHeaders: Readonly<Record<string, string>>;
};

const DEFAULT_BASE_URL = "https://api.aimo.network/v1";
const DEFAULT_TIMEOUT_MS = 600_000;
const DEFAULT_RETRIES = 2;

/** Options over environment over defaults. Throws `config_invalid`. */
export function readConfig(options: AimoClientOptions): ClientConfig {
  return {
    apiKey: options.apiKey ?? fromEnvironment("AIMO_API_KEY"),
    baseURL: checkUrl(options.baseURL ?? fromEnvironment("AIMO_BASE_URL") ?? DEFAULT_BASE_URL),
    // Looked up at each call, so that a replaced global fetch is the one used.
    fetch: options.fetch ?? ((input, init) => fetch(input, init)),
    timeoutMs: checkNumber("timeoutMs", options.timeoutMs ?? DEFAULT_TIMEOUT_MS, 1),
    maxRetries: checkNumber("maxRetries", options.maxRetries ?? DEFAULT_RETRIES, 0),
    defaultHeaders: options.defaultHeaders ?? {},
  };
}

/** An empty variable counts as unset, as in a copied `.env`. Runtimes without `process` have no environment. */
function fromEnvironment(name: string): string | undefined {
  const value = typeof process === "undefined" ? undefined : process.env[name]?.trim();
  return value === "" ? undefined : value;
}

function checkUrl(text: string): string {
  if (!URL.canParse(text) || !/^https?:$/.test(new URL(text).protocol))
    throw new AimoError("config_invalid", {
      message: `baseURL is "${text}", not an http(s) URL such as ${DEFAULT_BASE_URL}.`,
      param: "baseURL",
    });
  return text.replace(/\/+$/, "");
}

function checkNumber(name: string, value: number, least: number): number {
  if (!Number.isInteger(value) || value < least)
    throw new AimoError("config_invalid", {
      message: `${name} is ${value}, not a whole number of at least ${least}.`,
      param: name,
    });
  return value;
}
