import type { EndpointJson, EndpointsJson, ProviderJson } from "@aimo/protocol/model-routes";
import { announcedBy, completionTokensOf, parametersOf, pricingJson } from "./model-traits.ts";
import { listModels } from "./models-list.ts";
import { type Counts, type Observed, uptimeOf } from "./observations.ts";
import type { Offer } from "./types.ts";

/** Who serves a model and how well, and who serves at all. */

export type Seen = {
  readonly observed: (providerId: number, model: string) => Observed | undefined;
  readonly isResting: (offer: Offer) => boolean;
};

const NOTHING: Counts = { ok: 0, failed: 0 };

/** A model with its endpoints, the cheapest first; undefined without offers. */
export function endpointsJson(offers: readonly Offer[], seen: Seen): EndpointsJson | undefined {
  const [model] = listModels(offers, 0);
  if (!model) return undefined;
  const { object: _object, owned_by: _owner, pricing: _pricing, aimo: _aimo, ...about } = model;
  const total = ({ price: { prices } }: Offer) => prices[0] + prices[1] + prices[2];
  const sorted = [...offers].sort((a, b) => (total(a) < total(b) ? -1 : 1));
  return { data: { ...about, endpoints: sorted.map((offer) => endpointJson(offer, seen)) } };
}

function endpointJson(offer: Offer, seen: Seen): EndpointJson {
  const { providerId, signer, region, price, model } = offer;
  const observed = seen.observed(providerId, model.slug);
  const counts = {
    last_5m: observed?.last5m ?? NOTHING,
    last_30m: observed?.last30m ?? NOTHING,
    last_1d: observed?.last1d ?? NOTHING,
  };
  const { quantization = null, zeroRetention = null } = announcedBy(offer);
  return {
    name: `${nameOf(providerId)} | ${model.slug}`,
    tag: String(providerId),
    provider_name: nameOf(providerId),
    provider: { id: providerId, address: signer },
    region,
    context_length: model.contextTokens,
    max_completion_tokens: completionTokensOf(offer),
    pricing: pricingJson(price),
    price_version: price.version,
    quantization,
    zero_retention: zeroRetention,
    supported_parameters: parametersOf([offer]),
    free_slots: model.freeSlots,
    status: statusOf([offer], seen),
    uptime_last_5m: uptimeOf(counts.last_5m) ?? null,
    uptime_last_30m: uptimeOf(counts.last_30m) ?? null,
    uptime_last_1d: uptimeOf(counts.last_1d) ?? null,
    requests: counts,
    latency_last_30m: observed?.latency ?? null,
    throughput_last_30m: observed?.throughput ?? null,
  };
}

/** Everyone with a live offer, by id. */
export function providersJson(offers: readonly Offer[], seen: Seen): ProviderJson[] {
  return [...Map.groupBy(offers, ({ providerId }) => providerId)]
    .sort(([a], [b]) => a - b)
    .flatMap(([id, group]) => {
      const [first] = group;
      if (!first) return [];
      const counts = group.reduce((sum, { model }) => {
        const { ok, failed } = seen.observed(id, model.slug)?.last1d ?? NOTHING;
        return { ok: sum.ok + ok, failed: sum.failed + failed };
      }, NOTHING);
      return [
        {
          id,
          address: first.signer,
          slug: String(id),
          name: nameOf(id),
          region: first.region,
          models: group.map(({ model }) => model.slug).sort(),
          status: statusOf(group, seen),
          requests_last_1d: counts,
          uptime_last_1d: uptimeOf(counts) ?? null,
        },
      ];
    });
}

const nameOf = (providerId: number): string => `Provider ${providerId}`;

function statusOf(offers: readonly Offer[], { isResting }: Seen): EndpointJson["status"] {
  if (offers.every(isResting)) return -2;
  return offers.some(({ model }) => model.freeSlots > 0) ? 0 : -5;
}
