import { QUANTIZATIONS } from "@aimo/protocol/announcement";
import { Type } from "typebox";
import { MAX_MODELS } from "../core/preferences.ts";
import { SLUG_PATTERN } from "../core/preset.ts";

/** What a request may say of who serves it, for /openapi.json: `core/preferences.ts` judges. docs/routing.md explains. */

const CLOSED = { additionalProperties: false };
const Names = Type.Array(Type.Union([Type.String(), Type.Integer()]), { maxItems: 64 });
const Regions = Type.Union([
  Type.String(),
  Type.Array(Type.String({ maxLength: 32 }), { minItems: 1, maxItems: 16 }),
]);
const SortName = Type.Union([Type.Literal("price"), Type.Literal("latency"), Type.Literal("throughput")]);
const Usd = Type.Union([Type.String(), Type.Number({ minimum: 0 })]);
const ByPercentile = Type.Union([
  Type.Number({ exclusiveMinimum: 0 }),
  Type.Object(
    {
      p50: Type.Optional(Type.Number()),
      p75: Type.Optional(Type.Number()),
      p90: Type.Optional(Type.Number()),
      p99: Type.Optional(Type.Number()),
    },
    CLOSED,
  ),
]);
const about = (description: string) => ({ description });

const ProviderPreferences = Type.Object(
  {
    order: Type.Optional(Names),
    only: Type.Optional(Names),
    ignore: Type.Optional(Names),
    allow_fallbacks: Type.Optional(Type.Boolean()),
    sort: Type.Optional(
      Type.Union([
        SortName,
        Type.Object({ by: Type.Optional(SortName), partition: Type.Optional(Type.Any()) }, CLOSED),
      ]),
    ),
    max_price: Type.Optional(
      Type.Object(
        {
          prompt: Type.Optional(Usd),
          completion: Type.Optional(Usd),
          request: Type.Optional(Usd),
          image: Type.Optional(Usd),
          audio: Type.Optional(Usd),
        },
        { ...CLOSED, ...about("USD per million tokens, per request and per image; audio has no effect") },
      ),
    ),
    require_parameters: Type.Optional(Type.Boolean()),
    quantizations: Type.Optional(
      Type.Array(Type.Union(QUANTIZATIONS.map((name) => Type.Literal(name))), { minItems: 1, maxItems: 64 }),
    ),
    zdr: Type.Optional(Type.Boolean(about("Only providers that keep nothing"))),
    data_collection: Type.Optional(Type.Union([Type.Literal("allow"), Type.Literal("deny")])),
    hidden_reasoning: Type.Optional(Type.Boolean(about("Whether models may bill tokens that nobody sees"))),
    regions: Type.Optional(Regions),
    residency: Type.Optional(Regions),
    preferred_regions: Type.Optional(Regions),
    preferred_max_latency: Type.Optional(ByPercentile),
    preferred_min_throughput: Type.Optional(ByPercentile),
    enforce_distillable_text: Type.Optional(Type.Boolean(about("Has no effect"))),
  },
  CLOSED,
);

const ModelName = Type.String({ minLength: 1, maxLength: 128 });

export const RoutingFields = {
  models: Type.Optional(Type.Array(ModelName, { minItems: 1, maxItems: MAX_MODELS })),
  provider: Type.Optional(ProviderPreferences),
  session_id: Type.Optional(Type.String({ minLength: 1, maxLength: 256 })),
  aimo: Type.Optional(
    Type.Object(
      { max_cost: Type.Optional(Usd) },
      { ...about("max_cost: USD that the request may cost at most"), additionalProperties: false },
    ),
  ),
};
/** Every body that is JSON may name one. */
export const PresetField = {
  preset: Type.Optional(
    Type.String({
      pattern: SLUG_PATTERN,
      description: "A preset of the account; also `@preset/slug` in model",
    }),
  ),
};
