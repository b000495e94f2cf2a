import { ROUTES } from "@aimo/protocol/announcement";
import { AimoError } from "@aimo/protocol/errors";
import type { ModelJson } from "@aimo/protocol/model-routes";
import type { Seen } from "./endpoints-list.ts";
import { announcedBy, architectureOf, usualPrice } from "./model-traits.ts";
import { listModels } from "./models-list.ts";
import { isProviderName } from "./preferences.ts";
import type { Offer } from "./types.ts";

/** Filters and order of the models list. Filters look at each provider's offer; a model stays if one of them is left. */

/** Parameters of `GET /v1/models`, with what they mean. */
export const MODELS_PARAMETERS = {
  q: "Words that the id or the description must hold, in any order.",
  category: `One of ${ROUTES.join(", ")}.`,
  supported_parameters: "Request fields that a provider must say it takes, with commas between.",
  input_modalities: "text, image or audio: all that a model must take, with commas between.",
  output_modalities: "text, image, audio or embeddings: all that a model must give, with commas between.",
  providers: "Ids or addresses of providers, with commas between.",
  region: "Regions of providers, with commas between.",
  min_context: "Least context, in tokens. `context` is the same.",
  context: "Least context, in tokens.",
  max_context: "Most context, in tokens.",
  min_price: "Least price, USD per million prompt tokens or characters, per minute of audio, per image.",
  max_price: "Most price, USD in the same units.",
  sort: "name, price, -price, context, latency or throughput; the last three best first.",
  limit: "At most so many models.",
} as const;
type Parameter = keyof typeof MODELS_PARAMETERS;

const SORTS = ["name", "price", "-price", "context", "latency", "throughput"] as const;
/** Other gateways' names of the same orders. */
const SORT_NAMES: Readonly<Record<string, (typeof SORTS)[number]>> = {
  "pricing-low-to-high": "price",
  "pricing-high-to-low": "-price",
  "context-high-to-low": "context",
  "latency-low-to-high": "latency",
  "throughput-high-to-low": "throughput",
};
const IN_MODALITIES = ["text", "image", "audio", "video", "file"] as const;
const OUT_MODALITIES = ["text", "image", "audio", "embeddings"] as const;
const MAX_TEXT = 200;
const MAX_LIST = 32;
const MAX_TOKENS = 1_000_000_000;
const MAX_PRICE = 1_000_000_000;
const MAX_LIMIT = 10_000;

export type ModelsQuery = {
  readonly words: readonly string[];
  readonly category: string | undefined;
  readonly parameters: readonly string[];
  readonly input: readonly string[];
  readonly output: readonly string[];
  readonly providers: readonly string[];
  readonly regions: readonly string[];
  readonly context: readonly [number, number];
  readonly price: readonly [number, number];
  readonly sort: (typeof SORTS)[number];
  readonly limit: number;
};

type Query = Readonly<Record<string, unknown>>;

/** Reads a parsed query string. Throws `invalid_request` naming the parameter. Unknown ones are ignored. */
export function readModelsQuery(query: Query): ModelsQuery {
  const context: readonly [number, number] = [
    readNumber(query, "min_context", MAX_TOKENS) ?? readNumber(query, "context", MAX_TOKENS) ?? 0,
    readNumber(query, "max_context", MAX_TOKENS) ?? Number.POSITIVE_INFINITY,
  ];
  const price: readonly [number, number] = [
    readNumber(query, "min_price", MAX_PRICE) ?? 0,
    readNumber(query, "max_price", MAX_PRICE) ?? Number.POSITIVE_INFINITY,
  ];
  if (context[0] > context[1]) throw invalid("max_context", "is below min_context");
  if (price[0] > price[1]) throw invalid("max_price", "is below min_price");
  const sort = readText(query, "sort") ?? "name";
  return {
    words: (readText(query, "q") ?? "").toLowerCase().split(/\s+/).filter(Boolean),
    category: readOneOf("category", readText(query, "category"), ROUTES),
    parameters: readList(query, "supported_parameters"),
    input: readList(query, "input_modalities", IN_MODALITIES),
    output: readList(query, "output_modalities", OUT_MODALITIES),
    providers: readProviders(query),
    regions: readList(query, "region"),
    ...{ context, price },
    sort: readOneOf("sort", SORT_NAMES[sort] ?? sort, SORTS) ?? "name",
    limit: readLimit(query),
  };
}

/** The models that fit, in the order asked for. */
export function findModels(
  offers: readonly Offer[],
  query: ModelsQuery,
  { relayFeeBps, seen }: { relayFeeBps: number; seen: Seen },
): ModelJson[] {
  const fitting = offers.filter((offer) => isFitting(offer, query));
  const models = listModels(fitting, relayFeeBps);
  if (query.sort !== "name") {
    const rank = rankOf(
      Map.groupBy(fitting, ({ model }) => model.slug),
      query.sort,
      seen,
    );
    models.sort((a, b) => rank(a.id) - rank(b.id));
  }
  return models.slice(0, query.limit);
}

function isFitting(offer: Offer, query: ModelsQuery): boolean {
  const { model, price, providerId, signer, region } = offer;
  const { words, category, parameters, input, output, providers, regions } = query;
  const within = (value: number, [from, to]: readonly [number, number]) => value >= from && value <= to;
  if (!within(model.contextTokens, query.context) || !within(usualPrice(price), query.price)) return false;
  if (category !== undefined && model.route !== category) return false;
  if (regions.length > 0 && !regions.includes(region)) return false;
  if (
    providers.length > 0 &&
    !providers.includes(`${providerId}`) &&
    !providers.includes(signer.toLowerCase())
  )
    return false;
  const text = `${model.slug} ${model.description}`.toLowerCase();
  if (!words.every((word) => text.includes(word))) return false;
  const taken = announcedBy(offer).supportedParameters ?? [];
  if (!parameters.every((name) => taken.includes(name))) return false;
  const { input_modalities, output_modalities } = architectureOf([offer]);
  return (
    input.every((one) => input_modalities.includes(one)) &&
    output.every((one) => output_modalities.includes(one))
  );
}

/** Lower is nearer to the front. A model is as good as its best provider; one that nobody has measured comes last. */
function rankOf(
  bySlug: ReadonlyMap<string, readonly Offer[]>,
  sort: Exclude<ModelsQuery["sort"], "name">,
  { observed }: Seen,
): (slug: string) => number {
  const last = Number.MAX_VALUE;
  const measures: Record<typeof sort, (offer: Offer) => number> = {
    price: ({ price }) => usualPrice(price),
    "-price": ({ price }) => -usualPrice(price),
    context: ({ model }) => -model.contextTokens,
    latency: ({ providerId, model }) => observed(providerId, model.slug)?.latency?.p50 ?? last,
    throughput: ({ providerId, model }) => -(observed(providerId, model.slug)?.throughput?.p50 ?? -last),
  };
  const ranks = new Map(
    [...bySlug].map(([slug, offers]) => [slug, Math.min(...offers.map(measures[sort]))] as const),
  );
  return (slug) => ranks.get(slug) ?? last;
}

function readText(query: Query, name: Parameter): string | undefined {
  const value = query[name];
  if (value === undefined || value === "") return undefined;
  if (typeof value !== "string") throw invalid(name, "is given more than once");
  if (value.length > MAX_TEXT) throw invalid(name, `has more than ${MAX_TEXT} characters`);
  return value;
}

function readList(query: Query, name: Parameter, known?: readonly string[]): readonly string[] {
  const items = (readText(query, name) ?? "")
    .split(",")
    .map((item) => item.trim().toLowerCase())
    .filter(Boolean);
  if (items.length > MAX_LIST) throw invalid(name, `has more than ${MAX_LIST} items`);
  if (known) for (const item of items) readOneOf(name, item, known);
  return items;
}

function readProviders(query: Query): readonly string[] {
  const names = readList(query, "providers");
  if (names.every(isProviderName)) return names;
  throw invalid("providers", "must be ids or addresses of providers, as in GET /v1/providers");
}

function readOneOf<const T extends string>(
  name: Parameter,
  value: string | undefined,
  known: readonly T[],
): T | undefined {
  if (value === undefined) return undefined;
  const found = known.find((one) => one === value);
  if (found === undefined) throw invalid(name, `must be one of ${known.join(", ")}`);
  return found;
}

function readNumber(query: Query, name: Parameter, most: number): number | undefined {
  const text = readText(query, name);
  if (text === undefined) return undefined;
  const value = /^\d{1,12}(\.\d{1,12})?$/.test(text) ? Number(text) : Number.NaN;
  if (!(value <= most)) throw invalid(name, `must be a number from 0 to ${most}`);
  return value;
}

function readLimit(query: Query): number {
  const text = readText(query, "limit");
  if (text === undefined) return MAX_LIMIT;
  const limit = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  if (limit < 1 || limit > MAX_LIMIT) throw invalid("limit", `must be an integer from 1 to ${MAX_LIMIT}`);
  return limit;
}

const invalid = (name: Parameter, problem: string) =>
  new AimoError("invalid_request", { message: `${name} ${problem}.`, param: name });
