import { type ReportedUsage, withCompletion } from "./usage.ts";

/**
 * How the counts are meant that a server states inside a stream: tokens of the chunk's own choice so far, or of all
 * choices so far.
 */
export type CountedBy = "per_choice" | "in_all";

/** The upstream's own count at some frame, and for each choice the frame up to which it is counted. */
export type RunningUsage = { readonly usage: ReportedUsage; readonly upTo: (choice: number) => number };

type Count = { readonly frame: number; readonly choice: number; readonly usage: ReportedUsage };

/** Stands for every choice. */
const ALL = -1;

/** The counts that an upstream stated chunk by chunk, so that an answer can be cut at any of them. */
export class RunningCounts {
  readonly #isPerChoice: boolean;
  readonly #counts: Count[] = [];

  constructor(countedBy: CountedBy) {
    this.#isPerChoice = countedBy === "per_choice";
  }

  /** `choices`: those that the frame has something of. */
  add(frame: number, choices: readonly number[], usage: ReportedUsage): void {
    const [only] = choices;
    if (!this.#isPerChoice) this.#counts.push({ frame, choice: ALL, usage });
    // Whose count it is in a chunk of several nobody knows.
    else if (only !== undefined && choices.length === 1) this.#counts.push({ frame, choice: only, usage });
  }

  /** Undefined when nothing was stated until then. */
  at(frames: number): RunningUsage | undefined {
    const latest = new Map<number, Count>();
    let newest: Count | undefined;
    for (const count of this.#counts) {
      if (count.frame > frames) break;
      latest.set(count.choice, count);
      newest = count;
    }
    if (!newest) return undefined;
    const sum = latest.values().reduce((all, { usage }) => all + usage.completion, 0);
    const upTo = (choice: number) => latest.get(this.#isPerChoice ? choice : ALL)?.frame ?? 0;
    return { usage: latest.size === 1 ? newest.usage : withCompletion(newest.usage, sum), upTo };
  }
}
