import { AimoError } from "@aimo/protocol/errors";
import type { KeyJson } from "@aimo/protocol/routes";
import { parseUsd } from "@aimo/protocol/units";
import type { FastifyPluginAsyncTypebox } from "@fastify/type-provider-typebox";
import type { FastifyRequest } from "fastify";
import type { Static } from "typebox";
import { toUsdNumber } from "../core/reply.ts";
import type { KeyRecord, KeySettings, Keys, Ledger } from "../flow/ports.ts";
import { type Access, keyOf } from "./access.ts";
import { networksOf } from "./networks.ts";
import { KeyBody, KeyParams, manage, read } from "./schemas.ts";

export type KeysOptions = {
  readonly access: Access;
  readonly keys: Keys;
  readonly ledger: Pick<Ledger, "usageOfKey">;
  readonly now: () => number;
};

/** API keys: made and changed by the wallet's session, read by themselves. */
export const keysRoutes: FastifyPluginAsyncTypebox<KeysOptions> = async (app, options) => {
  const { access, keys, ledger, now } = options;
  const show = (record: KeyRecord) => keyJson(record, ledger);
  app.get("/v1/key", { schema: read("getKey", "The key that asks") }, async (request) => ({
    data: show(keyOf(request).record),
  }));
  app.get("/v1/keys", { schema: manage("listKeys", "All keys of the account") }, async (request) => {
    const { userId } = await ownerOf(access, request);
    return { data: keys.list(userId).map(show) };
  });
  app.post(
    "/v1/keys",
    { schema: { ...manage("createKey", "A new key"), body: KeyBody } },
    async (request, reply) => {
      const owner = await ownerOf(access, request);
      if (owner.userId === 0)
        throw new AimoError("insufficient_credits", {
          message: `${owner.owner} has not deposited credits yet.`,
          hint: "Deposit first, with `aimo credits buy`; then make the key.",
        });
      const { key, record } = await keys.create(owner, { ...DEFAULTS, ...settingsOf(request.body, now()) });
      return reply.code(201).send({ key, data: show(record) });
    },
  );
  const one = { params: KeyParams };
  app.get("/v1/keys/:hash", { schema: { ...manage("readKey", "One key"), ...one } }, async (request) => {
    const { userId } = await ownerOf(access, request);
    const record = keys.find(userId, request.params.hash);
    if (!record) throw new AimoError("not_found", { message: "The account has no such key.", param: "hash" });
    return { data: show(record) };
  });
  app.patch(
    "/v1/keys/:hash",
    { schema: { ...manage("changeKey", "Change a key"), ...one, body: KeyBody } },
    async (request) => {
      const { userId } = await ownerOf(access, request);
      return { data: show(await keys.change(userId, request.params.hash, settingsOf(request.body, now()))) };
    },
  );
  app.delete(
    "/v1/keys/:hash",
    { schema: { ...manage("removeKey", "Revoke a key"), ...one } },
    async (request) => {
      const { userId } = await ownerOf(access, request);
      await keys.remove(userId, request.params.hash);
      return { deleted: true };
    },
  );
};

async function ownerOf(access: Access, request: FastifyRequest) {
  const owner = access.owner(request);
  return { owner, userId: await access.userIdOf(owner) };
}

const DEFAULTS: KeySettings = {
  name: "",
  limit: undefined,
  limitReset: undefined,
  expiresAt: undefined,
  models: undefined,
  disabled: false,
};

/** Only what the body names. Throws `invalid_request`. */
function settingsOf(body: Static<typeof KeyBody>, now: number): Partial<KeySettings> {
  const { name, limit, limit_reset: limitReset, expires_at: expiresAt, models, disabled } = body;
  return {
    ...(name === undefined ? {} : { name }),
    ...(limit === undefined ? {} : { limit: limit === null ? undefined : parseUsd(limit.toFixed(12)) }),
    ...(limitReset === undefined ? {} : { limitReset: limitReset ?? undefined }),
    ...(expiresAt === undefined ? {} : { expiresAt: readTime(expiresAt, now) }),
    ...(models === undefined ? {} : { models: models?.map((model) => model.toLowerCase()) }),
    ...(disabled === undefined ? {} : { disabled }),
    ...limitsOf(body),
  };
}

function limitsOf(body: Static<typeof KeyBody>): Partial<KeySettings> {
  const {
    requests_per_minute: requestsPerMinute,
    tokens_per_minute: tokensPerMinute,
    max_in_flight: maxInFlight,
    allowed_ips: allowedIps,
    show_usage: showUsage,
  } = body;
  if (allowedIps) networksOf(allowedIps);
  return {
    ...(requestsPerMinute === undefined ? {} : { requestsPerMinute: requestsPerMinute ?? undefined }),
    ...(tokensPerMinute === undefined ? {} : { tokensPerMinute: tokensPerMinute ?? undefined }),
    ...(maxInFlight === undefined ? {} : { maxInFlight: maxInFlight ?? undefined }),
    ...(allowedIps === undefined ? {} : { allowedIps: allowedIps ?? undefined }),
    ...(showUsage === undefined ? {} : { showUsage }),
  };
}

function readTime(text: string | null, now: number): number | undefined {
  if (text === null) return undefined;
  const time = Date.parse(text);
  if (Number.isNaN(time) || time <= now)
    throw new AimoError("invalid_request", {
      message: "expires_at must be a time of ISO 8601 in the future.",
      param: "expires_at",
    });
  return time;
}

function keyJson(record: KeyRecord, ledger: KeysOptions["ledger"]): KeyJson {
  const usage = ledger.usageOfKey(record.hash);
  const { limit, limitReset } = record;
  const left = limit === undefined ? undefined : limit - usage[limitReset ?? "total"] - usage.held;
  return {
    hash: record.hash,
    label: record.label,
    name: record.name,
    disabled: record.disabled,
    limit: limit === undefined ? null : toUsdNumber(limit),
    limit_remaining: left === undefined ? null : toUsdNumber(left > 0n ? left : 0n),
    limit_reset: limitReset ?? null,
    usage: toUsdNumber(usage.total),
    usage_daily: toUsdNumber(usage.daily),
    usage_weekly: toUsdNumber(usage.weekly),
    usage_monthly: toUsdNumber(usage.monthly),
    models: record.models ?? null,
    requests_per_minute: record.requestsPerMinute ?? null,
    tokens_per_minute: record.tokensPerMinute ?? null,
    max_in_flight: record.maxInFlight ?? null,
    allowed_ips: record.allowedIps ?? null,
    show_usage: record.showUsage ?? "asked",
    created_at: new Date(record.createdAt).toISOString(),
    expires_at: record.expiresAt === undefined ? null : new Date(record.expiresAt).toISOString(),
  };
}
