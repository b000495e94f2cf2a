import type { ModelOffer } from "@aimo/protocol/announcement";
import type { ModelJson, ProviderClaims } from "@aimo/protocol/routes";
import type { Price } from "@aimo/protocol/units";
import { architectureOf, parametersOf, pricingJson } from "./model-traits.ts";
import type { Offer } from "./types.ts";

/** Live offers as the models list: one entry per model, by name, with everyone who serves it. */
export function listModels(offers: readonly Offer[], relayFeeBps: number): ModelJson[] {
  const bySlug = Map.groupBy(offers, ({ model }) => model.slug);
  return [...bySlug]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .flatMap(([slug, group]) => {
      const [first] = group;
      return first ? [modelJson(slug, group, { first, relayFeeBps })] : [];
    });
}

function modelJson(
  slug: string,
  group: readonly Offer[],
  { first, relayFeeBps }: { first: Offer; relayFeeBps: number },
): ModelJson {
  return {
    id: slug,
    object: "model",
    // Models are registered without a date; the field is there for OpenAI's clients.
    created: 0,
    owned_by: "aimo",
    name: slug,
    description: first.model.description,
    context_length: Math.max(...group.map(({ model }) => model.contextTokens)),
    max_completion_tokens: Math.max(...group.map(({ model }) => model.maxOutputTokens)),
    architecture: architectureOf(group),
    supported_parameters: parametersOf(group),
    pricing: pricingJson(lowest(group.map(({ price }) => price))),
    aimo: {
      model_id: first.model.modelId,
      route: first.model.route,
      relay_fee_bps: relayFeeBps,
      providers: group.map(({ providerId, signer, region, price, model }) => ({
        id: providerId,
        address: signer,
        region,
        pricing: pricingJson(price),
        price_version: price.version,
        context_length: model.contextTokens,
        max_completion_tokens: model.maxOutputTokens,
        free_slots: model.freeSlots,
        latency_ms: model.latencyMs,
        ...claimsOf(model),
      })),
    },
  };
}

/** What a provider promises, and filters go by; what it says nothing of is left out. */
function claimsOf(model: ModelOffer): ProviderClaims {
  const { quantization, supportedParameters, hiddenReasoning, zeroRetention, collectsData, residency } =
    model;
  return {
    ...(quantization === undefined ? {} : { quantization }),
    ...(supportedParameters === undefined ? {} : { supported_parameters: supportedParameters }),
    ...(hiddenReasoning === undefined ? {} : { hidden_reasoning: hiddenReasoning }),
    ...(zeroRetention === undefined ? {} : { zero_retention: zeroRetention }),
    ...(collectsData === undefined ? {} : { collects_data: collectsData }),
    ...(residency === undefined ? {} : { residency }),
  };
}

/** The cheapest provider's price, judged by all that it counts together. */
function lowest(prices: readonly Price[]): Price | undefined {
  const total = ({ prices: [a, b, c] }: Price) => a + b + c;
  return [...prices].sort((a, b) => (total(a) < total(b) ? -1 : 1))[0];
}
