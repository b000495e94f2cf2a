import { charactersOf, countCharacters } from "@aimo/protocol/audio";
import { AimoError } from "@aimo/protocol/errors";
import { isMediaPart, isOwnTemplate } from "@aimo/protocol/unit-bounds";
import { MAX_CHOICES } from "./chat-record.ts";
import { editMembers, type MemberEdits } from "./json-edit.ts";
import type { Model } from "./types.ts";
import type { Vendor } from "./vendors.ts";
import type { Ask } from "./worst-case.ts";

/** A client's body, checked as far as money needs it, and the text that goes to the upstream in its place. */
export type PreparedBody = {
  readonly content: string | Uint8Array;
  /** JSON when absent. */
  readonly contentType?: string;
  readonly streamed: boolean;
  readonly ask: Ask;
};

type Fields = Readonly<Record<string, unknown>>;

/** Images per request: four times what image servers commonly allow; beyond it a worst case means little. */
const MAX_IMAGES = 16;
/**
 * What a client tells the relay, in OpenRouter's words and our own: who shall serve, at what cost, what it wants to see,
 * and what is for its own books. Some inference servers refuse such fields.
 */
const FOR_THE_RELAY: MemberEdits = {
  ...{ models: undefined, provider: undefined, preset: undefined, aimo: undefined, usage: undefined },
  ...{ route: undefined, transforms: undefined, plugins: undefined },
  ...{ session_id: undefined, metadata: undefined },
};

export type PrepareParameters = {
  readonly model: Model;
  readonly vendor: Vendor;
  readonly body: string;
  readonly bodyBytes: number;
  /** Completion tokens that the relay's hold covers, when it said so. */
  readonly clamp: number | undefined;
};

/**
 * Replaces the model's name, asks for usage, and holds completions to what is covered; all else stays as sent.
 * Throws `invalid_request` with the field at fault.
 */
export function prepareBody({ model, vendor, body, bodyBytes, clamp }: PrepareParameters): PreparedBody {
  const fields = parseFields(body);
  const { route } = model;
  const name: MemberEdits = { ...FOR_THE_RELAY, model: JSON.stringify(model.upstreamModel) };
  if (route !== "chat") {
    if (fields["stream"] === true) throw invalid("stream", "cannot be true for this kind of model");
    const count = (route === "images" ? readCount(fields, "n", MAX_IMAGES) : 1) ?? 1;
    const inputUnits = readInputUnits(fields, model);
    return {
      content: editMembers(body, name),
      // Audio is passed on as it is made.
      streamed: route === "speech",
      ask: { route, bodyBytes, hasMedia: false, count, maxTokens: 0, inputUnits },
    };
  }
  const streamed = fields["stream"] === true;
  const limits = limitOf(fields, model, vendor, clamp);
  const edits = { ...name, ...limits.edits, ...(streamed ? streamOptions(fields, vendor) : {}) };
  const count = readCount(fields, "n", MAX_CHOICES) ?? 1;
  const ask = { route, bodyBytes, hasMedia: hasMedia(fields), count, maxTokens: limits.tokens };
  return { content: editMembers(body, edits), streamed, ask };
}

function hasMedia({ messages, chat_template: template }: Fields): boolean {
  if (isOwnTemplate(template)) return true;
  const contents = Array.isArray(messages) ? messages.map((message: unknown) => Object(message).content) : [];
  return contents.some((content: unknown) => Array.isArray(content) && content.some(isMediaPart));
}

/** Characters of what is to be spoken or judged; 0 on other routes. */
function readInputUnits(fields: Fields, { route }: Model): number {
  const { input, stream_format: format } = fields;
  if (route === "moderations") return charactersOf(input);
  if (route !== "speech") return 0;
  if (typeof input !== "string" || input === "") throw invalid("input", "must be a non-empty string");
  if ((format ?? "audio") !== "audio") throw invalid("stream_format", 'must be "audio"');
  return countCharacters(input);
}

function parseFields(body: string): Fields {
  let value: unknown;
  try {
    value = JSON.parse(body);
  } catch (cause) {
    throw new AimoError("invalid_request", { message: "The body is not valid JSON.", cause });
  }
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw new AimoError("invalid_request", { message: "The body is not a JSON object." });
  return value as Fields;
}

function limitOf(
  fields: Fields,
  model: Model,
  vendor: Vendor,
  clamp: number | undefined,
): { readonly tokens: number; readonly edits: MemberEdits } {
  const old = readCount(fields, "max_tokens", Number.MAX_SAFE_INTEGER);
  const asked = readCount(fields, "max_completion_tokens", Number.MAX_SAFE_INTEGER) ?? old;
  const tokens = Math.min(
    asked ?? model.maxOutputTokens,
    clamp ?? model.maxOutputTokens,
    model.maxOutputTokens,
  );
  const used = vendor.limitFields.find((field) => Object.hasOwn(fields, field) && fields[field] !== null);
  const field = used ?? vendor.limitFields[0] ?? "max_tokens";
  // One limit only: with two, which of them a server obeys is anyone's guess.
  const edits = { max_tokens: undefined, max_completion_tokens: undefined, [field]: String(tokens) };
  return { tokens, edits };
}

function streamOptions(fields: Fields, vendor: Vendor): MemberEdits {
  if (!vendor.includeUsage) return {};
  const given = fields["stream_options"];
  const options = typeof given === "object" && given !== null && !Array.isArray(given) ? given : {};
  const forced = {
    include_usage: true,
    ...(vendor.continuousUsage === "none" ? {} : { continuous_usage_stats: true }),
  };
  return { stream_options: JSON.stringify({ ...options, ...forced }) };
}

function readCount(fields: Fields, name: string, most: number): number | undefined {
  const value = fields[name];
  if (value === undefined || value === null) return undefined;
  if (Number.isInteger(value) && (value as number) >= 1 && (value as number) <= most) return value as number;
  throw invalid(
    name,
    most === Number.MAX_SAFE_INTEGER ? "must be a positive integer" : `must be 1 to ${most}`,
  );
}

function invalid(field: string, problem: string): AimoError {
  return new AimoError("invalid_request", { message: `'${field}' ${problem}.`, param: field });
}

/** The text of a chat's prompt, for counting it when the upstream did not. Pictures and the like are left out. */
export function promptTextOf(body: string): { readonly text: string; readonly messages: number } {
  const fields = parseFields(body);
  const messages = Array.isArray(fields["messages"]) ? fields["messages"] : [];
  const tools = fields["tools"] === undefined ? [] : [JSON.stringify(fields["tools"])];
  const texts = messages.map((message: unknown) => {
    const { role, content } = Object(message) as Fields;
    const parts = Array.isArray(content) ? content.map((part: unknown) => Object(part).text) : [content];
    return [role, ...parts].filter((part) => typeof part === "string").join("\n");
  });
  return { text: [...texts, ...tools].join("\n"), messages: messages.length };
}
