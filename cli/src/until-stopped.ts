import { onShutdown, type ShutdownParameters } from "@aimo/node/shutdown";
import type { CliContext } from "./context.ts";

export type Running = {
  readonly close: () => Promise<void>;
  /** What to tell the person once everything runs. */
  readonly ready: string;
};

const LINES: Readonly<Record<Parameters<NonNullable<ShutdownParameters["onEvent"]>>[0], string>> = {
  draining: "Stopping: finishing what is in flight (Ctrl-C again to leave at once)…",
  drained: "Stopped.",
  forced: "Left at once; the journal covers the rest.",
  failed: "Stopping failed:",
};

/** Lets something run until a signal stops it; resolves with the exit code once it is closed. */
export function untilStopped({ close, ready }: Running, { note }: CliContext): Promise<number> {
  return new Promise((stopped) => {
    // Before anybody is told that it runs: the answer may be a signal.
    onShutdown({
      drain: () => close(),
      onEvent: (event, error) =>
        note(error === undefined ? LINES[event] : `${LINES[event]} ${String(error)}`),
      // A second signal leaves at once; everything else ends the command as any other ends.
      exit: (code) => (code === 0 || code === 1 ? stopped(code) : process.exit(code)),
      source: process,
    });
    note(ready);
  });
}
