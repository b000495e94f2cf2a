import { ensureModel } from "@aimo/node/register";
import { waitForReceipt } from "@aimo/protocol/action";
import * as registry from "@aimo/protocol/actions/registry";
import { type Price, type Prices, packKinds } from "@aimo/protocol/units";
import type { PriceVersion } from "../core/types.ts";
import type { ChainReader, ChainSender } from "./sender.ts";

/** Id of a model by its slug, 0 when it has none. */
export function modelIdOf(client: ChainReader, slug: string): Promise<number> {
  const { public: reader, deployment, readAt: blockTag } = client;
  return registry.modelIdOf(reader, { deployment, slug: slug.toLowerCase(), blockTag });
}

/** Gives a slug its id if it has none; returns the id. Throws `transaction_failed`. */
export function registerModel(client: ChainSender, slug: string): Promise<number> {
  const { public: reader, deployment, transactions: sender } = client;
  return ensureModel({ reader, sender, deployment }, slug);
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
  const { public: reader, deployment, transactions } = client;
  const [p0, p1, p2] = prices;
  const ids = { deployment, providerId, modelId };
  const price = { p0, p1, p2, kinds: packKinds(kinds), label: `price of model ${modelId}` };
  const hash = await registry.setPrice(transactions, { ...ids, ...price });
  const { blockNumber } = await waitForReceipt(reader, { hash });
  return registry.latestVersion(reader, { ...ids, blockNumber });
}

/** Newest version of a price, perhaps not in force yet; 0 when there is none. */
export function latestVersion(client: ChainReader, providerId: number, modelId: number): Promise<number> {
  const { public: reader, deployment, readAt: blockTag } = client;
  return registry.latestVersion(reader, { deployment, providerId, modelId, blockTag });
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
  const { public: reader, deployment, readAt: blockTag } = client;
  const latest = await latestVersion(client, providerId, modelId);
  const first = Math.max(1, latest - VERSIONS_READ + 1);
  const numbers = Array.from({ length: latest === 0 ? 0 : latest - first + 1 }, (_, index) => first + index);
  return Promise.all(
    numbers.map(async (version) => {
      const parameters = { deployment, providerId, modelId, version, blockTag };
      const { p0, p1, p2, effectiveFrom, kinds } = await registry.priceOf(reader, parameters);
      return { version, prices: [p0, p1, p2] as const, effectiveFrom, kinds };
    }),
  );
}
