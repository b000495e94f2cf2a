/** The moderation route: looks for words of a short list, and says so. */
import { RequestError } from "./errors.ts";
import type { Fields } from "./fields.ts";
import { requireModel } from "./models.ts";
import { hashText } from "./random.ts";

const MODEL = "demo-moderation";
const MAX_INPUTS = 2_048;
const MAX_LENGTH = 100_000;

/** OpenAI's categories, with words that stand for them here. */
const WORDS: Readonly<Record<string, readonly string[]>> = {
  harassment: ["idiot", "stupid", "loser"],
  "harassment/threatening": ["hurt you"],
  hate: ["hate them all"],
  "hate/threatening": [],
  illicit: ["steal", "counterfeit"],
  "illicit/violent": ["bomb"],
  "self-harm": ["hurt myself"],
  "self-harm/instructions": [],
  "self-harm/intent": ["hurt myself"],
  sexual: ["explicit"],
  "sexual/minors": [],
  violence: ["kill", "murder", "shoot"],
  "violence/graphic": ["gore"],
};

export function replyModeration(body: Fields): object {
  requireModel(body, MODEL);
  const { input } = body;
  const texts = Array.isArray(input) ? input.map(textOf) : [textOf(input)];
  if (texts.length === 0 || texts.length > MAX_INPUTS)
    throw new RequestError(`'input' must be a text, or 1 to ${MAX_INPUTS} of them.`, "input");
  const id = `modr-${hashText(texts.join("\n")).toString(16)}`;
  return { id, model: MODEL, results: texts.map(judge) };
}

function textOf(value: unknown): string {
  const part: unknown = typeof value === "object" && value !== null && "text" in value ? value.text : value;
  if (typeof part === "string" && part.length <= MAX_LENGTH) return part;
  throw new RequestError(`'input' must be texts of at most ${MAX_LENGTH} characters.`, "input");
}

function judge(text: string): object {
  const lower = text.toLowerCase();
  const entries = Object.entries(WORDS).map(([name, words]) => {
    const found = words.filter((word) => new RegExp(`\\b${word}\\b`).test(lower)).length;
    return { name, found, score: found === 0 ? 0.001 : 1 - 0.1 ** found };
  });
  return {
    flagged: entries.some(({ found }) => found > 0),
    categories: Object.fromEntries(entries.map(({ name, found }) => [name, found > 0])),
    category_scores: Object.fromEntries(entries.map(({ name, score }) => [name, score])),
    category_applied_input_types: Object.fromEntries(entries.map(({ name }) => [name, ["text"]])),
  };
}
