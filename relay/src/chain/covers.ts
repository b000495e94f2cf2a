import { asking, type Chain } from "@aimo/node/chain";
import { followBlocks } from "@aimo/node/follow-blocks";
import { reservesAbi } from "@aimo/protocol/abi/reserves";
import { creditLimitOf, reserveOf } from "@aimo/protocol/actions/reserves";
import { providerAccountOf } from "@aimo/protocol/actions/settlement";
import type { ProviderCovers } from "../flow/ports.ts";

export type CoversParameters = {
  readonly chain: Pick<Chain, "public" | "deployment" | "readAt">;
  readonly relayId: number;
  /** Told what a provider was paid so far, at the block that nodes act on; pUSD. */
  readonly onPaid: (providerId: number, paid: bigint) => void;
  readonly intervalMs: number;
  readonly log: { warn(fields: object, message: string): void };
};

/** Providers that are followed; a relay has sessions with fewer. */
const MAX_WATCHED = 4_096;
/** All are read again this often, whatever the events said. */
const REFRESH_MS = 60_000;

/**
 * What providers lend this relay. An event of the reserves names whose numbers changed; they are read from storage, so a
 * missed event leaves them late and never wrong.
 */
export async function openCovers(parameters: CoversParameters): Promise<ProviderCovers & { stop(): void }> {
  const { chain, relayId, onPaid, log } = parameters;
  const { public: reader, deployment } = chain;
  const { reserves } = deployment.contracts;
  const covers = new Map<number, bigint | undefined>();
  const readAccount = (providerId: number, blockTag: "safe" | "latest") =>
    providerAccountOf(reader, { deployment, relayId, providerId, blockTag });
  const refresh = async (providerId: number) => {
    const blockTag = chain.readAt;
    const [reserve, limit, { paid }] = await Promise.all([
      reserveOf(reader, { deployment, relayId, providerId, blockTag }),
      creditLimitOf(reader, { deployment, providerId, blockTag }),
      readAccount(providerId, blockTag),
    ]);
    covers.set(providerId, reserve.amount - reserve.thawing + limit);
    onPaid(providerId, paid);
  };
  let refreshedAt = performance.now();
  const following = await followBlocks({
    ...{ chain, intervalMs: parameters.intervalMs, log, what: "Reserves" },
    look: async (range) => {
      const query = { address: reserves, abi: reservesAbi, strict: true, ...range } as const;
      const events = await ask(() => chain.public.getContractEvents(query));
      const isDue = performance.now() - refreshedAt >= REFRESH_MS;
      if (isDue) refreshedAt = performance.now();
      const touched = new Set(isDue ? covers.keys() : []);
      for (const { args } of events)
        if (!("relayId" in args) || args.relayId === relayId) touched.add(args.providerId);
      for (const providerId of touched) if (covers.has(providerId)) await refresh(providerId);
    },
  });
  return {
    watch(providerId) {
      if (covers.has(providerId) || covers.size >= MAX_WATCHED) return;
      covers.set(providerId, undefined);
      refresh(providerId).catch((error: unknown) => {
        covers.delete(providerId);
        log.warn({ err: error, providerId }, "A reserve could not be read; it is tried again.");
      });
    },
    coverOf: (providerId) => covers.get(providerId),
    readPaid: async (providerId) => (await readAccount(providerId, "latest")).paid,
    stop: () => following.stop(),
  };
}

const ask = <T>(read: () => Promise<T>): Promise<T> => asking("The chain's RPC endpoint", read);
