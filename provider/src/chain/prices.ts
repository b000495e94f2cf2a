import { registryAbi } from "@aimo/protocol/abi/registry";
import { type Price, type Prices, packKinds } from "@aimo/protocol/units";
import { encodeFunctionData } from "viem";
import type { PriceVersion } from "../core/types.ts";
import { askChain, type ChainReader, type ChainSender } from "./sender.ts";

/** Id of a model by its slug, 0 when it has none. */
export function modelIdOf(client: ChainReader, slug: string): Promise<number> {
  return askChain(() =>
    client.public.readContract({
      address: client.deployment.contracts.registry,
      abi: registryAbi,
      functionName: "modelIdOf",
      args: [slug.toLowerCase()],
      blockTag: client.readAt,
    }),
  );
}

/** Gives a slug its id if it has none; returns the id. Throws `transaction_failed`. */
export async function registerModel(client: ChainSender, slug: string): Promise<number> {
  const { deployment, transactions } = client;
  const { registry } = deployment.contracts;
  const known = await modelIdOf({ ...client, readAt: "latest" as ChainReader["readAt"] }, slug);
  if (known !== 0) return known;
  const data = encodeFunctionData({
    abi: registryAbi,
    functionName: "registerModel",
    args: [slug.toLowerCase()],
  });
  await transactions.send({ to: registry, data, label: `registration of model ${slug}` });
  return modelIdOf({ ...client, readAt: "latest" }, slug);
}

export type SetPriceParameters = {
  readonly providerId: number;
  readonly modelId: number;
  readonly prices: Prices;
  readonly kinds: Price["kinds"];
};

/**
 * Sets a provider's price of a model, by its owner. A rise begins after the notice. Returns the new version.
 * Throws `transaction_failed`, e.g. while another rise waits.
 */
export async function setPrice(client: ChainSender, parameters: SetPriceParameters): Promise<number> {
  const { providerId, modelId, prices, kinds } = parameters;
  const { registry } = client.deployment.contracts;
  const data = encodeFunctionData({
    abi: registryAbi,
    functionName: "setPrice",
    args: [providerId, modelId, ...prices, packKinds(kinds)],
  });
  await client.transactions.send({ to: registry, data, label: `price of model ${modelId}` });
  return latestVersion({ ...client, readAt: "latest" }, providerId, modelId);
}

/** Newest version of a price, perhaps not in force yet; 0 when there is none. */
export function latestVersion(client: ChainReader, providerId: number, modelId: number): Promise<number> {
  return askChain(() =>
    client.public.readContract({
      address: client.deployment.contracts.registry,
      abi: registryAbi,
      functionName: "latestVersion",
      args: [providerId, modelId],
      blockTag: client.readAt,
    }),
  );
}

export type PriceOnChain = PriceVersion & { readonly kinds: number };

/** The latest versions, oldest first: one that waits, the one in force, and the one before, whose grace may last. */
const VERSIONS_READ = 3;

/** A provider's latest price versions of a model, oldest first; empty when it has none. */
export async function readPrices(
  client: ChainReader,
  providerId: number,
  modelId: number,
): Promise<readonly PriceOnChain[]> {
  const { public: reader, readAt: blockTag, deployment } = client;
  const latest = await latestVersion(client, providerId, modelId);
  const first = Math.max(1, latest - VERSIONS_READ + 1);
  const numbers = Array.from({ length: latest === 0 ? 0 : latest - first + 1 }, (_, index) => first + index);
  return askChain(() =>
    Promise.all(
      numbers.map(async (version) => {
        const { p0, p1, p2, effectiveFrom, kinds } = await reader.readContract({
          address: deployment.contracts.registry,
          abi: registryAbi,
          functionName: "priceOf",
          args: [providerId, modelId, version],
          blockTag,
        });
        return { version, prices: [p0, p1, p2] as const, effectiveFrom, kinds };
      }),
    ),
  );
}
