import type { Chain } from "@aimo/node/chain";
import { priceOf, signersOf, slugOf } from "@aimo/protocol/actions/registry";
import { isActive } from "@aimo/protocol/actions/stake-manager";
import { describeRpcError } from "@aimo/protocol/contract-errors";
import { ROLES } from "@aimo/protocol/deployment";
import { type Price, unpackKinds } from "@aimo/protocol/units";
import { PRICE_GRACE_SECONDS } from "@aimo/protocol/windows";
import type { Address } from "viem";
import type { ProviderRegistry } from "../flow/ports.ts";

export type RegistryParameters = {
  readonly chain: Pick<Chain, "public" | "deployment" | "readAt">;
  /** Protocol seconds. */
  readonly protocolNow: () => number;
  /** Monotonic milliseconds. */
  readonly now: () => number;
  readonly log: { debug(fields: object, message: string): void };
};

type Provider = {
  readonly signers: readonly {
    readonly key: Address;
    readonly validFrom: number;
    readonly validUntil: number;
  }[];
  readonly isActive: boolean;
};
type Version = { readonly price: Price; readonly from: number; readonly until: number };
type Entry<T> = { value: T | undefined; readAt: number; reading: boolean };

/** What is older than this is read again when it is asked for; the old answer serves until then. */
const REFRESH_MS = 10_000;
/** Far more registered things than any network has; they cost their owners money, so nobody fills this with junk. */
const MAX_ENTRIES = 50_000;
/** Junk costs nothing: of what the registry does not know, so much is remembered, the newest. */
const MAX_UNKNOWN = 1_000;
/** What is not known is looked up again after this, milliseconds. */
const RETRY_MS = 500;
/** Reads at once; what is asked for beyond them is read at its next announcement. */
const MAX_READS = 32;

/** Answers at once from memory and reads the chain behind: what is not known yet is refused, and known a moment later. */
export function createProviderRegistry(parameters: RegistryParameters): ProviderRegistry {
  const providers = new Cache<Provider>(parameters, (key) => readProvider(parameters, Number(key)));
  const models = new Cache<string>(parameters, (key) => readSlug(parameters, Number(key)));
  const prices = new Cache<Version>(parameters, (key) => {
    const [providerId = 0, modelId = 0, version = 0] = key.split("/").map(Number);
    return readVersion(parameters, { providerId, modelId, version });
  });
  return {
    refusal(providerId, signer) {
      const provider = providers.get(`${providerId}`);
      if (!provider) return "the provider is not known yet";
      if (!provider.isActive) return "the provider has left or has too little stake";
      const at = parameters.protocolNow();
      const isSigner = provider.signers.some(
        ({ key, validFrom, validUntil }) =>
          key.toLowerCase() === signer.toLowerCase() && validFrom <= at && at <= validUntil,
      );
      return isSigner ? undefined : "the signer is not the provider's";
    },
    priceOf(providerId, modelId, version) {
      const known = prices.get(`${providerId}/${modelId}/${version}`);
      const at = parameters.protocolNow();
      return known && known.from <= at && at < known.until + PRICE_GRACE_SECONDS ? known.price : undefined;
    },
    isModel: (modelId, slug) => models.get(`${modelId}`) === slug,
  };
}

class Cache<T> {
  readonly #parameters: RegistryParameters;
  readonly #read: (key: string) => Promise<T | undefined>;
  readonly #known = new Map<string, Entry<T>>();
  readonly #unknown = new Map<string, Entry<T>>();
  #reads = 0;

  constructor(parameters: RegistryParameters, read: (key: string) => Promise<T | undefined>) {
    this.#parameters = parameters;
    this.#read = read;
  }

  get(key: string): T | undefined {
    const entry = this.#known.get(key) ?? this.#unknown.get(key) ?? this.#add(key);
    const age = this.#parameters.now() - entry.readAt;
    const limit = entry.value === undefined ? RETRY_MS : REFRESH_MS;
    if (!entry.reading && age > limit && this.#reads < MAX_READS) this.#refresh(key, entry);
    return entry.value;
  }

  #add(key: string): Entry<T> {
    const entry: Entry<T> = { value: undefined, readAt: Number.NEGATIVE_INFINITY, reading: false };
    this.#unknown.set(key, entry);
    const [oldest] = this.#unknown.keys();
    if (this.#unknown.size > MAX_UNKNOWN && oldest !== undefined) this.#unknown.delete(oldest);
    return entry;
  }

  #refresh(key: string, entry: Entry<T>): void {
    entry.reading = true;
    this.#reads++;
    this.#read(key)
      .then((value) => {
        entry.value = value;
        if (value === undefined || this.#known.size >= MAX_ENTRIES) return;
        this.#unknown.delete(key);
        this.#known.set(key, entry);
      })
      .catch((error: unknown) =>
        this.#parameters.log.debug(
          { reason: describeRpcError(error), key },
          "The registry could not be read.",
        ),
      )
      .finally(() => {
        this.#reads--;
        entry.reading = false;
        entry.readAt = this.#parameters.now();
      });
  }
}

async function readProvider(
  { chain }: RegistryParameters,
  providerId: number,
): Promise<Provider | undefined> {
  const { public: reader, deployment, readAt: blockTag } = chain;
  const provider = { deployment, role: ROLES.provider, id: providerId, blockTag };
  const [staked, { current, previous }] = await Promise.all([
    isActive(reader, provider),
    signersOf(reader, provider),
  ]);
  const signers = [current, previous].map(({ key, validFrom, validUntil }) => ({
    key,
    validFrom,
    validUntil: validUntil === 0 ? Number.POSITIVE_INFINITY : validUntil,
  }));
  const registered = signers.filter(({ key }) => BigInt(key) !== 0n);
  return registered.length === 0 ? undefined : { isActive: staked, signers: registered };
}

async function readSlug({ chain }: RegistryParameters, modelId: number): Promise<string | undefined> {
  const { public: reader, deployment, readAt: blockTag } = chain;
  const slug = await slugOf(reader, { deployment, modelId, blockTag });
  return slug === "" ? undefined : slug;
}

async function readVersion(
  { chain }: RegistryParameters,
  { providerId, modelId, version }: { providerId: number; modelId: number; version: number },
): Promise<Version | undefined> {
  const { public: reader, deployment, readAt: blockTag } = chain;
  const read = (number: number) =>
    priceOf(reader, { deployment, providerId, modelId, version: number, blockTag });
  const [price, next] = await Promise.all([read(version), read(version + 1)]);
  if (price.effectiveFrom === 0) return undefined;
  return {
    price: { version, prices: [price.p0, price.p1, price.p2], kinds: unpackKinds(price.kinds) },
    from: price.effectiveFrom,
    until: next.effectiveFrom === 0 ? Number.POSITIVE_INFINITY : next.effectiveFrom,
  };
}
