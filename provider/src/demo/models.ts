/** The demo models and what they honestly are. */
import { RequestError } from "./errors.ts";
import type { Fields } from "./fields.ts";

const MODELS = {
  "demo-text": "AiMo demo text model: an n-gram generator without weights; for local networks only",
  "demo-embed":
    "AiMo demo embedding model: hashed words and corpus company without weights; for local networks only",
  "demo-image":
    "AiMo demo image model: draws a scene from the words of the prompt without weights; for local networks only",
  "demo-speech":
    "AiMo demo speech model: says a text in tones, two for each byte, without weights; for local networks only",
  "demo-listen":
    "AiMo demo listening model: hears what the demo speech model says, without weights; for local networks only",
  "demo-moderation":
    "AiMo demo moderation model: looks for words of a list without weights; for local networks only",
} as const;

export type DemoModel = keyof typeof MODELS;
/** When this set of models was made; a fixed time, so that the list is always the same. */
const CREATED = 1_767_225_600;

/** The model objects of `GET /v1/models`. */
export function listModels(): {
  id: string;
  object: "model";
  created: number;
  owned_by: string;
  description: string;
}[] {
  return Object.entries(MODELS).map(([id, description]) => {
    return { id, object: "model", created: CREATED, owned_by: "aimo-demo", description };
  });
}

/** Refuses every model but the one that serves this route. */
export function requireModel({ model: value }: Fields, expected: DemoModel): void {
  if (typeof value !== "string") throw new RequestError("'model' must be a string.", "model");
  if (value === expected) return;
  throw new RequestError(`'model' must be '${expected}' on this route.`, "model", "model_not_found");
}
