import type { Route } from "./announcement.ts";

/**
 * What an operator's module may export to look at requests and replies on their way through a relay (`docs/hooks.md`).
 * Bodies are those of a chat completion (embeddings, images, …) whatever form the client used.
 */

type Body = { [name: string]: unknown };

export type HookCaller = {
  readonly userId: number;
  /** SHA-256 of the API key, hex: names the key without giving it away. */
  readonly keyHash: string;
  /** Address of the wallet that owns the account. */
  readonly owner: string;
  readonly tier: string;
};

type About = {
  readonly route: Route;
  readonly requestId: string;
  readonly caller: HookCaller;
};

export type RequestHookInput = About & {
  /** A copy: change it and return it, or return another. Of a form with a recording: its text fields, to be read only. */
  readonly body: Body;
  /** Those of `HOOK_HEADERS` that the client sent; none for a line of a batch. */
  readonly headers: Readonly<Record<string, string>>;
};

export type ResponseHookInput = About & {
  readonly generationId: string;
  /** A copy of the reply, without `usage` and `aimo`. */
  readonly body: Body;
};

export type FrameHookInput = About & {
  readonly generationId: string;
  /** A copy of one chunk of a chat. */
  readonly json: Body;
  /** Empty at a stream's first chunk, and the same object until its last: the module's own. */
  readonly state: Body;
};

/** Undefined leaves it as it is. */
type Changed = Body | undefined;

export type RelayHooks = {
  /**
   * After the caller is known, before anything is held or sent. An error with a `status` from 400 to 499 refuses the
   * request with its message; any other ends it as `internal_error`.
   */
  readonly onRequest?: (input: RequestHookInput) => Changed | Promise<Changed>;
  /** A whole reply that is JSON. A fault in here is logged, and the reply is sent as it was. */
  readonly onResponse?: (input: ResponseHookInput) => Changed | Promise<Changed>;
  /** One chunk of a streamed chat. It answers at once; a fault is logged, and the chunk is sent as it was. */
  readonly onFrame?: (input: FrameHookInput) => Changed;
};

/** Headers that `onRequest` sees. None of them is a secret. */
export const HOOK_HEADERS = [
  ...["accept-language", "http-referer", "user-agent"],
  ...["x-client-request-id", "x-session-id", "x-title"],
] as const;
