import { AimoError } from "./errors.ts";

/** Joins a caller's signal with a time limit that activity can extend. */
export type Deadline = {
  readonly signal: AbortSignal;
  /** Starts the time limit anew. */
  extend(): void;
  /** Stops the clock and lets go of the caller's signal. */
  release(): void;
  abort(): void;
  /** Why an operation under this signal failed, if the signal is why. */
  errorFor(cause: unknown): AimoError | undefined;
};

export function createDeadline(timeoutMs: number, callerSignal: AbortSignal | undefined): Deadline {
  const controller = new AbortController();
  let state: "running" | "timeout" | "cancelled" = "running";
  const end = (why: "timeout" | "cancelled", reason?: unknown) => {
    if (state !== "running") return;
    state = why;
    controller.abort(reason);
  };
  const onAbort = () => end("cancelled", callerSignal?.reason);
  const start = () => setTimeout(() => end("timeout"), timeoutMs);
  let timer = start();
  if (callerSignal?.aborted) onAbort();
  else callerSignal?.addEventListener("abort", onAbort, { once: true });
  return {
    signal: controller.signal,
    extend() {
      clearTimeout(timer);
      timer = start();
    },
    release() {
      clearTimeout(timer);
      callerSignal?.removeEventListener("abort", onAbort);
    },
    abort: () => end("cancelled"),
    errorFor(cause) {
      if (state === "cancelled") return new AimoError("cancelled", { status: 0, cause });
      if (state === "timeout")
        return new AimoError("timeout", {
          message: `The relay did not answer within ${timeoutMs} ms.`,
          status: 0,
          cause,
        });
      return undefined;
    },
  };
}
