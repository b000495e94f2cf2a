import type { Log } from "./log.ts";

export type LifecycleOptions = {
  readonly log: Log;
  /** Closes the node when it fires. */
  readonly signal?: AbortSignal;
};

/**
 * Runs `start`, which registers what it opens, and returns what it made with a `close` that undoes it in reverse, once
 * however often it is called. When `start` throws, what it had opened is closed first.
 */
export async function startClosable<T extends object>(
  start: (started: AsyncDisposableStack) => Promise<T>,
  { log, signal }: LifecycleOptions,
): Promise<T & { close(): Promise<void> }> {
  signal?.throwIfAborted();
  const started = new AsyncDisposableStack();
  let closing: Promise<void> | undefined;
  const close = () => {
    closing ??= started.disposeAsync();
    return closing;
  };
  try {
    const node = await start(started);
    signal?.addEventListener("abort", () => {
      close().catch((error: unknown) => log.error({ err: error }, "The node did not close cleanly."));
    });
    return { ...node, close };
  } catch (error) {
    await close();
    throw error;
  }
}
