import type { AimoMeta, UsageJson } from "@aimo/protocol/routes";

/** OpenAI's chat shapes, as far as this package names them. Further fields are passed on as they are. */
export type ContentPart =
  | { readonly type: "text"; readonly text: string }
  | {
      readonly type: "image_url";
      readonly image_url: { readonly url: string; readonly detail?: "auto" | "low" | "high" };
    };

export type ToolCallJson = {
  readonly id: string;
  readonly type: "function";
  readonly function: { readonly name: string; readonly arguments: string };
};

export type ChatMessage =
  | {
      readonly role: "system" | "developer" | "user";
      readonly content: string | readonly ContentPart[];
      readonly name?: string;
    }
  | {
      readonly role: "assistant";
      readonly content?: string | readonly ContentPart[] | null;
      readonly tool_calls?: readonly ToolCallJson[];
      readonly name?: string;
    }
  | {
      readonly role: "tool";
      readonly content: string | readonly ContentPart[];
      readonly tool_call_id: string;
    };

type ChatBase = {
  /** E.g. `demo-text`; see `client.models.list()`. */
  readonly model: string;
  readonly messages: readonly ChatMessage[];
  /** Completion tokens at most; the relay may lower it to what the channel covers. */
  readonly max_tokens?: number | null;
  readonly max_completion_tokens?: number | null;
  readonly temperature?: number | null;
  readonly top_p?: number | null;
  readonly n?: number | null;
  readonly stop?: string | readonly string[] | null;
  readonly seed?: number | null;
  readonly user?: string;
  readonly presence_penalty?: number | null;
  readonly frequency_penalty?: number | null;
  readonly response_format?: object;
  readonly tools?: readonly object[];
  readonly tool_choice?: string | object;
  readonly stream_options?: { readonly include_usage?: boolean } | null;
  /** Any other field of OpenAI's interface. */
  readonly [field: string]: unknown;
};
export type ChatParameters = ChatBase & { readonly stream?: false | null };
export type ChatStreamParameters = ChatBase & { readonly stream: true };

export type FinishReason = "stop" | "length" | "tool_calls" | "content_filter" | "function_call";

export type ChatCompletion = {
  readonly id: string;
  readonly object: "chat.completion";
  readonly created: number;
  readonly model: string;
  readonly choices: readonly [ChatChoice, ...ChatChoice[]];
  readonly usage?: UsageJson;
  /** What the request cost, who served it, and what proves it. */
  readonly aimo: AimoMeta;
};

export type ChatChoice = {
  readonly index: number;
  readonly finish_reason: FinishReason;
  readonly message: {
    readonly role: "assistant";
    readonly content: string | null;
    readonly refusal?: string | null;
    readonly tool_calls?: readonly ToolCallJson[];
  };
};

export type ChatCompletionChunk = {
  readonly id: string;
  readonly object: "chat.completion.chunk";
  readonly created: number;
  readonly model: string;
  readonly choices: readonly {
    readonly index: number;
    readonly finish_reason: FinishReason | null;
    readonly delta: {
      readonly role?: "assistant";
      readonly content?: string | null;
      readonly refusal?: string | null;
      readonly tool_calls?: readonly (Partial<ToolCallJson> & { readonly index: number })[];
    };
  }[];
  /** In the last chunk, when asked for with `stream_options`. */
  readonly usage?: UsageJson | null;
  /** In the last chunk. */
  readonly aimo?: AimoMeta;
};
