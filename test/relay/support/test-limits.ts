import { Shedding } from "../../../relay/src/core/shedding.ts";
import { type Tier, type TierLimits, Tiers } from "../../../relay/src/core/tiers.ts";
import { Admission, type AdmissionLimits } from "../../../relay/src/flow/admission.ts";
import { RequestRates } from "../../../relay/src/flow/request-rates.ts";

const OPEN: TierLimits = { requestsPerMinute: 1_000_000, tokensPerMinute: 10 ** 12, concurrency: 100_000 };
const ROOM: AdmissionLimits = {
  maxInFlight: 4_096,
  maxInFlightPerAccount: 4_096,
  maxWaiting: 100,
  maxWaitMs: 2_000,
};

export type TestLimitsOptions = {
  readonly tier?: Tier;
  readonly tierLimits?: Partial<TierLimits>;
  readonly room?: Partial<AdmissionLimits>;
  readonly members?: Partial<Record<Tier, readonly string[]>>;
  readonly shedAtLagMs?: number;
  /** Of a key without a limit of its own. */
  readonly requestsPerMinute?: number;
  readonly now?: () => number;
};

/** Limits as a relay has them; none that a test would meet by default. */
export function testLimits({ tier = "pro", now = Date.now, ...options }: TestLimitsOptions = {}) {
  const limits = { ...OPEN, ...options.tierLimits };
  const tiers = new Tiers({
    defaultTier: tier,
    limits: { free: limits, pro: limits, enterprise: limits },
    members: { free: [], pro: [], enterprise: [], ...options.members },
  });
  const shedding = new Shedding(options.shedAtLagMs ?? 0);
  const { requestsPerMinute = OPEN.requestsPerMinute } = options;
  return {
    tiers,
    rates: new RequestRates({ requestsPerMinute, tiers, now }),
    shedding,
    admission: new Admission({ tiers, shedding, limits: { ...ROOM, ...options.room }, now }),
  };
}
