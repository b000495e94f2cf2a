import type {
  ChatCompletion,
  ChatCompletionChunk,
  ChatParameters,
  ChatStreamParameters,
} from "../chat-types.ts";
import { type AimoStream, streamOf } from "../stream.ts";
import type { RequestOptions } from "../transport.ts";
import type { Inference } from "./inference.ts";

/** `client.chat`. */
export type Chat = { readonly completions: ChatCompletions };
type ChatCompletions = {
  /** Answers a conversation: whole, or with `stream: true` in chunks as they are made. */
  create(parameters: ChatParameters, options?: RequestOptions): Promise<ChatCompletion>;
  create(
    parameters: ChatStreamParameters,
    options?: RequestOptions,
  ): Promise<AimoStream<ChatCompletionChunk>>;
  create(
    parameters: ChatParameters | ChatStreamParameters,
    options?: RequestOptions,
  ): Promise<ChatCompletion | AimoStream<ChatCompletionChunk>>;
};

const PATH = "/chat/completions";

export function createChat(inference: Inference): Chat {
  async function create(parameters: ChatParameters | ChatStreamParameters, options: RequestOptions = {}) {
    if (parameters.stream !== true) return inference.post<ChatCompletion>(PATH, parameters, options);
    const headers = { accept: "text/event-stream", ...options.headers };
    const { answer, onEnd } = await inference.open(PATH, parameters, { ...options, headers });
    return streamOf<ChatCompletionChunk>(answer, onEnd);
  }
  return { completions: { create: create as ChatCompletions["create"] } };
}
