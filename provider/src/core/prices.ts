import type { Price } from "@aimo/protocol/units";
import { PRICE_GRACE_SECONDS } from "@aimo/protocol/windows";
import type { PriceVersion, Route } from "./types.ts";

/** What the three prices of a route count. */
export function kindsOf(route: Route): Price["kinds"] {
  if (route === "chat") return ["token", "token", "token"];
  if (route === "embeddings") return ["token", "none", "none"];
  if (route === "transcriptions") return ["millisecond", "none", "none"];
  if (route === "speech") return ["character", "none", "none"];
  if (route === "moderations") return ["character", "none", "request"];
  return ["none", "none", "image"];
}

/** The version in force at `at` (protocol seconds): the newest that has begun. */
export function currentVersion(versions: readonly PriceVersion[], at: number): PriceVersion | undefined {
  let current: PriceVersion | undefined;
  for (const one of versions)
    if (one.effectiveFrom <= at && (!current || one.version > current.version)) current = one;
  return current;
}

/**
 * The named version if a receipt issued at `at` may use it: it is in force, or was replaced so recently that requests
 * may still be on their way.
 */
export function usableVersion(
  versions: readonly PriceVersion[],
  version: number,
  at: number,
): PriceVersion | undefined {
  const named = versions.find((one) => one.version === version);
  if (!named || named.effectiveFrom > at) return undefined;
  const successor = versions.find((one) => one.version === version + 1);
  const ended = successor !== undefined && at >= successor.effectiveFrom + PRICE_GRACE_SECONDS;
  return ended ? undefined : named;
}
