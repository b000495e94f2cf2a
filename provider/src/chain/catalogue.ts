import { AimoError } from "@aimo/protocol/errors";
import { packKinds } from "@aimo/protocol/units";
import { kindsOf } from "../core/prices.ts";
import type { Model, ServedModel } from "../core/types.ts";
import type { Catalogue } from "../flow/ports.ts";
import {
  latestVersion,
  modelIdOf,
  type PriceOnChain,
  readPrices,
  registerModel,
  setPrice,
} from "./prices.ts";
import type { ChainReader, ChainSender } from "./sender.ts";

/** The configured models with the prices on-chain; `refresh` reads them again. */
export type ChainCatalogue = Catalogue & { refresh(): Promise<void> };

export async function createCatalogue(
  client: ChainReader,
  providerId: number,
  models: readonly Model[],
): Promise<ChainCatalogue> {
  let served: readonly ServedModel[] = [];
  const refresh = async () => {
    const known = new Map(served.map((model) => [model.slug, model]));
    const read = await Promise.all(
      models.map((model) => readModel(client, providerId, model, known.get(model.slug))),
    );
    served = read.filter((model) => model !== undefined);
  };
  await refresh();
  return {
    byId: (modelId) => served.find((model) => model.modelId === modelId),
    bySlug: (slug) => served.find((model) => model.slug === slug.toLowerCase()),
    all: () => served,
    refresh,
  };
}

async function readModel(
  client: ChainReader,
  providerId: number,
  model: Model,
  known: ServedModel | undefined,
): Promise<ServedModel | undefined> {
  const modelId = known?.modelId ?? (await modelIdOf(client, model.slug));
  if (modelId === 0) return undefined;
  // Versions never change, so that no news is one call.
  if (known && (await latestVersion(client, providerId, modelId)) === known.versions.at(-1)?.version)
    return known;
  const versions = await readPrices(client, providerId, modelId);
  return { ...model, modelId, versions: versions.filter((one) => isOfRoute(one, model)) };
}

const isOfRoute = ({ kinds }: PriceOnChain, { route }: Model) => kinds === packKinds(kindsOf(route));

/** A configured model whose registration or price on-chain is another. */
export type PriceDifference = { readonly model: Model; readonly problem: string };

/** Compares the configuration with the chain: the newest version, in force or waiting, must be the configured one. */
export async function comparePrices(
  client: ChainReader,
  providerId: number,
  models: readonly Model[],
): Promise<readonly PriceDifference[]> {
  const compared = models.map(async (model): Promise<PriceDifference | undefined> => {
    const modelId = await modelIdOf(client, model.slug);
    if (modelId === 0) return { model, problem: "is not registered" };
    const newest = (await readPrices(client, providerId, modelId)).at(-1);
    if (!newest) return { model, problem: "has no price on-chain" };
    const equal =
      isOfRoute(newest, model) && newest.prices.every((price, index) => price === model.prices[index]);
    if (equal) return undefined;
    const [chain, config] = [newest.prices.join("/"), model.prices.join("/")];
    return { model, problem: `costs ${chain} pUSD on-chain and ${config} in the configuration` };
  });
  return (await Promise.all(compared)).filter((one) => one !== undefined);
}

/** Registers models and sets prices where the chain differs. The sender must own the provider. */
export async function syncPrices(
  client: ChainSender,
  providerId: number,
  models: readonly Model[],
): Promise<readonly PriceDifference[]> {
  const differences = await comparePrices({ ...client, readAt: "latest" }, providerId, models);
  for (const { model } of differences) {
    const modelId = await registerModel(client, model.slug);
    await setPrice(client, { providerId, modelId, prices: model.prices, kinds: kindsOf(model.route) });
  }
  return differences;
}

/** `config_invalid` that names every model whose price differs. */
export function differenceError(differences: readonly PriceDifference[]): AimoError {
  const list = differences.map(({ model, problem }) => `${model.slug} ${problem}`).join("; ");
  return new AimoError("config_invalid", {
    message: `Setting models differs from the chain: ${list}. Set the prices with the owner's key (sync_prices).`,
    param: "models",
    details: { models: differences.map(({ model }) => model.slug) },
  });
}
