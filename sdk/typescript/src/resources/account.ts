import type { BillPage, GenerationProof, SettlementBill } from "@aimo/protocol/bill";
import type { GenerationJson } from "@aimo/protocol/generation";
import type { ModelJson } from "@aimo/protocol/model-routes";
import type { ChannelJson, CreditsJson, KeyJson, WellKnown } from "@aimo/protocol/routes";
import type { Address, Hex } from "viem";
import type { RequestOptions, Transport } from "../transport.ts";

type ModelsResponse = { readonly object: "list"; readonly data: readonly ModelJson[] };

export type Models = {
  /** Models that a provider offers now, with prices. */
  list(options?: RequestOptions): Promise<ModelsResponse>;
};
/** `after`: number of the last batch that is known; `limit`: batches at most, up to 1,000. */
export type BillPageQuery = { readonly after?: bigint | number | string; readonly limit?: number };
export type Settlements = {
  /** Batches on the chain that have a row of this account, oldest first; `has_more`: ask again after the last. */
  list(page?: BillPageQuery, options?: RequestOptions): Promise<BillPage>;
  /** Every receipt of this account's row in a batch, with its proof. Check it with `verifyBill`. */
  retrieve(batchNo: bigint | number | string, options?: RequestOptions): Promise<SettlementBill>;
};

export type KeySettings = {
  readonly name?: string;
  /** USD per reset period. */
  readonly limit?: number | null;
  readonly limit_reset?: "daily" | "weekly" | "monthly" | null;
  readonly models?: readonly string[] | null;
  /** ISO 8601. */
  readonly expires_at?: string | null;
  readonly disabled?: boolean;
  /** Requests and tokens per minute, requests in flight; null lifts the limit. */
  readonly requests_per_minute?: number | null;
  readonly tokens_per_minute?: number | null;
  readonly max_in_flight?: number | null;
  /** IP addresses and ranges (CIDR) that the key may be used from; null: any. */
  readonly allowed_ips?: readonly string[] | null;
  /** Whether streams end with their usage always, or where a request asks for it. */
  readonly show_usage?: "always" | "asked";
};
export type Keys = {
  /** Makes a key. Its text is in this answer and never again. */
  create(
    settings: KeySettings,
    options?: RequestOptions,
  ): Promise<{ readonly key: string; readonly data: KeyJson }>;
  list(options?: RequestOptions): Promise<{ readonly data: readonly KeyJson[] }>;
  retrieve(hash: string, options?: RequestOptions): Promise<{ readonly data: KeyJson }>;
  update(hash: string, settings: KeySettings, options?: RequestOptions): Promise<{ readonly data: KeyJson }>;
  delete(hash: string, options?: RequestOptions): Promise<void>;
};

/** A user's signature that lets a relay open a channel for it, at the relay's gas. Amounts in pUSD. */
export type SpendAuthorizationJson = {
  readonly user: Address;
  readonly relayId: number;
  readonly sessionKey: Address;
  readonly amount: string;
  readonly expiry: number;
  readonly mode: number;
  readonly nonce: string;
  readonly deadline: number;
  readonly signature: Hex;
};
export type Channels = {
  list(options?: RequestOptions): Promise<{ readonly data: readonly ChannelJson[] }>;
  /** Opens a channel by signature; needs a session of `signIn`. */
  open(
    authorization: SpendAuthorizationJson,
    options?: RequestOptions,
  ): Promise<{ readonly transaction: Hex }>;
};

export type Account = {
  readonly models: Models;
  readonly channels: Channels;
  readonly settlements: Settlements;
  readonly keys: Keys;
  readonly credits: (options?: RequestOptions) => Promise<CreditsJson>;
  readonly generation: (id: string, options?: RequestOptions) => Promise<GenerationJson>;
  readonly proof: (id: string, options?: RequestOptions) => Promise<GenerationProof>;
  readonly wellKnown: (options?: RequestOptions) => Promise<WellKnown>;
};

/** The routes that cost nothing. */
export function createAccount({ json, baseURL }: Transport): Account {
  const get = <T>(path: string, options: RequestOptions = {}) => json<T>({ ...options, method: "GET", path });
  // What these make would be made twice if the answer to the first try was lost.
  const once: RequestOptions = { maxRetries: 0 };
  const keyPath = (hash: string) => `/keys/${encodeURIComponent(hash)}`;
  return {
    models: { list: (options) => get("/models", options) },
    settlements: {
      list: ({ after, limit } = {}, options) => {
        const query = new URLSearchParams({
          ...(after === undefined ? {} : { after: String(after) }),
          ...(limit === undefined ? {} : { limit: String(limit) }),
        });
        return get(query.size === 0 ? "/settlements" : `/settlements?${query}`, options);
      },
      retrieve: (batchNo, options) => get(`/settlements/${encodeURIComponent(String(batchNo))}`, options),
    },
    channels: {
      list: (options) => get("/channels", options),
      open: (body, options) => json({ ...once, ...options, method: "POST", path: "/channels", body }),
    },
    keys: {
      create: (body, options) => json({ ...once, ...options, method: "POST", path: "/keys", body }),
      list: (options) => get("/keys", options),
      retrieve: (hash, options) => get(keyPath(hash), options),
      update: (hash, body, options) => json({ ...options, method: "PATCH", path: keyPath(hash), body }),
      delete: async (hash, options) => {
        await json<unknown>({ ...options, method: "DELETE", path: keyPath(hash) });
      },
    },
    credits: (options) => get("/credits", options),
    generation: (id, options) => get(`/generation?id=${encodeURIComponent(id)}`, options),
    proof: (id, options) => get(`/generation/${encodeURIComponent(id)}/proof`, options),
    wellKnown: (options) => get(new URL("/.well-known/aimo", baseURL).href, options),
  };
}
