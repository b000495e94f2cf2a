import { isItsFault } from "../core/observations.ts";
import type { RoutingState } from "../core/routing-state.ts";
import type { Outcome } from "../core/types.ts";
import type { HeldTerms } from "../flow/serve-ports.ts";
import type { EjectedNews } from "./messages.ts";

/**
 * Who fails for a worker rests in the main process too, as `GET /v1/models/{id}/endpoints` shows. Gives those that rest
 * from now on: all workers' failures and successes together tell it, which no worker sees. As in one process, what a
 * client does wrong is nobody's failure, and only a whole answer is a success.
 */
export function learnFrom(
  routing: Pick<RoutingState, "endpointOf">,
  { offers }: Pick<HeldTerms, "offers">,
  outcome: Outcome,
  now: number,
): readonly EjectedNews[] {
  const ejected: EjectedNews[] = [];
  const isWhole = outcome.kind === "usage" && !outcome.cancelled;
  for (const { providerId, status, error, latencyMs } of outcome.attempts) {
    const [offer, another] = offers.filter((one) => one.providerId === providerId);
    // Of a provider that was asked for two models an attempt does not say which it was.
    if (!offer || another) continue;
    const { breaker } = routing.endpointOf(offer);
    if (status === "failed") {
      if (error && isItsFault(error) && breaker.onFailure(now))
        ejected.push({ providerId, modelId: offer.model.modelId });
    } else if (isWhole) breaker.onSuccess(now - latencyMs);
  }
  return ejected;
}
