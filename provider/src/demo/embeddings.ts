/** The embeddings route. */
import { setImmediate as turn } from "node:timers/promises";
import { textOf, tokensOf } from "@aimo/node/tokens";
import { buildEmbeddingModel, EMBEDDING_DIMENSIONS, type EmbeddingModel, embed } from "./embed.ts";
import { RequestError } from "./errors.ts";
import { type Fields, integerIn, oneOf } from "./fields.ts";
import { requireModel } from "./models.ts";

const MODEL = "demo-embed";
/** Both as OpenAI. */
const MAX_INPUTS = 2_048;
const MAX_INPUT_TOKENS = 8_192;

type Input = { readonly text: string; readonly tokens: number };

let model: EmbeddingModel | undefined;

/** Learns from the corpus ahead of the first request. */
export function prepareEmbeddings(): EmbeddingModel {
  model ??= buildEmbeddingModel();
  return model;
}

/** The reply to an embeddings request. Gives up, with undefined, when the caller is gone. */
export async function replyEmbeddings(body: Fields, gone: AbortSignal): Promise<object | undefined> {
  requireModel(body, MODEL);
  const dimensions = integerIn(
    body,
    "dimensions",
    { from: 1, to: EMBEDDING_DIMENSIONS },
    EMBEDDING_DIMENSIONS,
  );
  const format = oneOf(body, "encoding_format", ["float", "base64"]);
  const data: object[] = [];
  let tokens = 0;
  for (const [index, value] of listInputs(body).entries()) {
    const input = readInput(value, index);
    tokens += input.tokens;
    const vector = embed(prepareEmbeddings(), input.text, dimensions);
    data.push({
      object: "embedding",
      index,
      embedding: format === "base64" ? toBase64(vector) : [...vector],
    });
    await turn();
    if (gone.aborted) return undefined;
  }
  return { object: "list", data, model: MODEL, usage: { prompt_tokens: tokens, total_tokens: tokens } };
}

/** One text or one token array is a list of one. */
function listInputs({ input }: Fields): unknown[] {
  if (typeof input === "string") return [input];
  const inputs: unknown[] = Array.isArray(input) ? (typeof input[0] === "number" ? [input] : input) : [];
  if (inputs.length === 0 || inputs.length > MAX_INPUTS) {
    const message = `'input' must be a string, or an array of 1 to ${MAX_INPUTS} strings or token arrays.`;
    throw new RequestError(message, "input");
  }
  return inputs;
}

function readInput(value: unknown, index: number): Input {
  const [text, tokens] =
    typeof value === "string" ? [value, tokensOf(value).length] : readTokens(value, index);
  if (tokens > 0 && tokens <= MAX_INPUT_TOKENS) return { text, tokens };
  const message = `'input[${index}]' must have 1 to ${MAX_INPUT_TOKENS} tokens; this has ${tokens}.`;
  throw new RequestError(message, "input", tokens > 0 ? "context_length_exceeded" : "invalid_value");
}

function readTokens(value: unknown, index: number): [text: string, tokens: number] {
  const valid = Array.isArray(value) && value.every((id) => Number.isSafeInteger(id) && id >= 0);
  if (!valid) throw new RequestError(`'input[${index}]' must be a string or an array of token ids.`, "input");
  try {
    return [textOf(value), value.length];
  } catch (cause) {
    const refusal = new RequestError(`'input[${index}]' has a token id outside o200k_base.`, "input");
    throw Object.assign(refusal, { cause });
  }
}

/** Little-endian 32-bit floats, as OpenAI sends them. */
function toBase64(vector: Float64Array): string {
  const bytes = Buffer.alloc(vector.length * 4);
  for (const [i, value] of vector.entries()) bytes.writeFloatLE(value, i * 4);
  return bytes.toString("base64");
}
