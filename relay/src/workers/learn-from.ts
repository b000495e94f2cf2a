import type { RoutingState } from "../core/routing-state.ts";
import type { Outcome } from "../core/types.ts";
import type { HeldTerms } from "../flow/serve-ports.ts";
import type { EjectedNews } from "./messages.ts";

/**
 * Who fails for a worker rests in the main process too, as `GET /v1/models/{id}/endpoints` shows. Gives those that rest
 * from now on: all workers' failures and successes together tell it, which no worker sees.
 */
export function learnFrom(
  routing: Pick<RoutingState, "endpointOf">,
  { offers }: Pick<HeldTerms, "offers">,
  { attempts }: Pick<Outcome, "attempts">,
  now: number,
): readonly EjectedNews[] {
  const ejected: EjectedNews[] = [];
  for (const { providerId, status, error } of attempts) {
    const offer = offers.find((one) => one.providerId === providerId);
    if (!offer || error === "overloaded" || error === "cancelled") continue;
    const { breaker } = routing.endpointOf(offer);
    if (status === "ok") breaker.onSuccess();
    else if (breaker.onFailure(now)) ejected.push({ providerId, modelId: offer.model.modelId });
  }
  return ejected;
}
