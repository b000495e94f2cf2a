import { AimoError } from "@aimo/protocol/errors";
import type { FastifyPluginAsync } from "fastify";
import { endpointsJson, providersJson, type Seen } from "../core/endpoints-list.ts";
import { listModels } from "../core/models-list.ts";
import { findModels, readModelsQuery } from "../core/models-query.ts";
import type { OfferBook } from "../flow/ports.ts";
import { ModelsQuerySchema, open } from "./schemas.ts";

export type ModelsOptions = {
  readonly offers: Pick<OfferBook, "all" | "live" | "knows">;
  readonly feeBps: () => number;
  /** What this relay saw of providers. */
  readonly seen: Seen;
};

const ENDPOINTS = "/endpoints";

/** What can be called, at which price, from whom, and how well that went. Open to all. */
export const modelsRoutes: FastifyPluginAsync<ModelsOptions> = async (app, { offers, feeBps, seen }) => {
  app.get<{ Querystring: Record<string, unknown> }>(
    "/v1/models",
    {
      schema: {
        ...open("listModels", "Models on offer now, with prices and providers"),
        querystring: ModelsQuerySchema,
      },
      // The schema is for readers: `readModelsQuery` judges, and names the parameter.
      validatorCompiler: () => () => true,
    },
    async ({ query }) => ({
      object: "list",
      data: findModels(offers.all(), readModelsQuery(query), { relayFeeBps: feeBps(), seen }),
    }),
  );
  // A wildcard: the name of a model may hold a slash.
  app.get<{ Params: { "*": string } }>(
    "/v1/models/*",
    { schema: open("getModel", "One model; with /endpoints after its name, who serves it and how well") },
    async ({ params }) => {
      const name = params["*"].toLowerCase();
      const [model] = listModels(offers.live(name), feeBps());
      if (model) return model;
      const slug = name.endsWith(ENDPOINTS) ? name.slice(0, -ENDPOINTS.length) : undefined;
      const endpoints = slug === undefined ? undefined : endpointsJson(offers.live(slug), seen);
      if (endpoints) return endpoints;
      throw new AimoError(offers.knows(slug ?? name) ? "model_unavailable" : "model_not_found", {
        ...(offers.knows(slug ?? name)
          ? {}
          : { message: `No provider offers a model named ${slug ?? name}.` }),
        param: "model",
      });
    },
  );
  app.get(
    "/v1/providers",
    { schema: open("listProviders", "Providers with a live offer, and how they did lately") },
    async () => ({ data: providersJson(offers.all(), seen) }),
  );
};
