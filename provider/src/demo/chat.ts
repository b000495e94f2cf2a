/** Chat completions: one JSON reply, or a stream of `chat.completion.chunk` events, one token each. */
import { randomInt, randomUUID } from "node:crypto";
import { setImmediate as turn } from "node:timers/promises";
import { type ChatRequest, MAX_PROMPT_TOKENS, readChatRequest } from "./chat-request.ts";
import { complete, type FinishReason } from "./completion.ts";
import { RequestError } from "./errors.ts";
import type { Fields } from "./fields.ts";
import { requireModel } from "./models.ts";
import { buildNgramModel, generate, type NgramModel } from "./ngram.ts";
import { countChat, countText } from "./tokens.ts";

const MODEL = "demo-text";
/** Tokens written between two turns of the event loop when nobody reads along. */
const TOKENS_PER_TURN = 64;

/** Where a stream goes: waits while the reader is behind, gives false when it is gone. */
export type EventSink = (data: string) => Promise<boolean>;

/** A checked request, counted and ready to write. */
export type ChatJob = { readonly request: ChatRequest; readonly promptTokens: number; readonly seed: number };

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
    completionTokens += countText(content);
    const message = { role: "assistant", content, refusal: null };
    choices.push({ index, message, logprobs: null, finish_reason: step.value });
  }
  return { ...head("chat.completion"), choices, usage: usageOf(job.promptTokens, completionTokens) };
}

/** Sends the reply as events, the choices in turn. Writes no token that nobody is there to read. */
export async function streamChat(job: ChatJob, send: EventSink): Promise<StreamEnd> {
  const { choices, includeUsage } = job.request;
  const chunkHead = head("chat.completion.chunk");
  const usageField = includeUsage ? { usage: null } : {};
  const chunk = (index: number, delta: object, reason: FinishReason | null) =>
    send(
      JSON.stringify({
        ...chunkHead,
        choices: [{ index, delta, logprobs: null, finish_reason: reason }],
        ...usageField,
      }),
    );
  const open = new Map<number, Generator<string, FinishReason>>();
  const texts = new Map<number, string>();
  let tokens = 0;
  for (let index = 0; index < choices; index++) {
    if (!(await chunk(index, { role: "assistant", content: "", refusal: null }, null)))
      return { tokens, completed: false };
    open.set(index, writer(job, index));
  }
  while (open.size > 0) {
    for (const [index, pieces] of open) {
      const step = pieces.next();
      if (step.done) open.delete(index);
      else {
        tokens += 1;
        texts.set(index, (texts.get(index) ?? "") + step.value);
      }
      const alive = step.done ? chunk(index, {}, step.value) : chunk(index, { content: step.value }, null);
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
  const prompt = request.messages.map(({ text }) => text).join("\n");
  const { temperature, endless } = request;
  return complete(generate(prepareChat(), { prompt, seed, index, temperature, endless }), request);
}

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
