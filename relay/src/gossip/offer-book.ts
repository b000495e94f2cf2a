import type { SignedAnnouncement } from "@aimo/node/announcements";
import type { Announcement, ModelOffer } from "@aimo/protocol/announcement";
import type { Address } from "viem";
import type { Offer } from "../core/types.ts";
import type { OfferBook, ProviderRegistry } from "../flow/ports.ts";

/** Providers kept at once. The registry bounds who may announce; this bounds memory should it grow beyond reason. */
export const MAX_PROVIDERS = 4_096;
/** Models ever heard of, for telling "not now" from "never". Names are at most 128 characters. */
const MAX_KNOWN_MODELS = 16_384;

/** How often offers are looked at again whose price was still being read. */
const RESHAPE_MS = 250;

type Entry = {
  readonly announcement: Announcement;
  readonly signer: Address;
  /** Shaped once per announcement, and again while a price was not known yet. */
  offers: readonly Offer[];
  isComplete: boolean;
};

export type LiveOffersOptions = {
  readonly registry: ProviderRegistry;
  /** Wall-clock milliseconds. */
  readonly now: () => number;
  /** Takes addresses without TLS that are not loopback: for networks that are closed in themselves. */
  readonly allowPlainHttp: boolean;
  /** Told what a provider offers from now on: with each announcement, when a price came to be known, and when it goes. */
  readonly onChange?: (providerId: number, offers: readonly Offer[]) => void;
};

/** The live offers of all providers: the latest announcement of each, until it expires. */
export class LiveOffers implements OfferBook {
  readonly #options: LiveOffersOptions;
  readonly #entries = new Map<number, Entry>();
  readonly #known = new Set<string>();
  #bySlug: ReadonlyMap<string, readonly Offer[]> = new Map();
  #isStale = false;
  #reshapeAt = 0;

  constructor(options: LiveOffersOptions) {
    this.#options = options;
  }

  /** Highest sequence heard of a provider, live or expired. */
  lastSequence(providerId: number): number | undefined {
    return this.#entries.get(providerId)?.announcement.sequence;
  }

  /** Takes in an announcement that was judged genuine; gives what it offers now. */
  accept({ announcement, signer }: SignedAnnouncement): readonly Offer[] {
    this.#makeRoom(announcement.providerId);
    const entry: Entry = { announcement, signer, offers: [], isComplete: false };
    this.#entries.delete(announcement.providerId);
    this.#entries.set(announcement.providerId, entry);
    this.#shape(entry);
    return entry.offers;
  }

  live(model: string): readonly Offer[] {
    const now = this.#options.now();
    return (this.#index(now).get(model) ?? []).filter(({ expiresAt }) => expiresAt > now);
  }

  all(): readonly Offer[] {
    const now = this.#options.now();
    return [...this.#index(now).values()].flat().filter(({ expiresAt }) => expiresAt > now);
  }

  /** By provider. */
  byProvider(): (readonly [providerId: number, offers: readonly Offer[]])[] {
    return [...this.#entries].map(([providerId, { offers }]) => [providerId, offers]);
  }

  /** Looks again at offers whose price was not known, as every reader does. */
  refresh(): void {
    this.#index(this.#options.now());
  }

  knows(model: string): boolean {
    return this.#known.has(model);
  }

  /** Offers by model: built when an announcement came since, not for each request. */
  #index(now: number): ReadonlyMap<string, readonly Offer[]> {
    if (now >= this.#reshapeAt) {
      this.#reshapeAt = now + RESHAPE_MS;
      for (const entry of this.#entries.values()) if (!entry.isComplete) this.#shape(entry);
    }
    if (this.#isStale) {
      const offers = [...this.#entries.values()].flatMap((entry) => entry.offers);
      this.#bySlug = Map.groupBy(offers, ({ model }) => model.slug);
      this.#isStale = false;
    }
    return this.#bySlug;
  }

  #shape(entry: Entry): void {
    this.#isStale = true;
    const { announcement } = entry;
    const endpoint = originOf(announcement.endpoint, this.#options.allowPlainHttp);
    entry.offers =
      endpoint === undefined
        ? []
        : announcement.models.flatMap((model) => this.#offer(entry, model, endpoint));
    entry.isComplete = endpoint === undefined || entry.offers.length === announcement.models.length;
    for (const { model } of entry.offers)
      if (this.#known.size < MAX_KNOWN_MODELS) this.#known.add(model.slug);
    this.#options.onChange?.(announcement.providerId, entry.offers);
  }

  #offer({ announcement, signer }: Entry, model: ModelOffer, endpoint: string): Offer[] {
    const { registry } = this.#options;
    const { providerId, region, expiresAt } = announcement;
    const price = registry.priceOf(providerId, model.modelId, model.priceVersion);
    if (!price || !registry.isModel(model.modelId, model.slug)) return [];
    return [{ providerId, signer, endpoint, region, model, price, expiresAt }];
  }

  /** Lets the one that was silent longest go. */
  #makeRoom(providerId: number): void {
    if (this.#entries.has(providerId) || this.#entries.size < MAX_PROVIDERS) return;
    const [oldest] = this.#entries.keys();
    if (oldest === undefined) return;
    this.#entries.delete(oldest);
    this.#options.onChange?.(oldest, []);
  }
}

const LOOPBACK = /^(localhost|127(\.\d{1,3}){3}|\[::1\])$/;

/** The origin to call, or undefined: TLS is required wherever the address is not loopback. */
export function originOf(endpoint: string, allowPlainHttp: boolean): string | undefined {
  const url = URL.parse(endpoint);
  if (url?.username !== "" || url.password !== "") return undefined;
  const isPlain = url.protocol === "http:" && (allowPlainHttp || LOOPBACK.test(url.hostname));
  return url.protocol === "https:" || isPlain ? url.origin : undefined;
}
