import type { ModelJson, PricingJson } from "@aimo/protocol/model-routes";
import { AimoClient } from "@aimo/sdk";
import { table } from "../amounts.ts";
import { type Command, RELAY_OPTIONS } from "../command.ts";
import { loadSettings } from "../settings.ts";

export const list: Command = {
  name: "models list",
  summary: "List the models that providers offer now, with the lowest price",
  description:
    "A model's price is that of its cheapest provider, without the relay's fee; `--json` has each provider's. Which of\n" +
    "them serves a request, docs/routing.md tells.",
  options: RELAY_OPTIONS,
  async run(input, context) {
    const { baseUrl, apiKey } = await loadSettings(input, context);
    const { data } = await new AimoClient({ baseURL: baseUrl, apiKey: apiKey ?? "" }).models.list();
    const [first] = data;
    if (!first) return { text: "No provider offers a model right now.", json: { data } };
    const rows = data.map((model) => [
      model.id,
      model.aimo.route,
      priceOf(model),
      String(model.aimo.providers.length),
      model.description,
    ]);
    const head = ["Model", "Route", "Price (cheapest)", ">Providers", "Description"];
    const fee = `Prices are the cheapest provider's; the relay adds ${first.aimo.relay_fee_bps / 100} %.`;
    return { text: `${table(head, rows)}\n${fee}`, json: { data } };
  },
};

/** All that a model counts, in its route's units; a fee for each request on top where there is one. */
function priceOf({ pricing, aimo }: ModelJson): string {
  const request = Number(pricing.request) > 0 ? [`$${pricing.request} a request`] : [];
  const units = unitPriceOf(pricing, aimo.route);
  return [...(units.isFree && request.length > 0 ? [] : [units.text]), ...request].join(" + ");
}

function unitPriceOf(
  pricing: PricingJson,
  route: string,
): { readonly text: string; readonly isFree: boolean } {
  const perMillion = (perToken: string) => `$${Number((Number(perToken) * 1e6).toPrecision(12))}`;
  const one = (price: string, text: string) => ({ text, isFree: Number(price) === 0 });
  const { prompt, completion, character, image, audio_millisecond: millisecond } = pricing;
  if (route === "images") return one(image, `$${image} an image`);
  if (route === "transcriptions") return one(millisecond, `$${Number(millisecond) * 60_000} a minute`);
  if (route === "speech" || route === "moderations")
    return one(character, `${perMillion(character)} per 1M characters`);
  if (route === "embeddings") return one(prompt, `${perMillion(prompt)} per 1M tokens`);
  const text = `${perMillion(prompt)} in, ${perMillion(completion)} out per 1M tokens`;
  return { text, isFree: Number(prompt) === 0 && Number(completion) === 0 };
}
