import { AimoError } from "@aimo/protocol/errors";
import type { PresetSettings } from "@aimo/protocol/presets";
import { ROUTE_HEADERS } from "@aimo/protocol/routes";
import type { FastifyReply, FastifyRequest } from "fastify";
import type { CacheHit } from "../flow/cache-ports.ts";
import type { CacheWish } from "../flow/serve-cached.ts";

export const DEFAULT_TTL_SECONDS = 300;
export const MAX_TTL_SECONDS = 86_400;

/**
 * What a request says of the cache: by its headers, and by the preset that it uses. Undefined: it shall be served anew,
 * and not be kept. Throws `invalid_request` naming the header.
 */
export function readCacheWish(
  { headers }: Pick<FastifyRequest, "headers">,
  preset: PresetSettings["cache"] | undefined,
): Omit<CacheWish, "content"> | undefined {
  const isOn = readFlag(headers, ROUTE_HEADERS.cache);
  const clear = readFlag(headers, ROUTE_HEADERS.cacheClear) ?? false;
  const ttl = readTtl(headers);
  if (!(isOn ?? preset?.enabled)) return undefined;
  return { clear, ttlSeconds: ttl ?? preset?.ttl ?? DEFAULT_TTL_SECONDS };
}

/** Says what was found. */
export function tellFound(reply: FastifyReply, { ttlSeconds }: { ttlSeconds: number }, hit?: CacheHit): void {
  reply.header(ROUTE_HEADERS.cacheStatus, hit ? "HIT" : "MISS");
  reply.header(ROUTE_HEADERS.cacheTtl, hit?.ttlSeconds ?? ttlSeconds);
  if (!hit) return;
  reply.header(ROUTE_HEADERS.cacheAge, hit.ageSeconds);
  reply.header(ROUTE_HEADERS.cacheSourceId, hit.reply.sourceId);
}

function readFlag(headers: FastifyRequest["headers"], name: string): boolean | undefined {
  const value = headers[name];
  if (value === undefined) return undefined;
  if (value === "true" || value === "false") return value === "true";
  throw new AimoError("invalid_request", { message: `${name} must be true or false.`, param: name });
}

function readTtl(headers: FastifyRequest["headers"]): number | undefined {
  const name = ROUTE_HEADERS.cacheTtl;
  const value = headers[name];
  if (value === undefined) return undefined;
  const seconds = typeof value === "string" && /^\d{1,5}$/.test(value) ? Number(value) : 0;
  if (seconds >= 1 && seconds <= MAX_TTL_SECONDS) return seconds;
  throw new AimoError("invalid_request", {
    message: `${name} must be an integer from 1 to ${MAX_TTL_SECONDS}: seconds.`,
    param: name,
  });
}
