import type { ModelJson, PricingJson } from "@aimo/protocol/routes";
import { formatUnitPrice, type Price } from "@aimo/protocol/units";
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
    pricing: lowest(group.map(({ price }) => price)),
    aimo: {
      model_id: first.model.modelId,
      route: first.model.route,
      relay_fee_bps: relayFeeBps,
      providers: group.map(({ providerId, signer, region, price, model }) => ({
        id: providerId,
        address: signer,
        region,
        pricing: pricingOf([price]),
        price_version: price.version,
        context_length: model.contextTokens,
        max_completion_tokens: model.maxOutputTokens,
        free_slots: model.freeSlots,
        latency_ms: model.latencyMs,
      })),
    },
  };
}

/** The cheapest provider's prices, judged by prompt and output together. */
function lowest(prices: readonly Price[]): PricingJson {
  const total = ({ prices: [a, b, c] }: Price) => a + b + c;
  return pricingOf([...prices].sort((a, b) => (total(a) < total(b) ? -1 : 1)).slice(0, 1));
}

function pricingOf([price]: readonly Price[]): PricingJson {
  const at = (slot: 0 | 1 | 2, kind: string) =>
    formatUnitPrice(price?.kinds[slot] === kind ? price.prices[slot] : 0n);
  return {
    prompt: at(0, "token"),
    input_cache_read: at(1, "token"),
    completion: at(2, "token"),
    image: at(2, "image"),
    request: at(2, "request"),
  };
}
