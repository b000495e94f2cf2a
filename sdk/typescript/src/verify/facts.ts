import { registryAbi } from "@aimo/protocol/abi/registry";
import { settlementAbi } from "@aimo/protocol/abi/settlement";
import { ROLES } from "@aimo/protocol/deployment";
import { domainSeparator } from "@aimo/protocol/typed-data";
import { unpackKinds } from "@aimo/protocol/units";
import { PRICE_GRACE_SECONDS } from "@aimo/protocol/windows";
import { asking, readEvents, type Snapshot } from "./snapshot.ts";
import type { ChainFacts, PriceOnChain, SignerOnChain } from "./types.ts";

/** What receipts of a relay are checked against. Reads once what is asked for. Throws `chain_unavailable`. */
export async function readFacts(snapshot: Snapshot, relayId: number): Promise<ChainFacts> {
  const { client, deployment, blockNumber } = snapshot;
  const { settlement } = deployment.contracts;
  const windows = await asking(() =>
    client.readContract({ address: settlement, abi: settlementAbi, functionName: "windows", blockNumber }),
  );
  const fees = await readFees(snapshot, relayId);
  const signers = new Map<number, Promise<readonly SignerOnChain[]>>();
  const prices = new Map<string, Promise<PriceOnChain | undefined>>();
  return {
    relayId,
    separator: domainSeparator({ chainId: deployment.chainId, verifyingContract: settlement }),
    postWindow: windows.post,
    feeBoundAt: (issuedAt) => highestFee(fees, issuedAt),
    signersOf: (providerId) =>
      remember(signers, providerId, () => readSigners(snapshot, providerId, windows.signerThaw)),
    priceOf: (providerId, modelId, version) =>
      remember(prices, `${providerId}/${modelId}/${version}`, () =>
        readPrice(snapshot, providerId, modelId, version),
      ),
  };
}

function remember<K, V>(known: Map<K, Promise<V>>, key: K, read: () => Promise<V>): Promise<V> {
  const found = known.get(key) ?? read();
  known.set(key, found);
  return found;
}

type Fee = { readonly bps: number; readonly from: number };

async function readFees(snapshot: Snapshot, relayId: number): Promise<readonly Fee[]> {
  const { client, deployment } = snapshot;
  const address = deployment.contracts.registry;
  const registered = await readEvents(snapshot, (range) =>
    client.getContractEvents({
      address,
      abi: registryAbi,
      eventName: "RelayRegistered",
      args: { relayId },
      ...range,
      strict: true,
    }),
  );
  const changes = await readEvents(snapshot, (range) =>
    client.getContractEvents({
      address,
      abi: registryAbi,
      eventName: "RelayFeeChanged",
      args: { relayId },
      ...range,
      strict: true,
    }),
  );
  return [
    ...registered.map(({ args }) => ({ bps: args.feeBps, from: 0 })),
    ...changes.map(({ args }) => ({ bps: args.feeBps, from: args.changedAt })),
  ];
}

/** The fee in force then, or a higher one that it had replaced just before (protocol section 2). */
function highestFee(fees: readonly Fee[], issuedAt: number): number {
  const allowed = fees.filter(({ from }, index) => {
    const until = fees[index + 1]?.from ?? Number.POSITIVE_INFINITY;
    return from <= issuedAt && issuedAt < until + PRICE_GRACE_SECONDS;
  });
  return Math.max(0, ...allowed.map(({ bps }) => bps));
}

/** Every key of a provider with the time for which it was valid, from the events of its whole life. */
async function readSigners(
  snapshot: Snapshot,
  providerId: number,
  thaw: number,
): Promise<readonly SignerOnChain[]> {
  const { client, deployment, blockNumber } = snapshot;
  const address = deployment.contracts.registry;
  const provider = await asking(() =>
    client.readContract({
      address,
      abi: registryAbi,
      functionName: "providerOf",
      args: [providerId],
      blockNumber,
    }),
  );
  if (provider.registeredAt === 0) return [];
  const filter = { role: ROLES.provider, id: providerId };
  const rotations = await readEvents(snapshot, (range) =>
    client.getContractEvents({
      address,
      abi: registryAbi,
      eventName: "SignerRotated",
      args: filter,
      ...range,
      strict: true,
    }),
  );
  const left = await readEvents(snapshot, (range) =>
    client.getContractEvents({
      address,
      abi: registryAbi,
      eventName: "Deactivated",
      args: filter,
      ...range,
      strict: true,
    }),
  );
  const former = rotations.map(({ args }, index) => ({
    key: args.oldSigner,
    validFrom: (rotations[index - 1]?.args.oldValidUntil ?? provider.registeredAt + thaw) - thaw,
    validUntil: args.oldValidUntil,
  }));
  const lastRotation = rotations.at(-1)?.args.oldValidUntil ?? provider.registeredAt + thaw;
  const validUntil = left[0]?.args.signerValidUntil ?? Number.POSITIVE_INFINITY;
  return [...former, { key: provider.signer, validFrom: lastRotation - thaw, validUntil }];
}

async function readPrice(
  { client, deployment, blockNumber }: Snapshot,
  providerId: number,
  modelId: number,
  version: number,
): Promise<PriceOnChain | undefined> {
  const read = (wanted: number) =>
    asking(() =>
      client.readContract({
        address: deployment.contracts.registry,
        abi: registryAbi,
        functionName: "priceOf",
        args: [providerId, modelId, wanted],
        blockNumber,
      }),
    );
  const [price, next] = await Promise.all([read(version), read(version + 1)]);
  if (price.effectiveFrom === 0) return undefined;
  return {
    prices: [price.p0, price.p1, price.p2],
    kinds: unpackKinds(price.kinds),
    effectiveFrom: price.effectiveFrom,
    effectiveUntil: next.effectiveFrom === 0 ? undefined : next.effectiveFrom,
  };
}
