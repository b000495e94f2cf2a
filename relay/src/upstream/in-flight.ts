import type { Hex } from "viem";

/**
 * Requests whose end the flow has not taken in yet, by request hash. A provider may sign for a request that this relay
 * is still reading: a slow client holds the answer back, but not the group.
 */
export class InFlight {
  /** Resolves when other processes have said what they have sent by now; undefined where there are none. */
  heard: (() => Promise<void>) | undefined;
  /** Those that wait for each request's end. */
  readonly #waiting = new Map<Hex, (() => void)[]>();

  begin(requestHash: Hex): void {
    this.#waiting.set(requestHash, []);
  }

  /** Call when the flow was told; it has committed by the next turn of the event loop. */
  end(requestHash: Hex): void {
    setImmediate(() => {
      const waiting = this.#waiting.get(requestHash) ?? [];
      this.#waiting.delete(requestHash);
      for (const resolve of waiting) resolve();
    });
  }

  /** A promise for the end of those of the requests that are in flight; undefined when none is. */
  whenEnded(requestHashes: readonly Hex[]): Promise<unknown> | undefined {
    const ends = requestHashes.flatMap((requestHash) => {
      const waiting = this.#waiting.get(requestHash);
      return waiting ? [new Promise<void>((resolve) => waiting.push(resolve))] : [];
    });
    return ends.length === 0 ? undefined : Promise.all(ends);
  }
}
