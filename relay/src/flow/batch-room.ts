import { setTimeout as wait } from "node:timers/promises";
import type { Admission } from "./admission.ts";
import type { BatchLimits, Files } from "./batch-ports.ts";

export type RoomModules = {
  readonly admission: Pick<Admission, "inFlight">;
  readonly files: Pick<Files, "usedBy">;
  readonly limits: BatchLimits;
  /** Requests in flight that the relay takes. */
  readonly maxInFlight: number;
};

/** How often who waits for room looks again; a line that ends wakes it too. */
const LOOK_MS = 100;

/** How much the batches may do at once, and keep: below the limits of the relay, and after everyone else. */
export class BatchRoom {
  readonly #m: RoomModules;
  readonly #inFlight = new Map<number, number>();
  /** Bytes of lines that have ended and are in no file yet, by batch. */
  readonly #stored = new Map<string, { readonly userId: number; bytes: number }>();
  #lines = 0;
  #wake = Promise.withResolvers<void>();

  constructor(modules: RoomModules) {
    this.#m = modules;
  }

  /** Lets one more line of the account in, once there is room. False: `signal` fired before. */
  async enter(userId: number, signal: AbortSignal): Promise<boolean> {
    while (!signal.aborted && !this.#hasRoom(userId))
      await Promise.race([this.#wake.promise, wait(LOOK_MS, undefined, { ref: false })]);
    if (signal.aborted) return false;
    // In the same turn as the look, so that no two take the same place.
    this.#lines++;
    this.#inFlight.set(userId, (this.#inFlight.get(userId) ?? 0) + 1);
    return true;
  }

  leave(userId: number): void {
    this.#lines--;
    const own = (this.#inFlight.get(userId) ?? 1) - 1;
    if (own > 0) this.#inFlight.set(userId, own);
    else this.#inFlight.delete(userId);
    this.#wake.resolve();
    this.#wake = Promise.withResolvers();
  }

  store(id: string, userId: number, bytes: number): void {
    const stored = this.#stored.get(id) ?? { userId, bytes: 0 };
    stored.bytes += bytes;
    this.#stored.set(id, stored);
  }

  /** The lines of a batch have become files. */
  forget(id: string): void {
    this.#stored.delete(id);
  }

  /** True when the account has stored what it may. */
  isFull(userId: number): boolean {
    let all = 0;
    let own = this.#m.files.usedBy(userId);
    for (const stored of this.#stored.values()) {
      all += stored.bytes;
      if (stored.userId === userId) own += stored.bytes;
    }
    return own >= this.#m.limits.maxStoredPerAccount || all >= this.#m.limits.maxStored;
  }

  #hasRoom(userId: number): boolean {
    const { admission, limits, maxInFlight } = this.#m;
    return (
      this.#lines < limits.maxInFlight &&
      (this.#inFlight.get(userId) ?? 0) < limits.maxInFlightPerAccount &&
      admission.inFlight - this.#lines < (maxInFlight * limits.roomPercent) / 100
    );
  }
}
