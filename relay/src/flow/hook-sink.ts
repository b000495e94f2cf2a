import type { Hooks, ReplyContext } from "./hooks.ts";
import type { ReplySink, ServeRequest } from "./serve-ports.ts";

/** A sink whose replies pass through an operator's hooks. It stands behind the meter, so a bill never sees them. */
export class HookSink implements ReplySink {
  /** Set while the reply waits for a hook. */
  rest: Promise<void> | undefined;
  readonly #inner: ReplySink;
  readonly #hooks: Hooks;
  readonly #request: ServeRequest;
  #about: ReplyContext | undefined;
  #hasFrames = false;
  #hasFailed = false;

  constructor(inner: ReplySink, hooks: Hooks, request: ServeRequest) {
    this.#inner = inner;
    this.#hooks = hooks;
    this.#request = request;
  }

  get closed(): boolean {
    return this.#inner.closed;
  }
  get onClose() {
    return this.#inner.onClose;
  }
  set onClose(listener: (() => void) | undefined) {
    this.#inner.onClose = listener;
  }
  get onDrain() {
    return this.#inner.onDrain;
  }
  set onDrain(listener: (() => void) | undefined) {
    this.#inner.onDrain = listener;
  }

  startStream(generationId: string, contentType?: string): void {
    // Audio has no chunks to look at.
    this.#hasFrames = contentType === undefined && this.#hooks.seesFrames;
    this.#begin(generationId);
    this.#inner.startStream(generationId, contentType);
  }

  write(frame: Uint8Array): boolean {
    const about = this.#about;
    if (!this.#hasFrames || !about) return this.#inner.write(frame);
    const onFault = (thrown: unknown) => {
      // Once for each stream: it would fail at every chunk.
      if (!this.#hasFailed) this.#hooks.warnOfFrames(about, thrown);
      this.#hasFailed = true;
    };
    return this.#inner.write(this.#hooks.frame(frame, about, onFault));
  }

  end(): void {
    this.#inner.end();
  }

  cut(): void {
    this.#inner.cut();
  }

  sendJson(generationId: string, body: string, contentType?: string): void {
    if (contentType !== undefined || !this.#hooks.seesReplies) {
      this.#inner.sendJson(generationId, body, contentType);
      return;
    }
    const changed = this.#hooks.response(body, this.#begin(generationId));
    // At once where it can be: what is kept of a reply is written together with its bill.
    if (typeof changed === "string") this.#inner.sendJson(generationId, changed);
    else
      this.rest = changed.then((text) => {
        if (!this.#inner.closed) this.#inner.sendJson(generationId, text);
      });
  }

  #begin(generationId: string): ReplyContext {
    const { route, requestId, caller } = this.#request;
    const about = { route, requestId, generationId, caller: this.#hooks.callerOf(caller), state: {} };
    this.#about = about;
    return about;
  }
}
