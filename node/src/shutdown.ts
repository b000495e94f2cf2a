import type { EventEmitter } from "node:events";

export type ShutdownParameters = {
  /** Stops admitting, finishes what runs, closes. Called once. */
  readonly drain: (signal: string) => Promise<void>;
  /** Told of what is going on, for a line to the person at the terminal. */
  readonly onEvent?: (event: "draining" | "drained" | "forced" | "failed", error?: unknown) => void;
  readonly exit: (code: number) => void;
  /** `process`, or a stand-in. */
  readonly source: Pick<EventEmitter, "on" | "off">;
  /** Monotonic milliseconds. */
  readonly now?: () => number;
};

/** npm, shells and terminals deliver one key press more than once; those all come within this time. */
export const SAME_PRESS_MS = 1_000;
/** Exit code of a node that was told twice to stop: 128 + SIGINT. */
export const FORCED_EXIT_CODE = 130;

/**
 * Stops a node on SIGINT and SIGTERM. The first signal starts the drain; those within `SAME_PRESS_MS` are the same key
 * press; a later one leaves at once (the journal covers the rest). Returns how to stop listening for signals.
 */
export function onShutdown(parameters: ShutdownParameters): () => void {
  const { drain, exit, source, onEvent = () => {}, now = () => performance.now() } = parameters;
  let firstAt: number | undefined;
  const finish = (event: "drained" | "failed", code: number, error?: unknown) => {
    stop();
    onEvent(event, error);
    exit(code);
  };
  const onSignal = (signal: string) => {
    const at = now();
    if (firstAt !== undefined) {
      if (at - firstAt < SAME_PRESS_MS) return;
      onEvent("forced");
      exit(FORCED_EXIT_CODE);
      return;
    }
    firstAt = at;
    onEvent("draining");
    drain(signal).then(
      () => finish("drained", 0),
      (error: unknown) => finish("failed", 1, error),
    );
  };
  const stop = () => {
    source.off("SIGINT", onSignal);
    source.off("SIGTERM", onSignal);
  };
  source.on("SIGINT", onSignal);
  source.on("SIGTERM", onSignal);
  return stop;
}
