import { keccakInSteps, STEP_BYTES } from "@aimo/node/fast-crypto";
import { toHex } from "@aimo/protocol/bytes";
import { AimoError } from "@aimo/protocol/errors";
import { ROUTE_HEADERS } from "@aimo/protocol/routes";
import type { FastifyReply, FastifyRequest } from "fastify";
import type { Hex } from "viem";
import { type Ask, readAsk } from "../core/ask.ts";
import { canonicalBody } from "../core/canonical.ts";
import { type Dialect, isObject, type Json, refuseDepth } from "../core/dialects/dialect.ts";
import { contentOfForm, readFormAsk } from "../core/form-ask.ts";
import { readLabels } from "../core/labels.ts";
import { hashBody } from "../core/meter.ts";
import { hasTokenLimit, type Preset, presetNamed, withPreset } from "../core/preset.ts";
import type { Route } from "../core/types.ts";
import type { Presets } from "../flow/preset-ports.ts";
import { parseJson } from "./json-body.ts";

export type CallParameters = {
  readonly request: FastifyRequest;
  readonly route: Route;
  /** Of a route that is another form of the chat. */
  readonly dialect?: Dialect;
};

/** What is asked, and what goes upstream. The hash is always that of the bytes which the client sent. */
export type ReadCall = {
  readonly ask: Ask;
  readonly body: Uint8Array;
  readonly bodyHash: Hex;
  readonly contentHash?: Hex;
  /** What the client says of the request for its own books. */
  readonly labels: string | undefined;
  /** The client's body, for a reply in its form. */
  readonly asked: Json;
  readonly preset: Preset | undefined;
  /** All that makes the answer what it is, as text. */
  content(): string;
};

/** Another process has the presets: it answers requests that name one. */
export type PresetsElsewhere = {
  readonly passOn: (request: FastifyRequest, reply: FastifyReply) => void;
};
export type PresetsHere = Pick<Presets, "find"> | PresetsElsewhere;

/**
 * Reads a call; one that is long or names a preset comes as a promise. Where another process has
 * the presets, a call that names one is for that: `presets` comes back. Throws what `readAsk` throws.
 */
export function readCall(
  call: CallParameters,
  presets: PresetsHere,
  userId: number,
): Reading | Promise<Reading> {
  const sent = call.request.body instanceof Buffer ? call.request.body : Buffer.alloc(0);
  const read = (bodyHash: Hex) => readHashed(call, { sent, bodyHash }, { presets, userId });
  // A longer body would hold up everybody's streams.
  return sent.length > STEP_BYTES
    ? keccakInSteps(sent).then((hash) => read(toHex(hash)))
    : read(hashBody(sent));
}

type Reading = ReadCall | PresetsElsewhere;
type Sent = { readonly sent: Buffer; readonly bodyHash: Hex };
type PresetsOf = { readonly presets: PresetsHere; readonly userId: number };

function readHashed(call: CallParameters, body: Sent, { presets, userId }: PresetsOf) {
  if (call.route === "transcriptions") return readForm(call.request, body);
  const parsed = parseJson(body.sent.toString());
  const slug = isObject(parsed) ? presetNamed(parsed) : undefined;
  if (slug === undefined) return readJson(call, { ...body, parsed, preset: undefined });
  if ("passOn" in presets) return presets;
  return requirePreset(presets, userId, slug).then((preset) => readJson(call, { ...body, parsed, preset }));
}

function readForm({ headers }: FastifyRequest, { sent, bodyHash }: Sent): ReadCall {
  const ask = readFormAsk(sent, headers["content-type"] ?? "");
  const labels = readLabels({}, headers);
  const isRepeatable = headers[ROUTE_HEADERS.idempotencyKey] !== undefined;
  const contentHash = () => hashBody(contentOfForm(sent));
  return {
    ...{ ask, body: sent, bodyHash, labels, asked: {}, preset: undefined, content: contentHash },
    ...(isRepeatable ? { contentHash: contentHash() } : {}),
  };
}

type Parsed = Sent & { readonly parsed: unknown; readonly preset: Preset | undefined };

function readJson(
  { request, route, dialect }: CallParameters,
  { sent, bodyHash, parsed, preset }: Parsed,
): ReadCall {
  const { headers } = request;
  const session = headers["x-session-id"];
  if (!isObject(parsed) || (!dialect && !preset)) {
    const ask = readAsk(route, parsed, sent.length, session);
    const content = () => canonicalBody(parsed as Json);
    const labels = readLabels(parsed as Json, headers);
    return { ask, body: sent, bodyHash, labels, asked: {}, preset: undefined, content };
  }
  if (preset) refuseDepth(parsed);
  const form = dialect ? dialect.toChat(parsed, preset && hasTokenLimit(preset.parameters)) : parsed;
  const json = preset ? withPreset(form, preset, { route, asked: parsed }) : form;
  const body = Buffer.from(JSON.stringify(json));
  const ask = readAsk(route, json, body.length, session);
  const labels = readLabels(parsed, headers, form);
  return { ask, body, bodyHash, labels, asked: parsed, preset, content: () => canonicalBody(json) };
}

async function requirePreset(presets: Pick<Presets, "find">, userId: number, slug: string): Promise<Preset> {
  const preset = await presets.find(userId, slug);
  if (preset) return preset;
  throw new AimoError("not_found", { message: `The account has no preset ${slug}.`, param: "preset" });
}
