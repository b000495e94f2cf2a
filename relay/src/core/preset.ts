import { AimoError } from "@aimo/protocol/errors";
import type { PresetSettings } from "@aimo/protocol/presets";
import { readAsk } from "./ask.ts";
import { invalid, isMissing, type Json, refuseDepth, without } from "./dialects/dialect.ts";
import { checkRanges } from "./parameter-ranges.ts";
import type { Route } from "./types.ts";

/** Presets: defaults of requests, kept under a name and used by it. */

export type Preset = PresetSettings & {
  readonly slug: string;
  /** Wall-clock milliseconds. */
  readonly createdAt: number;
  readonly updatedAt: number;
};

export const SLUG_PATTERN = "^[a-z0-9-]{1,64}$";
/** All of a preset's settings, as JSON. */
export const MAX_PRESET_BYTES = 65_536;
const MARK = "@preset/";
/** A request's limit of tokens has several names; any of its own replaces all of a preset's. */
const TOKEN_LIMITS = ["max_tokens", "max_completion_tokens", "max_output_tokens"] as const;
/** What makes a request what it is, and what clients read replies by, is not for presets. */
const NOT_DEFAULTS = [
  ...["model", "models", "provider", "preset", "messages", "input", "prompt", "stream", "stream_options"],
  ...["user", "metadata", "session_id"],
];

/** The preset that a body names, by `preset` or within `model`. Throws `invalid_request`. */
export function presetNamed({ preset, model }: Json): string | undefined {
  const at = typeof model === "string" ? model.indexOf(MARK) : -1;
  if (at === -1 && isMissing(preset)) return undefined;
  const inModel = at === -1 ? undefined : (model as string).slice(at + MARK.length);
  if (!isMissing(preset) && typeof preset !== "string")
    throw invalid("preset must be the slug of a preset.", "preset");
  if (inModel !== undefined && !isMissing(preset) && preset !== inModel)
    throw invalid(`model names the preset ${inModel}, and preset names ${preset}.`, "preset");
  const slug = inModel ?? preset ?? "";
  if (new RegExp(SLUG_PATTERN).test(slug)) return slug;
  throw invalid(
    "A preset's slug has 1 to 64 of a-z, 0-9 and hyphens.",
    inModel === undefined ? "preset" : "model",
  );
}

/**
 * A body with a preset's defaults under its own fields. `asked` is the client's body, which may be of another form than
 * `body`, made of it.
 */
export function withPreset(
  body: Json,
  preset: Preset,
  { route, asked }: { route: Route; asked: Json },
): Json {
  const own = Object.fromEntries(
    Object.entries(body).filter(([name, value]) => name !== "preset" && !isMissing(value)),
  );
  const model = modelBefore(own["model"]);
  const hasModel = model !== undefined || own["models"] !== undefined;
  const hasLimit = hasTokenLimit(asked);
  const limits: ReadonlySet<string> = new Set(TOKEN_LIMITS);
  const isLimited = hasTokenLimit(preset.parameters);
  return {
    ...(hasModel ? {} : modelsOf(preset)),
    ...(preset.provider ? { provider: preset.provider } : {}),
    ...(hasLimit ? without(preset.parameters, limits) : preset.parameters),
    // A form's own default of a limit is nobody's wish.
    ...without(own, new Set(["model", ...(!hasLimit && isLimited ? limits : [])])),
    ...(model === undefined ? {} : { model }),
    ...(route === "chat" ? messagesWith(own["messages"], preset.system_prompt) : {}),
  };
}

/** Whether one of the limits of tokens is there, by any of its names. */
export const hasTokenLimit = (json: Json): boolean => TOKEN_LIMITS.some((name) => !isMissing(json[name]));

/** Throws `invalid_request` naming the field that no request could have, or `payload_too_large`. */
export function checkPreset(settings: PresetSettings): void {
  const { model, parameters, provider } = settings;
  for (const name of NOT_DEFAULTS)
    if (name in parameters)
      throw invalid(`parameters.${name} cannot be a preset's: a request brings it itself.`, "parameters");
  refuseDepth({ parameters, provider });
  const bytes = new TextEncoder().encode(JSON.stringify(settings)).length;
  if (bytes > MAX_PRESET_BYTES)
    throw new AimoError("payload_too_large", {
      message: `A preset has at most ${MAX_PRESET_BYTES} bytes; this one has ${bytes}.`,
    });
  checkRanges(parameters);
  const asked = { ...parameters, provider, models: settings.models, model: model ?? "any" };
  readAsk("chat", { ...asked, messages: [{ role: "user", content: "" }] }, 0);
  if ([model, ...(settings.models ?? [])].some((name) => name?.includes(MARK)))
    throw invalid("A preset's model cannot be a preset.", "model");
}

function modelBefore(model: unknown): unknown {
  if (typeof model !== "string") return model;
  const at = model.indexOf(MARK);
  if (at === -1) return model;
  return at === 0 ? undefined : model.slice(0, at);
}

function modelsOf({ model, models }: Preset): Json {
  return { ...(model === null ? {} : { model }), ...(models === null ? {} : { models }) };
}

function messagesWith(messages: unknown, prompt: string | null): Json {
  if (prompt === null || !Array.isArray(messages)) return {};
  const isTold = messages.some(
    (message: Json | null) => message?.["role"] === "system" || message?.["role"] === "developer",
  );
  return isTold ? {} : { messages: [{ role: "system", content: prompt }, ...messages] };
}
