import { isQuantization, QUANTIZATIONS } from "@aimo/protocol/announcement";
import { invalid, isMissing, isObject, type Json, refuseUnknown } from "./dialects/dialect.ts";
import { type MaxPrice, readMaxPrice } from "./max-price.ts";

/** What a request says of who may serve it: `model`, `models`, the `provider` object and the session. */

export type Sort = "price" | "latency" | "throughput";

/** The `provider` object. Names are provider ids or signer addresses, lower case. */
export type Preferences = {
  readonly order: readonly string[];
  readonly only: readonly string[] | undefined;
  readonly ignore: readonly string[];
  readonly sort: Sort | undefined;
  readonly allowFallbacks: boolean;
  readonly maxPrice: MaxPrice | undefined;
  /** Fields of the body that the provider has to say it understands. */
  readonly parameters: readonly string[];
  readonly quantizations: readonly string[] | undefined;
  readonly zeroRetention: boolean;
  readonly noDataCollection: boolean;
  /** Whether models may bill tokens that nobody sees; undefined: where no provider serves the model without. */
  readonly hiddenReasoning: boolean | undefined;
  /** Regions, or beginnings of them up to a hyphen: where the provider has to be, and keep the data. */
  readonly regions: readonly string[] | undefined;
  readonly residency: readonly string[] | undefined;
  /** Wishes: who meets them all comes first, who does not comes later. */
  readonly preferredRegions: readonly string[] | undefined;
  readonly preferredMaxLatencyMs: number | undefined;
  /** Tokens per second. */
  readonly preferredMinThroughput: number | undefined;
};

/** A model to try, and how its providers are sorted where its name said so. */
export type Wanted = { readonly model: string; readonly sort: Sort | undefined };

/** Longest model name: slugs are far shorter. */
const MAX_MODEL_LENGTH = 128;
/** Each may hold a try of its own; more would outlast every client's patience. */
export const MAX_MODELS = 8;
const MAX_NAMES = 64;
const MAX_REGIONS = 16;
const MAX_REGION_LENGTH = 32;
/** Far above what any API has; bounds what is compared with each offer. */
const MAX_PARAMETERS = 64;
const MAX_SESSION_LENGTH = 256;
/** Seconds, and tokens per second: beyond them a wish is a mistake. */
const MAX_SECONDS = 3_600;
const MAX_THROUGHPUT = 1_000_000;
const MS_PER_SECOND = 1_000;
const SORTS: ReadonlySet<unknown> = new Set<Sort>(["price", "latency", "throughput"]);
const SUFFIXES: Readonly<Record<string, Sort>> = { ":floor": "price", ":nitro": "throughput" };
const PERCENTILES = ["p50", "p75", "p90", "p99"] as const;

/** The whole `provider` object; those that have no effect are OpenRouter's, and docs/routing.md says so. */
const PROVIDER_FIELDS: ReadonlySet<string> = new Set([
  ...["order", "only", "ignore", "allow_fallbacks", "sort", "max_price", "require_parameters"],
  ...["quantizations", "zdr", "data_collection", "hidden_reasoning", "regions", "residency"],
  ...["preferred_regions", "preferred_max_latency", "preferred_min_throughput", "enforce_distillable_text"],
]);
const SORT_FIELDS: ReadonlySet<string> = new Set(["by", "partition"]);
const PERCENTILE_FIELDS: ReadonlySet<string> = new Set(PERCENTILES);
/** A provider's id, or the address that it signs with. */
const PROVIDER_NAME = /^(?:[1-9]\d{0,9}|0x[0-9a-f]{40})$/;

/** Whether a text, lower case, can name a provider. */
export const isProviderName = (text: string): boolean => PROVIDER_NAME.test(text);

/** Fields that every provider understands, or that the relay itself acts on. */
const OWN_FIELDS: ReadonlySet<string> = new Set([
  ...["model", "models", "provider", "messages", "input", "prompt", "stream", "stream_options"],
  ...["max_tokens", "max_completion_tokens", "n", "user", "metadata", "session_id", "usage", "preset"],
  ...["route", "transforms", "plugins", "aimo"],
]);
/** Fields whose loss changes the answer's form: providers that name them come first, unasked. */
const STEERING_FIELDS = ["tools", "response_format", "verbosity"] as const;

export const NO_PREFERENCES: Preferences = {
  order: [],
  only: undefined,
  ignore: [],
  sort: undefined,
  allowFallbacks: true,
  maxPrice: undefined,
  parameters: [],
  quantizations: undefined,
  zeroRetention: false,
  noDataCollection: false,
  hiddenReasoning: undefined,
  regions: undefined,
  residency: undefined,
  preferredRegions: undefined,
  preferredMaxLatencyMs: undefined,
  preferredMinThroughput: undefined,
};

/** Throws `invalid_request` that names the field and its limit. */
export function readPreferences(body: Json): Preferences {
  const { provider: value } = body;
  if (isMissing(value)) return NO_PREFERENCES;
  if (!isObject(value)) throw invalid("provider must be an object.", "provider");
  refuseUnknown(value, PROVIDER_FIELDS, "provider");
  readFlag(value, "enforce_distillable_text");
  return {
    order: readNames(value, "order") ?? [],
    only: readNames(value, "only"),
    ignore: readNames(value, "ignore") ?? [],
    sort: readSort(value["sort"]),
    allowFallbacks: readFlag(value, "allow_fallbacks") ?? true,
    maxPrice: readMaxPrice(value["max_price"]),
    parameters: readFlag(value, "require_parameters") ? parametersOf(body) : [],
    quantizations: readQuantizations(value["quantizations"]),
    zeroRetention: readFlag(value, "zdr") ?? false,
    noDataCollection: readDataCollection(value["data_collection"]),
    hiddenReasoning: readFlag(value, "hidden_reasoning"),
    regions: readRegions(value, "regions"),
    residency: readRegions(value, "residency"),
    preferredRegions: readRegions(value, "preferred_regions"),
    preferredMaxLatencyMs: readLatency(value),
    preferredMinThroughput: readPercentile(value, "preferred_min_throughput", MAX_THROUGHPUT),
  };
}

/** `model` and then `models`, each once, without the suffixes that say how to sort. */
export function readModels(body: Json): readonly [Wanted, ...Wanted[]] {
  const { model, models } = body;
  if (isMissing(models)) return [readModel(model, "model")];
  if (!Array.isArray(models) || models.length === 0 || models.length > MAX_MODELS)
    throw invalid(`models must be an array of 1 to ${MAX_MODELS} model names.`, "models");
  const named = models.map((each: unknown, index) => readModel(each, `models[${index}]`));
  const all = isMissing(model) ? named : [readModel(model, "model"), ...named];
  const [first, ...rest] = all.filter(
    (each, at) => all.findIndex((other) => other.model === each.model) === at,
  );
  if (!first) throw invalid("model is missing.", "model");
  return [first, ...rest];
}

/** The conversation that a request goes on, so that its provider may be the same. */
export function readSession(body: Json, header: unknown): string | undefined {
  const value = isMissing(body["session_id"]) ? header : body["session_id"];
  if (isMissing(value)) return undefined;
  const name = value === header ? "x-session-id" : "session_id";
  if (typeof value !== "string" || value.length === 0 || value.length > MAX_SESSION_LENGTH)
    throw invalid(`${name} must be a string of 1 to ${MAX_SESSION_LENGTH} characters.`, name);
  return value;
}

/** Which of the fields that change an answer's form the body has. */
export function steeringFields(body: Json): readonly string[] {
  let found: string[] | undefined;
  for (const field of STEERING_FIELDS)
    if (!isMissing(body[field])) {
      found ??= [];
      found.push(field);
    }
  return found ?? NO_PREFERENCES.parameters;
}

function readModel(value: unknown, name: string): Wanted {
  if (typeof value !== "string" || value.length === 0 || value.length > MAX_MODEL_LENGTH)
    throw invalid(`${name} must be a string of 1 to ${MAX_MODEL_LENGTH} characters.`, name);
  const model = value.toLowerCase();
  const at = model.lastIndexOf(":");
  const sort = at > 0 ? SUFFIXES[model.slice(at)] : undefined;
  return sort ? { model: model.slice(0, at), sort } : { model, sort: undefined };
}

function readSort(value: unknown): Sort | undefined {
  if (isObject(value)) refuseUnknown(value, SORT_FIELDS, "provider.sort");
  const by = isObject(value) ? value["by"] : value;
  if (isMissing(by)) return undefined;
  if (!SORTS.has(by))
    throw invalid(
      'provider.sort must be "price", "latency" or "throughput", or an object with one of them under by.',
      "provider.sort",
    );
  return by as Sort;
}

function parametersOf(body: Json): readonly string[] {
  const names: string[] = [];
  for (const name in body) if (!OWN_FIELDS.has(name) && !isMissing(body[name])) names.push(name);
  if (names.length <= MAX_PARAMETERS) return names;
  throw invalid(
    `provider.require_parameters takes a body with at most ${MAX_PARAMETERS} parameters; this one has ${names.length}.`,
    "provider.require_parameters",
  );
}

function readQuantizations(value: unknown): readonly string[] | undefined {
  if (isMissing(value)) return undefined;
  if (!Array.isArray(value) || value.length === 0 || value.length > MAX_NAMES || !value.every(isQuantization))
    throw invalid(
      `provider.quantizations must be an array of 1 to ${MAX_NAMES} of ${QUANTIZATIONS.join(", ")}.`,
      "provider.quantizations",
    );
  return value;
}

function readDataCollection(value: unknown): boolean {
  if (isMissing(value) || value === "allow") return false;
  if (value === "deny") return true;
  throw invalid('provider.data_collection must be "allow" or "deny".', "provider.data_collection");
}

function readRegions(json: Json, field: string): readonly string[] | undefined {
  const value = json[field];
  if (isMissing(value)) return undefined;
  const list: readonly unknown[] = Array.isArray(value) ? value : [value];
  const isRegion = (each: unknown) =>
    typeof each === "string" && each.length <= MAX_REGION_LENGTH && each !== "";
  if (list.length === 0 || list.length > MAX_REGIONS || !list.every(isRegion))
    throw invalid(
      `provider.${field} must be an array of 1 to ${MAX_REGIONS} regions of at most ${MAX_REGION_LENGTH} characters.`,
      `provider.${field}`,
    );
  return list.map((each) => String(each).toLowerCase());
}

function readLatency(json: Json): number | undefined {
  const seconds = readPercentile(json, "preferred_max_latency", MAX_SECONDS);
  return seconds === undefined ? undefined : seconds * MS_PER_SECOND;
}

/** A number, or one per percentile: the relay keeps one average, so the first that is given counts. */
function readPercentile(json: Json, field: string, most: number): number | undefined {
  const value = json[field];
  if (isObject(value)) refuseUnknown(value, PERCENTILE_FIELDS, `provider.${field}`);
  const given = isObject(value)
    ? PERCENTILES.map((name) => value[name]).find((each) => !isMissing(each))
    : value;
  if (isMissing(value) || (isObject(value) && given === undefined)) return undefined;
  if (typeof given !== "number" || !(given > 0 && given <= most))
    throw invalid(
      `provider.${field} must be a number above 0 and at most ${most}, or an object of them by percentile.`,
      `provider.${field}`,
    );
  return given;
}

function readFlag(json: Json, field: string): boolean | undefined {
  const value = json[field];
  if (isMissing(value)) return undefined;
  if (typeof value !== "boolean")
    throw invalid(`provider.${field} must be true or false.`, `provider.${field}`);
  return value;
}

function readNames(json: Json, field: string): readonly string[] | undefined {
  const value = json[field];
  if (isMissing(value)) return undefined;
  const names = Array.isArray(value) && value.length <= MAX_NAMES ? value : [undefined];
  return names.map((name: unknown) => {
    const text = typeof name === "string" || typeof name === "number" ? String(name).toLowerCase() : "";
    if (isProviderName(text)) return text;
    throw invalid(
      `provider.${field} must be an array of at most ${MAX_NAMES} provider ids or addresses; GET /v1/providers lists them.`,
      `provider.${field}`,
    );
  });
}
