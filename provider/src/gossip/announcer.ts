import type { Log } from "@aimo/node/log";
import { type Announcement, MAX_ANNOUNCEMENT_LIFE_MS, type ModelOffer } from "@aimo/protocol/announcement";
import { isMaterial } from "../core/slots.ts";

export type AnnouncerModules = {
  /** What is the same in every announcement. */
  readonly about: Omit<Announcement, "sequence" | "issuedAt" | "expiresAt" | "models">;
  /** The offers of this moment. */
  readonly offers: () => readonly ModelOffer[];
  /** Most slots of any model, to judge what a change of slots means. */
  readonly maxConcurrency: number;
  /** Signs and sends. */
  readonly publish: (announcement: Announcement) => Promise<unknown>;
  /** Wall-clock milliseconds. */
  readonly now: () => number;
  readonly log: Log;
};

/** Three fit into the life of an announcement, so that one lost message hides nobody. */
export const ANNOUNCE_INTERVAL_MS = 8_000;
/** Announcements at once are at least this far apart, or a busy node would flood the topic. */
export const MIN_GAP_MS = 1_000;

/** Tells the network what this provider can serve: on a beat, and at once when its slots change materially. */
export class Announcer {
  readonly #m: AnnouncerModules;
  readonly #announced = new Map<number, number>();
  #sequence = 0;
  #lastAt = 0;
  #beat: NodeJS.Timeout | undefined;
  #soon: NodeJS.Timeout | undefined;
  #sending: Promise<unknown> = Promise.resolve();

  constructor(modules: AnnouncerModules) {
    this.#m = modules;
  }

  start(): void {
    this.#beat = setInterval(() => this.#announce(), ANNOUNCE_INTERVAL_MS);
    this.#announce();
  }

  /** Something changed: announces at once if relays should know. */
  onSlots(): void {
    const material = this.#m
      .offers()
      .some(({ modelId, freeSlots }) =>
        isMaterial(this.#announced.get(modelId) ?? -1, freeSlots, this.#m.maxConcurrency),
      );
    if (material) this.announceSoon();
  }

  /** Announces now, or as soon as the gap to the last one allows. */
  announceSoon(): void {
    if (!this.#beat || this.#soon) return;
    const wait = this.#lastAt + MIN_GAP_MS - this.#m.now();
    this.#soon = setTimeout(() => this.#announce(), Math.max(0, wait));
  }

  /** Says that nothing is offered any more, and ends the beat; resolves when that was sent. */
  async stop(): Promise<void> {
    clearInterval(this.#beat);
    this.#beat = undefined;
    this.#announce([]);
    await this.#sending;
  }

  #announce(models: readonly ModelOffer[] = this.#m.offers()): void {
    clearTimeout(this.#soon);
    this.#soon = undefined;
    const { now, about, publish, log } = this.#m;
    const issuedAt = now();
    // From the clock, so that it grows over restarts too.
    this.#sequence = Math.max(issuedAt, this.#sequence + 1);
    this.#lastAt = issuedAt;
    for (const { modelId, freeSlots } of models) this.#announced.set(modelId, freeSlots);
    const announcement = {
      ...about,
      sequence: this.#sequence,
      issuedAt,
      expiresAt: issuedAt + MAX_ANNOUNCEMENT_LIFE_MS,
      models,
    };
    this.#sending = publish(announcement).catch((error: unknown) => {
      log.warn({ err: error }, "The announcement could not be sent.");
    });
  }
}
