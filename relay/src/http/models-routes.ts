import { AimoError } from "@aimo/protocol/errors";
import type { FastifyPluginAsync } from "fastify";
import { listModels } from "../core/models-list.ts";
import type { OfferBook } from "../flow/ports.ts";
import { open } from "./schemas.ts";

export type ModelsOptions = {
  readonly offers: Pick<OfferBook, "all" | "live" | "knows">;
  readonly feeBps: () => number;
};

/** What can be called, at which price, from whom. Open to all. */
export const modelsRoutes: FastifyPluginAsync<ModelsOptions> = async (app, { offers, feeBps }) => {
  app.get(
    "/v1/models",
    { schema: open("listModels", "Models on offer now, with prices and providers") },
    async () => ({
      object: "list",
      data: listModels(offers.all(), feeBps()),
    }),
  );
  // A wildcard: the name of a model may hold a slash.
  app.get<{ Params: { "*": string } }>(
    "/v1/models/*",
    { schema: open("getModel", "One model") },
    async ({ params }) => {
      const slug = params["*"].toLowerCase();
      const [model] = listModels(offers.live(slug), feeBps());
      if (model) return model;
      throw new AimoError(offers.knows(slug) ? "model_unavailable" : "model_not_found", { param: "model" });
    },
  );
};
