import { AimoError, isAimoError } from "@aimo/protocol/errors";
import type { HookCaller, RelayHooks } from "@aimo/protocol/relay-hooks";
import { type Ask, readAsk } from "../core/ask.ts";
import { textsOfForm } from "../core/form-ask.ts";
import {
  faultOf,
  HookFault,
  headersForHooks,
  isContentChunk,
  joinReply,
  jsonOfResult,
  refusalOf,
  splitReply,
} from "../core/hook-results.ts";
import { dataFrame, MAX_FRAME_BYTES, readFrame } from "../core/sse.ts";
import type { Tiers } from "../core/tiers.ts";
import type { Caller, Route } from "../core/types.ts";
import type { ServeRequest } from "./serve-ports.ts";

export type HooksParameters = {
  readonly hooks: RelayHooks;
  /** Milliseconds that a hook which waits for something may take. */
  readonly timeLimitMs: number;
  /** Largest body that a hook may make of a request, and of a reply. */
  readonly maxBodyBytes: number;
  readonly maxReplyBytes: number;
  readonly tiers: Pick<Tiers, "tierOf">;
  readonly log: { warn(fields: object, message: string): void };
};

/** What hooks are told of a request's reply. */
export type ReplyContext = {
  readonly route: Route;
  readonly requestId: string;
  readonly generationId: string;
  readonly caller: HookCaller;
  readonly state: Record<string, unknown>;
};

/** Runs an operator's hooks: gives them copies, checks what comes back, and keeps their faults from what is paid for. */
export class Hooks {
  readonly #parameters: HooksParameters;

  constructor(parameters: HooksParameters) {
    this.#parameters = parameters;
  }

  get seesReplies(): boolean {
    return this.#parameters.hooks.onResponse !== undefined;
  }

  get seesFrames(): boolean {
    return this.#parameters.hooks.onFrame !== undefined;
  }

  callerOf({ userId, keyHash, owner }: Caller): HookCaller {
    return { userId, keyHash, owner, tier: this.#parameters.tiers.tierOf(owner) };
  }

  /** The request that is served in place of this one. Throws the hook's refusal, or `internal_error` for its fault. */
  async request(request: ServeRequest): Promise<ServeRequest> {
    const { onRequest } = this.#parameters.hooks;
    if (!onRequest) return request;
    const { route, requestId, body } = request;
    try {
      const given = route === "transcriptions" ? textsOfForm(body) : JSON.parse(Buffer.from(body).toString());
      const headers = headersForHooks(request.headers ?? {});
      const about = { route, requestId, caller: this.callerOf(request.caller), headers };
      const result = await this.#inTime(onRequest({ ...about, body: given }));
      return result === undefined ? request : this.#replace(request, result);
    } catch (thrown) {
      const refusal = refusalOf(thrown);
      if (refusal) throw refusal;
      this.#warn("onRequest", requestId, thrown);
      // Without the cause: its message may quote the prompt.
      throw new AimoError("internal_error");
    }
  }

  /** The reply to send. A promise only where the hook waits for something. */
  response(body: string, about: ReplyContext): string | Promise<string> {
    const { hooks, maxReplyBytes } = this.#parameters;
    const { content, bill } = splitReply(body);
    const change = (result: unknown) =>
      result === undefined ? body : joinReply(jsonOfResult(result, maxReplyBytes), bill);
    const failed = (thrown: unknown) => {
      this.#warn("onResponse", about.requestId, thrown);
      return body;
    };
    try {
      const { route, requestId, generationId, caller } = about;
      const result = hooks.onResponse?.({ route, requestId, generationId, caller, body: { ...content } });
      return isPromise(result) ? this.#inTime(result).then(change).catch(failed) : change(result);
    } catch (thrown) {
      return failed(thrown);
    }
  }

  /** The frame to send. `onFault` is called when the hook failed, and the frame is as it was. */
  frame(frame: Uint8Array, about: ReplyContext, onFault: (thrown: unknown) => void): Uint8Array {
    const { data } = readFrame(frame);
    if (data === undefined || data === "[DONE]") return frame;
    const json: unknown = JSON.parse(data);
    if (!isContentChunk(json)) return frame;
    try {
      const result: unknown = this.#parameters.hooks.onFrame?.({ ...about, json });
      if (result === undefined) return frame;
      if (isPromise(result)) {
        // Its own failure is not heard any more.
        Promise.resolve(result).catch(() => {});
        throw new HookFault("It gave back a promise, and a stream does not wait.");
      }
      const text = jsonOfResult(result, MAX_FRAME_BYTES);
      const changed: unknown = JSON.parse(text);
      if (!isContentChunk(changed)) throw new HookFault("It gave back a chunk without choices.");
      return dataFrame(changed);
    } catch (thrown) {
      onFault(thrown);
      return frame;
    }
  }

  warnOfFrames({ requestId }: ReplyContext, thrown: unknown): void {
    this.#warn("onFrame", requestId, thrown);
  }

  #replace(request: ServeRequest, result: unknown): ServeRequest {
    const { route, ask } = request;
    if (route === "transcriptions") throw new HookFault("It gave back another form; forms are not changed.");
    const body = Buffer.from(jsonOfResult(result, this.#parameters.maxBodyBytes));
    const changed = readChanged(route, body, ask);
    if (changed.stream !== ask.stream) throw new HookFault("It changed `stream`, which is the client's.");
    return { ...request, body, ask: { ...changed, includeUsage: ask.includeUsage } };
  }

  /** Resolves as the hook does, or rejects when its time is over. */
  async #inTime<T>(work: T | PromiseLike<T>): Promise<T> {
    if (!isPromise(work)) return work;
    const { timeLimitMs } = this.#parameters;
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_resolve, reject) => {
      const fault = new HookFault(`It took longer than ${timeLimitMs} ms.`);
      timer = setTimeout(() => reject(fault), timeLimitMs);
    });
    try {
      return await Promise.race([work, late]);
    } finally {
      clearTimeout(timer);
    }
  }

  #warn(hook: string, requestId: string, thrown: unknown): void {
    this.#parameters.log.warn({ hook, request_id: requestId, ...faultOf(thrown) }, "a hook failed");
  }
}

/** What the changed body asks for. That it can be read is the hook's business: the client never saw it. */
function readChanged(route: Exclude<Route, "transcriptions">, body: Buffer, { sessionId }: Ask): Ask {
  try {
    return readAsk(route, JSON.parse(body.toString()), body.length, sessionId);
  } catch (cause) {
    if (!isAimoError(cause)) throw cause;
    throw new HookFault(`The body that it gave back is refused: ${cause.param ?? "the body"} is not valid.`);
  }
}

const isPromise = <T>(value: T | PromiseLike<T>): value is PromiseLike<T> =>
  typeof value === "object" && value !== null && "then" in value && typeof value.then === "function";
