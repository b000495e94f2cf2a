import type { ModelJson } from "@aimo/protocol/routes";
import { AimoClient } from "@aimo/sdk";
import { table } from "../amounts.ts";
import { type Command, RELAY_OPTIONS } from "../command.ts";
import { loadSettings } from "../settings.ts";

export const list: Command = {
  name: "models list",
  summary: "List the models that providers offer now, with the lowest price",
  description: "Prices are the providers', without the relay's fee.",
  options: RELAY_OPTIONS,
  async run(input, context) {
    const { baseUrl, apiKey } = await loadSettings(input, context);
    const { data } = await new AimoClient({ baseURL: baseUrl, apiKey: apiKey ?? "" }).models.list();
    if (data.length === 0) return { text: "No provider offers a model right now.", json: data };
    const rows = data.map((model) => [
      model.id,
      model.aimo.route,
      priceOf(model),
      String(model.aimo.providers.length),
      model.description,
    ]);
    return { text: table(["Model", "Route", "Price", ">Providers", "Description"], rows), json: data };
  },
};

/** The prices that a model has: the routes use different units. */
function priceOf({ pricing, aimo }: ModelJson): string {
  const perMillion = (perToken: string) => `$${Number((Number(perToken) * 1e6).toPrecision(12))}`;
  if (aimo.route === "images") return `$${pricing.image} an image`;
  if (aimo.route === "transcriptions") return `$${Number(pricing.audio_millisecond) * 60_000} a minute`;
  if (aimo.route === "speech" || aimo.route === "moderations")
    return `${perMillion(pricing.character)} per 1M characters`;
  if (aimo.route === "embeddings") return `${perMillion(pricing.prompt)} per 1M tokens`;
  return `${perMillion(pricing.prompt)} in, ${perMillion(pricing.completion)} out per 1M tokens`;
}
