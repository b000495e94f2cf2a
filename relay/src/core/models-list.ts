import type { ModelOffer } from "@aimo/protocol/announcement";
import type { ModelJson, ProviderClaims } from "@aimo/protocol/model-routes";
import type { Price } from "@aimo/protocol/units";
import { architectureOf, completionTokensOf, parametersOf, pricingJson } from "./model-traits.ts";
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
    max_completion_tokens: mostCompletionTokens(group),
    architecture: architectureOf(group),
    supported_parameters: parametersOf(group),
    pricing: pricingJson(lowest(group.map(({ price }) => price))),
    aimo: {
      model_id: first.model.modelId,
      route: first.model.route,
      relay_fee_bps: relayFeeBps,
      providers: group.map((offer) => {
        const { providerId, signer, region, price, model } = offer;
        return {
          id: providerId,
          address: signer,
          region,
          pricing: pricingJson(price),
          price_version: price.version,
          context_length: model.contextTokens,
          max_completion_tokens: completionTokensOf(offer),
          free_slots: model.freeSlots,
          latency_ms: model.latencyMs,
          ...claimsOf(model),
        };
      }),
    },
  };
}

function mostCompletionTokens(offers: readonly Offer[]): number | null {
  const all = offers.map(completionTokensOf).filter((tokens) => tokens !== null);
  return all.length > 0 ? Math.max(...all) : null;
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
