import { protocolClockAbi } from "@aimo/protocol/abi/protocol-clock";
import { registryAbi } from "@aimo/protocol/abi/registry";
import { stakeManagerAbi } from "@aimo/protocol/abi/stake-manager";
import { ROLES } from "@aimo/protocol/deployment";
import { feeBoundAt, type ReceiptFacts, type RelayFee } from "@aimo/protocol/judgement";
import { domainSeparator } from "@aimo/protocol/typed-data";
import { unpackKinds } from "@aimo/protocol/units";
import { CLOCK_TOLERANCE_SECONDS, PRICE_GRACE_SECONDS } from "@aimo/protocol/windows";
import type { Address } from "viem";
import { asking, readEvents, type Snapshot } from "./snapshot.ts";
import type { ChainFacts, PriceOnChain, SignerOnChain } from "./types.ts";

/** What receipts of a relay are checked against. Reads once what is asked for. Throws `chain_unavailable`. */
export async function readFacts(snapshot: Snapshot, relayId: number): Promise<ChainFacts> {
  const { client, deployment, blockNumber } = snapshot;
  const { settlement, clock } = deployment.contracts;
  const windows = await asking(() =>
    client.readContract({ address: clock, abi: protocolClockAbi, functionName: "windows", blockNumber }),
  );
  const fees = await readFees(snapshot, relayId);
  const signers = new Map<number, Promise<readonly SignerOnChain[]>>();
  const prices = new Map<string, Promise<PriceOnChain | undefined>>();
  const providers = new Map<number, Promise<ProviderOnChain>>();
  const providerOf = (id: number) => remember(providers, id, () => readProvider(snapshot, id));
  return {
    relayId,
    separator: domainSeparator({ chainId: deployment.chainId, verifyingContract: settlement }),
    postWindow: windows.post,
    feeBoundAt: (issuedAt) => feeBoundAt(fees, issuedAt),
    providerOf: async (providerId) => {
      const provider = await providerOf(providerId);
      return provider.registeredAt === 0 ? undefined : provider;
    },
    wasStaked: stakeReader(snapshot),
    signersOf: (providerId) =>
      remember(signers, providerId, async () =>
        readSigners(snapshot, providerId, await providerOf(providerId), windows.signerThaw),
      ),
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

/** A time that any span in which a provider must have been active has one multiple of. */
const STAKE_STEP = PRICE_GRACE_SECONDS + CLOCK_TOLERANCE_SECONDS;

/** Asks for one second of many spans first, and for the span itself only where that says no. */
function stakeReader(snapshot: Snapshot): ChainFacts["wasStaked"] {
  const known = new Map<string, Promise<boolean>>();
  const ask = (providerId: number, from: number, to: number) =>
    remember(known, `${providerId}/${from}/${to}`, () => readStaked(snapshot, providerId, from, to));
  return async (providerId, from, to) => {
    const second = to - (to % STAKE_STEP);
    const isInside = second >= from && (await ask(providerId, second, second));
    return isInside || ask(providerId, from, to);
  };
}

function readStaked(
  { client, deployment, blockNumber }: Snapshot,
  providerId: number,
  from: number,
  to: number,
): Promise<boolean> {
  return asking(() =>
    client.readContract({
      address: deployment.contracts.stakeManager,
      abi: stakeManagerAbi,
      functionName: "wasStaked",
      args: [ROLES.provider, providerId, from, to],
      blockNumber,
    }),
  );
}

type ProviderOnChain = NonNullable<ReceiptFacts["provider"]> & { readonly signer: Address };

/** Registered at 0: there is none. */
function readProvider(
  { client, deployment, blockNumber }: Snapshot,
  providerId: number,
): Promise<ProviderOnChain> {
  return asking(() =>
    client.readContract({
      address: deployment.contracts.registry,
      abi: registryAbi,
      functionName: "providerOf",
      args: [providerId],
      blockNumber,
    }),
  );
}

async function readFees(snapshot: Snapshot, relayId: number): Promise<readonly RelayFee[]> {
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

/** Every key of a provider with the time for which it was valid, from the events of its whole life. */
async function readSigners(
  snapshot: Snapshot,
  providerId: number,
  provider: ProviderOnChain,
  thaw: number,
): Promise<readonly SignerOnChain[]> {
  const { client, deployment } = snapshot;
  const address = deployment.contracts.registry;
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
