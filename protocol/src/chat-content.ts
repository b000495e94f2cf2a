/**
 * What a message or a delta of a chat holds beside its text and tool calls, which the response hash covers. It is no part
 * of any hash, but it was delivered: relay and provider count it alike, or an answer of only this would be free.
 */

export type OtherContent = {
  /** What a tokenizer can count. */
  readonly text: string;
  /** Bytes of what it cannot: sound and pictures, as they travel. */
  readonly opaqueBytes: number;
};

type Json = Readonly<Record<string, unknown>>;

const NOTHING: OtherContent = { text: "", opaqueBytes: 0 };
/** A part may hold parts (thinking does), and those no more. */
const MAX_DEPTH = 2;

/** Reasoning, refusals, the text of parts, a legacy function call, sound with its transcript, and pictures. */
export function otherContent(message: Json): OtherContent {
  const { reasoning_content: thought, reasoning, refusal, content, function_call: call } = message;
  const { audio, images } = message;
  let text = asText(thought) + asText(reasoning) + asText(refusal);
  if (Array.isArray(content)) text += textOfParts(content, MAX_DEPTH);
  if (call) text += asText(asObject(call)["name"]) + asText(asObject(call)["arguments"]);
  if (!audio && !images) return text === "" ? NOTHING : { text, opaqueBytes: 0 };
  const { data, transcript } = asObject(audio);
  // Base64 and addresses: a byte for each character.
  let opaqueBytes = asText(data).length;
  if (Array.isArray(images)) for (const image of images) opaqueBytes += addressOf(image).length;
  return { text: text + asText(transcript), opaqueBytes };
}

/**
 * Of what a choice, or the answer around it, says of tokens beside them, their probabilities and ids: a byte for each token.
 * Who reads those has read the answer, or had the prompt judged.
 */
export function tokenDetailBytes({ logprobs, token_ids: ids, prompt_logprobs: prompt }: Json): number {
  if (!logprobs && !ids && !prompt) return 0;
  const { content, refusal, tokens } = asObject(logprobs);
  return [content, refusal, tokens, ids, prompt].reduce((sum: number, list) => sum + listBytes(list), 0);
}

const listBytes = (list: unknown): number => (Array.isArray(list) ? list.length : 0);

const addressOf = (image: unknown): string => asText(asObject(asObject(image)["image_url"])["url"]);

function textOfParts(parts: readonly unknown[], depth: number): string {
  let all = "";
  for (const part of parts) {
    const { text, refusal, thinking } = asObject(part);
    all += asText(text) + asText(refusal) + asText(thinking);
    if (depth > 1 && Array.isArray(thinking)) all += textOfParts(thinking, depth - 1);
  }
  return all;
}

const asObject = (value: unknown): Json =>
  typeof value === "object" && value !== null ? (value as Json) : {};
const asText = (value: unknown): string => (typeof value === "string" ? value : "");
