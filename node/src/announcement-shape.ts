import {
  type Announcement,
  isQuantization,
  MAX_ANNOUNCED_MODELS,
  MAX_ANNOUNCED_PARAMETERS,
  MAX_PARAMETER_CHARACTERS,
  type ModelOffer,
  ROUTES,
} from "@aimo/protocol/announcement";
import { MAX_U32 } from "@aimo/protocol/units";
import type { Address } from "viem";

/** The shape of an announcement: each field's type and limit. A rule returns what is wrong with a value, or undefined. */
type Rule = (value: unknown) => string | undefined;

/** Times and sequences: integers that JSON carries exactly. */
const MAX_INTEGER = Number.MAX_SAFE_INTEGER;
/** Far above any model of today, and a bound on what a relay multiplies with. */
const MAX_TOKENS = 1_000_000_000;
/** More than one machine serves at once; a larger number is a mistake or a lie. */
const MAX_SLOTS = 1_000_000;
/** One hour: a slower median is no offer. */
const MAX_LATENCY_MS = 3_600_000;
const MAX_SLUG_CHARACTERS = 128;
const MAX_ENDPOINT_CHARACTERS = 256;
const MAX_REGION_CHARACTERS = 32;
const MAX_DESCRIPTION_CHARACTERS = 280;

const MODEL_RULES: Record<keyof ModelOffer, Rule> = {
  modelId: integer(1, MAX_U32),
  slug: text(/^[\x21-\x7e]+$/, 1, MAX_SLUG_CHARACTERS),
  priceVersion: integer(0, MAX_U32),
  route: (value) => (ROUTES.some((route) => route === value) ? undefined : "is no known route"),
  contextTokens: integer(0, MAX_TOKENS),
  maxOutputTokens: integer(0, MAX_TOKENS),
  freeSlots: integer(0, MAX_SLOTS),
  queued: integer(0, MAX_SLOTS),
  latencyMs: number(0, MAX_LATENCY_MS),
  // No control characters: the text is shown in terminals.
  description: text(/^\P{C}*$/u, 0, MAX_DESCRIPTION_CHARACTERS),
  quantization: (value) => (isQuantization(value) ? undefined : "is no known quantization"),
  supportedParameters: parametersFault,
  hiddenReasoning: flag,
  zeroRetention: flag,
  collectsData: flag,
  residency: text(/^[a-z0-9-]+$/, 1, MAX_REGION_CHARACTERS),
};
/** Fields that came after the first announcements: those without them stay valid. */
const OPTIONAL: ReadonlySet<string> = new Set<keyof ModelOffer>([
  "quantization",
  "supportedParameters",
  "hiddenReasoning",
  "zeroRetention",
  "collectsData",
  "residency",
]);

const RULES: Record<keyof Announcement, Rule> = {
  version: integer(0, MAX_U32),
  chainId: integer(1, MAX_INTEGER),
  settlement: text(/^0x[0-9a-fA-F]{40}$/, 42, 42),
  providerId: integer(1, MAX_U32),
  sequence: integer(0, MAX_INTEGER),
  issuedAt: integer(0, MAX_INTEGER),
  expiresAt: integer(0, MAX_INTEGER),
  endpoint: endpointFault,
  region: text(/^[a-z0-9-]*$/, 0, MAX_REGION_CHARACTERS),
  models: modelsFault,
};

/** What is wrong with an announcement's fields, in words that name the field and the limit; undefined when nothing is. */
export function announcementFault(value: unknown): string | undefined {
  return recordFault(value, RULES, "");
}

/** The announcement in the bytes, with known fields only, or what is wrong with them. Never throws. */
export function parseAnnouncement(payload: Uint8Array): Announcement | string {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(payload));
  } catch {
    // Neither the decoder's nor the parser's words help: the sender is not us.
    return "not JSON in utf-8";
  }
  const fault = announcementFault(value);
  if (fault) return fault;
  // Checked above, field by field. Unknown fields of a later version are dropped, not kept in memory.
  const announcement = pick<Announcement>(value, RULES);
  return {
    ...announcement,
    settlement: announcement.settlement.toLowerCase() as Address,
    models: announcement.models.map((model) => pick<ModelOffer>(model, MODEL_RULES)),
  };
}

function pick<T>(value: unknown, rules: Record<keyof T & string, Rule>): T {
  const source = value as Record<string, unknown>;
  const known = Object.keys(rules).filter((key) => Object.hasOwn(source, key));
  return Object.fromEntries(known.map((key) => [key, source[key]])) as T;
}

function recordFault(value: unknown, rules: Record<string, Rule>, path: string): string | undefined {
  if (typeof value !== "object" || value === null || Array.isArray(value))
    return `${path || "announcement"} is not an object`;
  const record = value as Record<string, unknown>;
  for (const [key, rule] of Object.entries(rules)) {
    if (!Object.hasOwn(record, key)) {
      if (OPTIONAL.has(key)) continue;
      return `${path}${key} is missing`;
    }
    const fault = rule(record[key]);
    if (fault) return fault.startsWith("[") ? `${path}${key}${fault}` : `${path}${key} ${fault}`;
  }
  return undefined;
}

function modelsFault(value: unknown): string | undefined {
  if (!Array.isArray(value)) return "is not a list";
  if (value.length > MAX_ANNOUNCED_MODELS) return `has ${value.length} models, above ${MAX_ANNOUNCED_MODELS}`;
  const seen = new Set<number>();
  for (const [index, model] of value.entries()) {
    const fault = recordFault(model, MODEL_RULES, `[${index}].`);
    if (fault) return fault.startsWith("[") ? fault : `[${index}] ${fault}`;
    const { modelId } = model as ModelOffer;
    if (seen.has(modelId)) return `names model ${modelId} twice`;
    seen.add(modelId);
  }
  return undefined;
}

function parametersFault(value: unknown): string | undefined {
  if (!Array.isArray(value)) return "is not a list";
  if (value.length > MAX_ANNOUNCED_PARAMETERS)
    return `has ${value.length} names, above ${MAX_ANNOUNCED_PARAMETERS}`;
  for (const name of value) {
    const fault = text(/^[a-z0-9_]+$/, 1, MAX_PARAMETER_CHARACTERS)(name);
    if (fault) return `has a name that ${fault}`;
  }
  return undefined;
}

function flag(value: unknown): string | undefined {
  return typeof value === "boolean" ? undefined : "is not true or false";
}

function endpointFault(value: unknown): string | undefined {
  const fault = text(/^https?:\/\//, 1, MAX_ENDPOINT_CHARACTERS)(value);
  if (fault) return fault;
  const url = URL.parse(String(value));
  if (!url) return "is no URL";
  if (url.username || url.password || url.search || url.hash)
    return "has a user, query or fragment; only scheme, host, port and path are allowed";
  return undefined;
}

function integer(min: number, max: number): Rule {
  return (value) =>
    typeof value === "number" && Number.isInteger(value) && value >= min && value <= max
      ? undefined
      : `is no integer from ${min} to ${max}`;
}

function number(min: number, max: number): Rule {
  return (value) =>
    typeof value === "number" && value >= min && value <= max
      ? undefined
      : `is no number from ${min} to ${max}`;
}

function text(pattern: RegExp, min: number, max: number): Rule {
  return (value) => {
    if (typeof value !== "string") return "is no text";
    if (value.length < min || value.length > max)
      return min === max ? `is not ${max} characters` : `is not ${min} to ${max} characters`;
    return pattern.test(value) ? undefined : "has characters that are not allowed";
  };
}
