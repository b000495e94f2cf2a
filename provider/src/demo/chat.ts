/** Chat completions: one JSON reply, or a stream of `chat.completion.chunk` events, one token each. */
import { randomInt, randomUUID } from "node:crypto";
import { setImmediate as turn } from "node:timers/promises";
import { countChat, countText, textOf, tokensOf } from "@aimo/node/tokens";
import { type ChatRequest, MAX_PROMPT_TOKENS, readChatRequest } from "./chat-request.ts";
import { complete, type FinishReason } from "./completion.ts";
import { RequestError } from "./errors.ts";
import type { Fields } from "./fields.ts";
import { wordsToFillIn } from "./form-request.ts";
import { requireModel } from "./models.ts";
import { buildNgramModel, generate, type NgramModel } from "./ngram.ts";
import { valueFor } from "./schema-value.ts";

const MODEL = "demo-text";
/** Tokens written between two turns of the event loop when nobody reads along. */
const TOKENS_PER_TURN = 64;

/** Where a stream goes: waits while the reader is behind, gives false when it is gone. */
export type EventSink = (data: string) => Promise<boolean>;

/** A checked request, counted and ready to write. */
export type ChatJob = { readonly request: ChatRequest; readonly promptTokens: number; readonly seed: number };

type EndReason = FinishReason | "tool_calls";

/** How a stream ended. `tokens` counts what was written, over all choices. */
export type StreamEnd = { readonly tokens: number; readonly completed: boolean };

let model: NgramModel | undefined;

/** Counts the corpus ahead of the first request. */
export function prepareChat(): NgramModel {
  model ??= buildNgramModel();
  return model;
}

/** Checks the body and counts its prompt, before anything is written. */
export function openChat(body: Fields): ChatJob {
  requireModel(body, MODEL);
  const request = readChatRequest(body);
  const promptTokens = countChat(request.messages);
  if (promptTokens > MAX_PROMPT_TOKENS) {
    const message = `'messages' must have at most ${MAX_PROMPT_TOKENS} tokens; these have ${promptTokens}.`;
    throw new RequestError(message, "messages", "context_length_exceeded");
  }
  return { request, promptTokens, seed: request.seed ?? randomInt(2 ** 32) };
}

/** The whole reply. Gives up, with undefined, when the caller is gone. */
export async function replyChat(job: ChatJob, gone: AbortSignal): Promise<object | undefined> {
  const choices: object[] = [];
  let completionTokens = 0;
  for (let index = 0; index < job.request.choices; index++) {
    const pieces = writer(job, index);
    let content = "";
    let step = pieces.next();
    for (let count = 1; !step.done; count++) {
      content += step.value;
      if (count % TOKENS_PER_TURN === 0) await turn();
      if (gone.aborted) return undefined;
      step = pieces.next();
    }
    completionTokens += countText(content) + countText(calledName(job));
    const message = { role: "assistant", ...said(job, index, content), refusal: null };
    choices.push({ index, message, logprobs: null, finish_reason: reasonOf(job, step.value) });
  }
  return { ...head("chat.completion"), choices, usage: usageOf(job.promptTokens, completionTokens) };
}

/** Sends the reply as events, the choices in turn. Writes no token that nobody is there to read. */
export async function streamChat(job: ChatJob, send: EventSink): Promise<StreamEnd> {
  const { choices, includeUsage, continuousUsage } = job.request;
  const chunkHead = head("chat.completion.chunk");
  const counts = new Map<number, number>();
  const usageAt = (index: number) =>
    continuousUsage ? { usage: usageOf(job.promptTokens, counts.get(index) ?? 0) } : { usage: null };
  const chunk = (index: number, delta: object, reason: EndReason | null) =>
    send(
      JSON.stringify({
        ...chunkHead,
        choices: [{ index, delta, logprobs: null, finish_reason: reason }],
        ...(includeUsage ? usageAt(index) : {}),
      }),
    );
  const open = new Map<number, Generator<string, FinishReason>>();
  const texts = new Map<number, string>();
  const count = (index: number, text: string) => {
    texts.set(index, (texts.get(index) ?? "") + text);
    if (continuousUsage) counts.set(index, (counts.get(index) ?? 0) + countText(text));
  };
  let tokens = 0;
  for (let index = 0; index < choices; index++) {
    count(index, calledName(job));
    if (!(await chunk(index, { role: "assistant", ...said(job, index, ""), refusal: null }, null)))
      return { tokens, completed: false };
    open.set(index, writer(job, index));
  }
  while (open.size > 0) {
    for (const [index, pieces] of open) {
      const step = pieces.next();
      if (step.done) open.delete(index);
      else {
        tokens += 1;
        count(index, step.value);
      }
      const alive = step.done
        ? chunk(index, {}, reasonOf(job, step.value))
        : chunk(index, more(job, step.value), null);
      if (!(await alive)) return { tokens, completed: false };
    }
  }
  if (includeUsage) {
    const completionTokens = texts.values().reduce((sum, text) => sum + countText(text), 0);
    const usage = usageOf(job.promptTokens, completionTokens);
    if (!(await send(JSON.stringify({ ...chunkHead, choices: [], usage }))))
      return { tokens, completed: false };
  }
  return { tokens, completed: await send("[DONE]") };
}

function writer({ request, seed }: ChatJob, index: number): Generator<string, FinishReason> {
  const { temperature, endless, form, messages } = request;
  if (form.kind !== "text") {
    const words = wordsToFillIn(messages.findLast(({ role }) => role === "user")?.text ?? "");
    const json = JSON.stringify(valueFor(form.schema, words));
    // A stop sequence must not cut what is to be read by a program.
    const maxTokens = Math.max(1, request.maxTokens - countText(form.kind === "call" ? form.name : ""));
    return complete(inTokens(json), { maxTokens, stops: [] });
  }
  const prompt = messages.map(({ text }) => text).join("\n");
  return complete(generate(prepareChat(), { prompt, seed, index, temperature, endless }), request);
}

/** A text in the pieces in which a model writes it. A character may take several tokens: it goes with the last. */
function* inTokens(text: string): Generator<{ text: string }, void> {
  let open: number[] = [];
  for (const token of tokensOf(text)) {
    open.push(token);
    const piece = textOf(open);
    if (piece.endsWith("\ufffd")) continue;
    open = [];
    yield { text: piece };
  }
}

const calledName = ({ request: { form } }: ChatJob): string => (form.kind === "call" ? form.name : "");

/** A message, or how it begins. */
function said({ request: { form }, seed }: ChatJob, index: number, text: string): object {
  if (form.kind !== "call") return { content: text };
  const id = `call_${seed.toString(36)}_${index}`;
  const call = { index: 0, id, type: "function", function: { name: form.name, arguments: text } };
  return { content: null, tool_calls: [call] };
}

/** How a message goes on. */
function more({ request: { form } }: ChatJob, text: string): object {
  return form.kind === "call"
    ? { tool_calls: [{ index: 0, function: { arguments: text } }] }
    : { content: text };
}

const reasonOf = ({ request: { form } }: ChatJob, reason: FinishReason): EndReason =>
  form.kind === "call" && reason === "stop" ? "tool_calls" : reason;

function head(object: string): object {
  const created = Math.floor(Date.now() / 1000);
  return { id: `chatcmpl-${randomUUID()}`, object, created, model: MODEL, system_fingerprint: "demo" };
}

function usageOf(promptTokens: number, completionTokens: number): object {
  return {
    prompt_tokens: promptTokens,
    completion_tokens: completionTokens,
    total_tokens: promptTokens + completionTokens,
  };
}
