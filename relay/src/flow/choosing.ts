import { AimoError } from "@aimo/protocol/errors";
import type { UsageStatement } from "@aimo/protocol/session";
import type { Ask } from "../core/ask.ts";
import { Exclusions, filterOf, preferVisible } from "../core/filters.ts";
import { preferWithin } from "../core/max-cost.ts";
import type { Preferences, Wanted } from "../core/preferences.ts";
import { rankOffers } from "../core/routing.ts";
import type { Caller, Offer } from "../core/types.ts";
import type { ServeDependencies, ServeRequest } from "./serve-ports.ts";
import type { Try } from "./trying.ts";

export type ChoosingDependencies = Pick<
  ServeDependencies,
  "offers" | "credit" | "routing" | "limits" | "now" | "random"
>;

/**
 * The offers to try for a request, in order: of each model that it wants, by priority. Throws `permission_denied`,
 * `model_not_found`, `no_fitting_provider` and `model_unavailable` (with how many each filter left out),
 * `invalid_request` or `overloaded`.
 */
export function chooseOffers(dependencies: ChoosingDependencies, request: ServeRequest): readonly Offer[] {
  const { ask, caller } = request;
  const { wanted } = ask;
  const { offers, limits } = dependencies;
  refuseOtherModels(caller, wanted);
  const [only] = wanted;
  const { maxAttempts } = limits;
  // Most requests name one model: nothing is put together for them.
  const chosen =
    wanted.length === 1
      ? chooseForModel(dependencies, request, only, maxAttempts)
      : chooseForModels(dependencies, request, maxAttempts);
  if (chosen.length > 0) return chosen;
  throw refusal(
    dependencies,
    request,
    wanted.flatMap(({ model }) => offers.live(model)),
  );
}

/** An offer by its numbers; what is not the same in all of them is not the same offer. */
export type OfferName = {
  readonly providerId: number;
  readonly modelId: number;
  readonly priceVersion: number;
};

/**
 * Of offers that another process of this relay chose, those that stand as they are known here, in a newer form too: that
 * fit the request and that the provider's credit covers. Throws as `chooseOffers` when none does.
 */
export function confirmOffers(
  dependencies: Pick<ChoosingDependencies, "offers" | "credit" | "now">,
  { ask, route }: Pick<ServeRequest, "ask" | "route">,
  chosen: readonly OfferName[],
): readonly Offer[] {
  const live = ask.wanted.flatMap(({ model }) => dependencies.offers.live(model));
  const isAble = fits(dependencies, ask);
  const standing = chosen.flatMap(({ providerId, modelId }) => {
    const offer = live.find((one) => one.providerId === providerId && one.model.modelId === modelId);
    return offer && isAble(offer) ? [offer] : [];
  });
  if (standing.length > 0) return standing;
  throw refusal(dependencies, { ask, route }, live);
}

/** Tells the offers that can serve a request. */
function fits({ credit, now: clock }: Pick<ChoosingDependencies, "credit" | "now">, ask: Ask) {
  const now = clock();
  return (offer: Offer): boolean =>
    offer.expiresAt > now &&
    offer.model.route === ask.route &&
    filterOf(ask, offer) === undefined &&
    credit.covers({ ask, offer, maxTokens: undefined });
}

/** A key may be for some models only. Throws `permission_denied`. */
export function refuseOtherModels({ models }: Caller, wanted: readonly Wanted[]): void {
  if (!models) return;
  for (const { model } of wanted)
    if (!models.includes(model))
      throw new AimoError("permission_denied", {
        message: `This key may not use the model ${model}.`,
        param: "model",
      });
}

/** Each model that can be served has a try of its own; the first ones have what is left of the limit. */
function chooseForModels(
  dependencies: ChoosingDependencies,
  request: ServeRequest,
  maxAttempts: number,
): readonly Offer[] {
  const perModel = request.ask.wanted
    .map((wanted) => chooseForModel(dependencies, request, wanted, maxAttempts))
    .filter((ranked) => ranked.length > 0);
  let left = Math.max(maxAttempts, perModel.length);
  return perModel.flatMap((ranked, at) => {
    const taken = ranked.slice(0, left - (perModel.length - at - 1));
    left -= taken.length;
    return taken;
  });
}

function chooseForModel(
  dependencies: ChoosingDependencies,
  { ask, caller, body }: ServeRequest,
  { model, sort }: Wanted,
  limit: number,
): readonly Offer[] {
  const { offers, routing, random } = dependencies;
  const now = dependencies.now();
  const { sessionId, preferences } = ask;
  const able = preferWithin(ask, preferVisible(ask, offers.live(model).filter(fits(dependencies, ask))));
  if (able.length <= 1) return able;
  const stickyTo =
    sessionId === undefined
      ? undefined
      : routing.sessions.providerOf(sessionName(caller.userId, model, sessionId), now);
  return rankOffers({
    ...{ ask, offers: able, sort: sort ?? preferences.sort, state: routing, now, random, limit, stickyTo },
    conversation: { userId: caller.userId, body },
  });
}

function refusal(
  { offers, credit, now: clock }: Pick<ChoosingDependencies, "offers" | "credit" | "now">,
  { ask, route }: Pick<ServeRequest, "ask" | "route">,
  live: readonly Offer[],
): AimoError {
  const names = ask.wanted.map(({ model }) => model).join(", ");
  if (live.length === 0)
    return ask.wanted.some(({ model }) => offers.knows(model))
      ? new AimoError("model_unavailable", { param: "model", retryAfterSeconds: 5 })
      : new AimoError("model_not_found", {
          message: `No provider offers a model named ${names}.`,
          param: "model",
        });
  const now = clock();
  const ofRoute = live.filter((offer) => offer.model.route === route && offer.expiresAt > now);
  const other = live.find((offer) => offer.model.route !== route)?.model.route;
  if (ofRoute.length === 0 && other)
    return new AimoError("invalid_request", {
      message: `The model ${names} serves ${other}, not ${route}.`,
      param: "model",
    });
  const exclusions = new Exclusions();
  for (const offer of ofRoute) {
    const isCovered = credit.covers({ ask, offer, maxTokens: undefined });
    exclusions.add(filterOf(ask, offer) ?? (isCovered ? undefined : "credit"), offer);
  }
  return refusalBy(exclusions, ask.preferences, names);
}

function refusalBy(exclusions: Exclusions, preferences: Preferences, names: string): AimoError {
  const { only, total } = exclusions;
  if (only === "credit")
    return new AimoError("overloaded", {
      message:
        "The providers of this model lend this relay no more until it has settled; raising their reserves helps.",
      retryAfterSeconds: 1,
    });
  // Nobody was left out: who was there is gone, or back again.
  if (!exclusions.isAny) return new AimoError("model_unavailable", { param: "model", retryAfterSeconds: 1 });
  const left = exclusions.describe(preferences);
  // Whoever only lends no more will lend again.
  return new AimoError(exclusions.has("credit") ? "model_unavailable" : "no_fitting_provider", {
    message: `None of the ${total} live providers of ${names} fits the request. Left out by ${left}.`,
    param: only && only !== "price_unit" ? `provider.${only}` : "provider",
    details: exclusions.details(),
  });
}

type Noting = Pick<ServeDependencies, "routing" | "now">;

export type Answer = {
  readonly tried: Pick<Try, "offer" | "endpoint" | "beganAt" | "attempt">;
  readonly statement: UsageStatement;
  /** Undefined where the whole answer came at once. Wall-clock milliseconds. */
  readonly firstByteAt: number | undefined;
};

/** Notes an answer that was served whole: what it says of the endpoint, and where its conversation goes on. */
export function noteServed(
  { routing, now: clock }: Noting,
  { ask, caller }: Pick<ServeRequest, "ask" | "caller">,
  { tried: { offer, endpoint, beganAt }, statement: { units }, firstByteAt }: Answer,
): void {
  const now = clock();
  const firstTokenMs = firstByteAt === undefined ? undefined : firstByteAt - beganAt;
  const generationMs = now - (firstByteAt ?? beganAt);
  endpoint.onSuccess({ sentAt: beganAt, firstTokenMs, tokens: units[2], generationMs }, now);
  if (ask.sessionId === undefined) return;
  const name = sessionName(caller.userId, offer.model.slug, ask.sessionId);
  routing.sessions.onServed(name, offer.providerId, now);
}

/** Has some of the counts that providers state for chats compared with the relay's own. */
export function noteCount(
  { counts }: Pick<ServeDependencies, "counts">,
  generationId: string,
  { tried: { offer, attempt }, statement: { units } }: Answer,
): void {
  const { price, model, providerId } = offer;
  // What a model thinks unseen cannot be counted.
  const isCountable = model.route === "chat" && price.kinds[2] === "token" && !model.hiddenReasoning;
  // Nor what is no text.
  if (!isCountable || !("texts" in attempt.meter) || attempt.meter.opaqueBytes > 0) return;
  if (!counts.wants()) return;
  counts.take({ generationId, providerId, stated: units[2], texts: attempt.meter.texts() });
}

/** Notes what went wrong after the first byte, or with the statement: nobody else can be tried. */
export function noteFault(
  { routing, now }: Noting,
  { offer, beganAt }: Pick<Answer["tried"], "offer" | "beganAt">,
  error: AimoError,
): void {
  routing.onFailure(offer, error, { sent: beganAt, now: now() });
}

/** Of two accounts, or for two models, the same id names two sessions. */
const sessionName = (userId: number, model: string, sessionId: string) => `${userId}:${model}:${sessionId}`;
