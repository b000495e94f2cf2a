import type { KeyJson } from "@aimo/protocol/routes";
import type { AimoClient, KeySettings } from "@aimo/sdk";
import { readUsd, table } from "../amounts.ts";
import { type Command, type CommandInput, RELAY_OPTIONS, UsageError, WALLET_OPTIONS } from "../command.ts";
import { openSession } from "../session.ts";
import { loadSettings } from "../settings.ts";

const OPTIONS = { ...RELAY_OPTIONS, ...WALLET_OPTIONS };
const RESETS = ["daily", "weekly", "monthly"] as const;

function readKeySettings(input: CommandInput): KeySettings {
  const limit = input.text("limit");
  const reset = input.text("limit-reset");
  const resets = RESETS.find((each) => each === reset);
  if (reset !== undefined && !resets)
    throw new UsageError(`--limit-reset is "${reset}": use ${RESETS.join(", ")}.`);
  if (reset !== undefined && limit === undefined)
    throw new UsageError("--limit-reset is for a key with a --limit.");
  if (limit !== undefined) readUsd("--limit", limit);
  const models = input.text("models");
  const expires = input.text("expires");
  return {
    name: input.text("name") ?? "",
    ...(limit === undefined ? {} : { limit: Number(limit) }),
    ...(resets ? { limit_reset: resets } : {}),
    ...(models === undefined ? {} : { models: models.split(",").map((model) => model.trim()) }),
    ...(expires === undefined ? {} : { expires_at: readTime(expires) }),
    ...(input.flag("show-usage") ? { show_usage: "always" as const } : {}),
    ...readLimits(input),
  };
}

/** A time to come, as the relay takes it; `2030-01-01` is that day's first moment in UTC. */
function readTime(text: string): string {
  const at = /^\d{4}-\d{2}-\d{2}/.test(text) ? Date.parse(text) : Number.NaN;
  if (at > Date.now()) return new Date(at).toISOString();
  throw new UsageError(
    `--expires is "${text}": use a time to come in ISO 8601, such as 2030-01-31 or 2030-01-31T12:00:00Z.`,
  );
}

function readLimits(input: CommandInput): KeySettings {
  const rpm = readCount(input, "rpm");
  const tpm = readCount(input, "tpm");
  const concurrency = readCount(input, "max-in-flight");
  const addresses = input.text("allow-ip");
  return {
    ...(rpm === undefined ? {} : { requests_per_minute: rpm }),
    ...(tpm === undefined ? {} : { tokens_per_minute: tpm }),
    ...(concurrency === undefined ? {} : { max_in_flight: concurrency }),
    ...(addresses === undefined ? {} : { allowed_ips: addresses.split(",").map((one) => one.trim()) }),
  };
}

function readCount(input: CommandInput, option: string): number | undefined {
  const text = input.text(option);
  if (text === undefined) return undefined;
  if (!/^[1-9]\d{0,11}$/.test(text))
    throw new UsageError(`--${option} is "${text}": use a whole number above 0.`);
  return Number(text);
}

export const create: Command = {
  name: "keys create",
  summary: "Make an API key",
  description:
    "The key is shown once. It draws on the account's channel to this relay, within the limits it is given.",
  options: {
    ...OPTIONS,
    name: { type: "string", value: "NAME", summary: "what the key is for" },
    limit: { type: "string", value: "USD", summary: "most it may spend (per reset period)" },
    "limit-reset": { type: "string", value: "PERIOD", summary: "daily, weekly or monthly" },
    models: { type: "string", value: "IDS", summary: "models it may use, separated by commas" },
    rpm: { type: "string", value: "N", summary: "requests per minute at most" },
    tpm: { type: "string", value: "N", summary: "tokens per minute at most" },
    "max-in-flight": { type: "string", value: "N", summary: "requests in flight at most" },
    "allow-ip": { type: "string", value: "LIST", summary: "addresses and ranges it may be used from" },
    "show-usage": { type: "boolean", summary: "end streams with their usage, asked for or not" },
    expires: { type: "string", value: "TIME", summary: "until when it is valid (ISO 8601)" },
  },
  examples: ["aimo keys create --wallet owner.key --name ci --limit 5 --limit-reset monthly"],
  async run(input, context) {
    const body = readKeySettings(input);
    const { client } = await openSession(await loadSettings(input, context), context);
    for (const model of await notOffered(client, body.models ?? []))
      context.note(`Nobody offers the model "${model}" right now. \`aimo models list\` shows what there is.`);
    const { key, data } = await client.keys.create(body);
    context.note("Keep it now: it is not shown again.");
    return { text: key, json: { key, data } };
  },
};

/** Of these models those that no provider offers; a slip of the pen makes a key that is good for nothing. */
async function notOffered(client: AimoClient, models: readonly string[]): Promise<string[]> {
  if (models.length === 0) return [];
  const { data } = await client.models.list();
  return models.filter((model) => !data.some(({ id }) => id === model));
}

export const list: Command = {
  name: "keys list",
  summary: "List the account's API keys",
  options: OPTIONS,
  async run(input, context) {
    const { client } = await openSession(await loadSettings(input, context), context);
    const { data } = await client.keys.list();
    const text = data.length === 0 ? "The account has no keys." : keysTable(data);
    return { text, json: { data } };
  },
};

function keysTable(keys: readonly KeyJson[]): string {
  return table(
    ["Hash", "Key", "Name", ">Spent USD", ">Limit USD", "State"],
    keys.map(({ hash, label, name, usage, limit, limit_reset, disabled, expires_at }) => [
      hash.slice(0, 12),
      label,
      name,
      String(usage),
      limit === null ? "-" : `${limit}${limit_reset ? ` ${limit_reset}` : ""}`,
      disabled ? "disabled" : expires_at ? `until ${expires_at}` : "active",
    ]),
  );
}

export const revoke: Command = {
  name: "keys revoke",
  summary: "Revoke an API key, at once and for good",
  arguments: [{ name: "HASH", summary: "the key's hash as `aimo keys list` shows it, or how it begins" }],
  options: OPTIONS,
  async run(input, context) {
    const wanted = input.argument("HASH") ?? "";
    if (wanted.length < 6) throw new UsageError("HASH needs at least 6 characters.");
    const { client } = await openSession(await loadSettings(input, context), context);
    const { data } = await client.keys.list();
    const found = data.filter(({ hash }) => hash.startsWith(wanted));
    const [key] = found;
    if (!key) throw new UsageError(`The account has no key whose hash begins with ${wanted}.`);
    if (found.length > 1)
      throw new UsageError(`${found.length} keys begin with ${wanted}: write more of it.`);
    await client.keys.delete(key.hash);
    return { text: `Revoked ${key.label}${key.name ? ` (${key.name})` : ""}.`, json: { revoked: key.hash } };
  },
};
