import { Rates, type RateVerdict } from "../core/rates.ts";
import type { Tiers } from "../core/tiers.ts";
import type { KeyRecord } from "./ports.ts";

export type RequestRatesParameters = {
  /** Requests per minute of one key that has no limit of its own, session or, without either, address. */
  readonly requestsPerMinute: number;
  readonly tiers: Tiers;
  readonly now: () => number;
};

type Limited = Pick<KeyRecord, "hash" | "userId" | "owner" | "requestsPerMinute">;
type Limit = { readonly subject: string; readonly limit: number };

/** Part of a minute's requests that lines of batches leave alone: whoever waits for an answer finds it at any time. */
const KEPT_SHARE = 0.5;

/** Requests per minute of all who call: one for all of a relay's processes, and for what runs in the background. */
export class RequestRates {
  readonly #parameters: RequestRatesParameters;
  readonly #rates = new Rates();

  constructor(parameters: RequestRatesParameters) {
    this.#parameters = parameters;
  }

  /** Takes one request of a session or an address. */
  take(subject: string): RateVerdict {
    const { requestsPerMinute, now } = this.#parameters;
    return this.#rates.take(subject, requestsPerMinute, { now: now() });
  }

  /** What of its minute is left; takes nothing. */
  peek(subject: string): RateVerdict {
    const { requestsPerMinute, now } = this.#parameters;
    return this.#rates.peek(subject, requestsPerMinute, { now: now() });
  }

  peekOfKey(record: Limited): RateVerdict {
    const { subject, limit } = this.#ofKey(record);
    return this.#rates.peek(subject, limit, { now: this.#parameters.now() });
  }

  /** Takes one request of the key and of its account, or, where one of them is used up, of neither; gives the tighter. */
  takeOfKey(record: Limited): RateVerdict {
    const now = this.#parameters.now();
    const [key, account] = [this.#ofKey(record), this.#ofAccount(record)];
    const whole = this.#rates.peek(account.subject, account.limit, { now });
    if (!whole.allowed) return whole;
    const ofKey = this.#rates.take(key.subject, key.limit, { now });
    if (!ofKey.allowed) return ofKey;
    const ofAccount = this.#rates.take(account.subject, account.limit, { now });
    return ofAccount.remaining < ofKey.remaining ? ofAccount : ofKey;
  }

  /**
   * The same for what has time: only of what is there beside the part that is kept for others. Gives the milliseconds to
   * wait before another try; 0: it is taken.
   */
  takeSpare(record: Limited): number {
    const now = this.#parameters.now();
    const both = [this.#ofKey(record), this.#ofAccount(record)];
    const waits = both.map(({ subject, limit }) => {
      const cost = 1 + Math.floor(limit * KEPT_SHARE);
      return this.#rates.peek(subject, limit, { now, cost }).retryMs;
    });
    const waitMs = Math.max(...waits);
    if (waitMs === 0) for (const { subject, limit } of both) this.#rates.take(subject, limit, { now });
    return waitMs;
  }

  #ofKey({ hash, requestsPerMinute }: Limited): Limit {
    return { subject: hash, limit: requestsPerMinute ?? this.#parameters.requestsPerMinute };
  }

  #ofAccount({ userId, owner }: Limited): Limit {
    const { tiers } = this.#parameters;
    return {
      subject: `account ${userId}`,
      limit: tiers.limitsOf(tiers.tierOf(owner)).requestsPerMinute,
    };
  }
}
