import { readFile } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { MAX_ANNOUNCED_MODELS, ROUTES } from "@aimo/protocol/announcement";
import { AimoError } from "@aimo/protocol/errors";
import { MAX_U64, type Prices } from "@aimo/protocol/units";
import { parse } from "smol-toml";
import { readClaims, readPolicy } from "./claims.ts";
import { TableReader } from "./config-reader.ts";
import type { Claims, Model, Route } from "./core/types.ts";
import { VENDORS, type Vendor, type VendorName } from "./core/vendors.ts";

/** An inference server. `demo`: the built-in one, started with the node. Times in milliseconds. */
export type UpstreamConfig = {
  readonly name: string;
  readonly kind: "openai" | "demo";
  readonly vendor: VendorName;
  /** Whether counts come inside streams, and how they are meant; as the vendor does when absent. */
  readonly continuousUsage: Vendor["continuousUsage"] | undefined;
  /** Absent for `demo`. */
  readonly baseUrl: string | undefined;
  readonly apiKey: string | undefined;
  readonly connectTimeoutMs: number;
  readonly firstByteTimeoutMs: number;
  readonly stallTimeoutMs: number;
};

/** All that a provider node needs to know. Money in pUSD. */
export type ProviderConfig = {
  readonly keyFile: string;
  /** File that holds the password of an encrypted key file. */
  readonly keyPasswordFile: string | undefined;
  /** Only for `syncPrices`; the node holds no owner key otherwise. */
  readonly ownerKeyFile: string | undefined;
  readonly ownerKeyPasswordFile: string | undefined;
  /** Registers models and sets prices at start where the chain differs. Needs `ownerKeyFile`. */
  readonly syncPrices: boolean;
  readonly rpcUrl: string;
  readonly deploymentFile: string;
  readonly dataFolder: string;
  readonly host: string;
  readonly port: number;
  /** Where relays reach this node; its own address when absent. */
  readonly endpoint: string | undefined;
  readonly region: string;
  /** How prompts are treated, for models that do not say otherwise. */
  readonly policy: Claims;
  /** What a relay may leave unpaid above its reserve. */
  readonly creditLimit: bigint;
  /** Seconds of protocol time after which a voucher that its relay leaves unpaid is redeemed; 0: half the posting window. */
  readonly redeemAfterSeconds: number;
  /** Debts below this are not worth a transaction. */
  readonly redeemLeast: bigint;
  /** Where each relay's newest voucher lies as a JSON file. */
  readonly voucherFolder: string;
  readonly maxConcurrency: number;
  readonly maxBodyBytes: number;
  readonly p2pListen: readonly string[];
  readonly p2pBootstrap: readonly string[];
  readonly models: readonly Model[];
  readonly upstreams: readonly UpstreamConfig[];
};

type Environment = Readonly<Record<string, string | undefined>>;

/** Reads a TOML file; relative paths are relative to it. Throws `config_invalid` with the setting at fault. */
export async function loadConfig(path: string): Promise<ProviderConfig> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (cause) {
    throw new AimoError("config_invalid", { message: `The configuration ${path} cannot be read.`, cause });
  }
  return parseConfig(text, { folder: dirname(resolve(path)), environment: process.env });
}

export type ParseConfigOptions = {
  /** Relative paths start here. */
  readonly folder: string;
  /** Where secrets named in the configuration stand. */
  readonly environment: Environment;
};

/** The configuration in a TOML text. Throws `config_invalid` with the setting at fault. */
export function parseConfig(text: string, options: ParseConfigOptions): ProviderConfig {
  let toml: unknown;
  try {
    toml = parse(text);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message.split("\n")[0] : "";
    throw new AimoError("config_invalid", {
      message: `The configuration is not valid TOML: ${reason}`,
      cause,
    });
  }
  const root = new TableReader(toml, "");
  const provider = readProvider(root.table("provider"), options);
  const upstreams = root
    .tables("upstreams", MAX_UPSTREAMS)
    .map((one) => readUpstream(one, options.environment));
  const names = new Set(upstreams.map(({ name }) => name));
  if (names.size < upstreams.length) throw root.fault("upstreams", "has two entries of the same name");
  const context = { upstreams: names, policy: provider.policy };
  const models = root.tables("models", MAX_ANNOUNCED_MODELS).map((one) => readModel(one, context));
  if (new Set(models.map(({ slug }) => slug)).size < models.length)
    throw root.fault("models", "has two entries of the same id");
  root.end();
  return { ...provider, upstreams, models };
}

const MAX_UPSTREAMS = 64;
/** Relays accept recordings up to 26 MiB; the margin is for one that accepts a little more. */
const DEFAULT_MAX_BODY_BYTES = 27 * 1024 * 1024;
const MAX_BODY_BYTES = 64 * 1024 * 1024;
const MAX_TIMEOUT_SECONDS = 3_600;
/** A replaced signer's vouchers can be redeemed for 60 h. */
const MAX_REDEEM_SECONDS = 48 * 3_600;

function readProvider(
  table: TableReader,
  { folder }: ParseConfigOptions,
): Omit<ProviderConfig, "models" | "upstreams"> {
  const path = (name: string) => resolve(folder, table.text(name));
  const optionalPath = (name: string) => {
    const value = table.optionalText(name);
    return value === undefined ? undefined : resolve(folder, value);
  };
  const config = {
    keyFile: path("key_file"),
    keyPasswordFile: optionalPath("key_password_file"),
    ownerKeyFile: optionalPath("owner_key_file"),
    ownerKeyPasswordFile: optionalPath("owner_key_password_file"),
    syncPrices: table.boolean("sync_prices", false),
    rpcUrl: table.url("rpc_url").href,
    deploymentFile: path("deployment_file"),
    dataFolder: path("data_folder"),
    host: table.text("host", "127.0.0.1"),
    port: table.integer("port", [0, 65_535], 0),
    endpoint: readEndpoint(table),
    region: table.text("region", "unknown"),
    policy: readPolicy(table),
    creditLimit: table.usd("credit_limit_usd", "0.50"),
    redeemAfterSeconds: table.integer("redeem_after_seconds", [0, MAX_REDEEM_SECONDS], 0),
    redeemLeast: table.usd("redeem_least_usd", "0.01"),
    voucherFolder: optionalPath("voucher_folder") ?? `${path("data_folder")}-vouchers`,
    maxConcurrency: table.integer("max_concurrency", [1, 10_000], 32),
    maxBodyBytes: table.integer("max_body_bytes", [1_024, MAX_BODY_BYTES], DEFAULT_MAX_BODY_BYTES),
    p2pListen: table.texts("p2p_listen"),
    p2pBootstrap: table.texts("p2p_bootstrap"),
  };
  table.end();
  if (config.syncPrices && config.ownerKeyFile === undefined)
    throw table.fault("sync_prices", "needs owner_key_file: only the owner may set prices");
  if (config.endpoint === undefined && !isLoopback(config.host))
    throw table.fault("endpoint", `is needed: relays on other machines cannot reach ${config.host}`);
  return config;
}

/** Prompts travel to the endpoint: off this machine only under TLS. */
function readEndpoint(table: TableReader): string | undefined {
  if (table.optionalText("endpoint") === undefined) return undefined;
  const url = table.url("endpoint");
  if (url.protocol !== "https:" && !isLoopback(url.hostname))
    throw table.fault("endpoint", "must be https unless it is on this machine");
  return url.href.replace(/\/+$/, "");
}

function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || host === "[::1]" || /^127\./.test(host);
}

function readSecret(table: TableReader, name: string, environment: Environment): string | undefined {
  const variable = table.optionalText(name);
  if (variable === undefined) return undefined;
  const value = environment[variable];
  if (value) return value;
  throw table.fault(name, `names the environment variable ${variable}, which is not set`);
}

function readUpstream(table: TableReader, environment: Environment): UpstreamConfig {
  const kind = table.oneOf("kind", ["openai", "demo"], "openai");
  const milliseconds = (name: string, seconds: number) =>
    1_000 * table.integer(name, [1, MAX_TIMEOUT_SECONDS], seconds);
  const config = {
    name: table.text("name"),
    kind,
    vendor: table.oneOf("vendor", Object.keys(VENDORS) as VendorName[], kind === "demo" ? "demo" : "generic"),
    continuousUsage: table.optionalOneOf("continuous_usage", ["per_choice", "in_all", "none"]),
    baseUrl: kind === "demo" ? undefined : table.url("base_url").href,
    apiKey: readSecret(table, "api_key_env", environment),
    connectTimeoutMs: milliseconds("connect_timeout_seconds", 2),
    // A long prompt on a busy server takes its time; relays give up earlier where they want to.
    firstByteTimeoutMs: milliseconds("first_byte_timeout_seconds", 120),
    stallTimeoutMs: milliseconds("stall_timeout_seconds", 30),
  };
  table.end();
  return config;
}

type ModelContext = { readonly upstreams: ReadonlySet<string>; readonly policy: Claims };

function readModel(table: TableReader, { upstreams, policy }: ModelContext): Model {
  const slug = table.text("id");
  const route = table.oneOf("route", ROUTES, "chat");
  const upstream = table.text("upstream");
  if (!/^[a-z0-9._:/@+-]{1,128}$/.test(slug))
    throw table.fault("id", "must have 1 to 128 characters of a-z 0-9 . _ : / @ + -");
  if (!upstreams.has(upstream))
    throw table.fault("upstream", `names ${upstream}, which no [[upstreams]] entry has`);
  const contextTokens = table.integer("context_tokens", [1, 100_000_000], route === "images" ? 4_000 : 8_192);
  const model = {
    slug,
    route,
    upstream,
    upstreamModel: table.text("upstream_model", slug),
    contextTokens,
    maxOutputTokens: table.integer("max_output_tokens", [1, 100_000_000], Math.min(contextTokens, 4_096)),
    description: table.text("description", slug),
    claims: readClaims(table, policy),
    prices: readPrices(table.table("pricing"), route),
  };
  table.end();
  return model;
}

/** USD per million tokens of one step on-chain: 1 pUSD per token. */
const PUSD_PER_STEP = 1_000_000n;

function readPrices(table: TableReader, route: Route): Prices {
  const perToken = (name: string, fallback?: bigint): bigint => {
    const perMillion = fallback === undefined ? table.usd(name) : table.optionalUsd(name);
    if (perMillion === undefined) return fallback ?? 0n;
    if (perMillion % PUSD_PER_STEP !== 0n)
      throw table.fault(
        name,
        "has more than 6 decimals; the smallest step is 0.000001 USD per million tokens",
      );
    return perMillion / PUSD_PER_STEP;
  };
  const prices = readRoutePrices(table, route, perToken);
  table.end();
  const broken = prices.findIndex((price) => price > MAX_U64);
  if (broken !== -1) throw table.fault(["prompt", "cached", "completion"][broken] ?? "", "is too high");
  return prices;
}

const MS_PER_MINUTE = 60_000n;

/** Recordings are priced by the minute; a price that is no whole pUSD per millisecond is refused. */
function perMillisecond(table: TableReader): bigint {
  const perMinute = table.usd("minute");
  if (perMinute % MS_PER_MINUTE === 0n) return perMinute / MS_PER_MINUTE;
  throw table.fault("minute", "must be a multiple of 0.00000006 USD: 1 pUSD a millisecond");
}

function readRoutePrices(
  table: TableReader,
  route: Route,
  perToken: (name: string, fallback?: bigint) => bigint,
): Prices {
  if (route === "images") return [0n, 0n, table.usd("image")];
  if (route === "transcriptions") return [perMillisecond(table), 0n, 0n];
  // Characters are priced by the million, as tokens are.
  if (route === "speech") return [perToken("characters"), 0n, 0n];
  if (route === "moderations") return [perToken("characters", 0n), 0n, table.optionalUsd("request") ?? 0n];
  const prompt = perToken("prompt");
  if (route === "embeddings") return [prompt, 0n, 0n];
  const cached = perToken("cached", prompt);
  if (cached > prompt) throw table.fault("cached", "is above prompt");
  return [prompt, cached, perToken("completion")];
}
