import type { RelayConfig } from "./config.ts";
import { Shedding } from "./core/shedding.ts";
import { TIERS, type Tier, type TierLimits, Tiers } from "./core/tiers.ts";
import { Admission } from "./flow/admission.ts";
import { RequestRates } from "./flow/request-rates.ts";

/** How often the event loop's lag is looked at. */
const LAG_MS = 100;
/** Of the newest lag in what is judged: one pause of the collector is no load. */
const NEWEST = 0.2;

/** The relay's limits, and its watch over its own lag; `stop` ends that. */
export function openAdmission({
  http: { requestsPerMinute },
  serving,
  tiers: config,
}: Pick<RelayConfig, "http" | "serving" | "tiers">): {
  readonly tiers: Tiers;
  readonly rates: RequestRates;
  readonly admission: Admission;
  stop(): void;
} {
  const tiers = tiersOf(config);
  const shedding = new Shedding(serving.shedAtLagMs);
  const admission = new Admission({ tiers, shedding, limits: serving, now: Date.now });
  const rates = new RequestRates({ requestsPerMinute, tiers, now: Date.now });
  return { tiers, rates, admission, stop: watchLag(shedding) };
}

/** Tells how late the event loop of this process is; gives what ends that. */
export function watchLag(shedding: Shedding): () => void {
  let due = performance.now() + LAG_MS;
  let lagMs = 0;
  const timer = setInterval(() => {
    const now = performance.now();
    lagMs += NEWEST * (Math.max(0, now - due) - lagMs);
    due = now + LAG_MS;
    shedding.note(lagMs);
  }, LAG_MS);
  timer.unref();
  return () => clearInterval(timer);
}

/** Tiers as an operator configured them. */
export function tiersOf(config: RelayConfig["tiers"]): Tiers {
  const of = <T>(read: (tier: Tier) => T) =>
    Object.fromEntries(TIERS.map((tier) => [tier, read(tier)])) as Record<Tier, T>;
  return new Tiers({
    defaultTier: config.default,
    limits: of<TierLimits>((tier) => ({
      requestsPerMinute: config[`${tier}RequestsPerMinute`],
      tokensPerMinute: config[`${tier}TokensPerMinute`],
      concurrency: config[`${tier}Concurrency`],
    })),
    members: of((tier) => config[`${tier}Accounts`]),
  });
}
