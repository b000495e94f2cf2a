import type { Database } from "@aimo/node/data-dir";
import { AimoError } from "@aimo/protocol/errors";
import type { PresetSettings } from "@aimo/protocol/presets";
import type { Preset } from "../core/preset.ts";
import type { Presets } from "../flow/preset-ports.ts";
import { BUCKETS } from "./buckets.ts";

/** Presets of one account. With the largest size of each this bounds what an account stores to a few MiB. */
export const MAX_PRESETS_PER_ACCOUNT = 100;
/** Level on disk waits for the disk then; level in memory does not know the option. */
const SYNC: { readonly sync: boolean; readonly keyEncoding?: "utf8" } = { sync: true };

/** Presets, on disk only: one is read when a request names it. */
export class PresetStore implements Presets {
  readonly #db;
  readonly #now: () => number;
  /** Changes happen one after the other: each sees what the one before it did. */
  #last: Promise<unknown> = Promise.resolve();

  constructor(db: Database, now: () => number) {
    this.#db = db.sublevel<string, Preset>(BUCKETS.presets, { valueEncoding: "json" });
    this.#now = now;
  }

  find(userId: number, slug: string): Promise<Preset | undefined> {
    return this.#db.get(keyOf(userId, slug));
  }

  list(userId: number): Promise<readonly Preset[]> {
    return this.#db.values(rangeOf(userId)).all();
  }

  create(userId: number, slug: string, settings: PresetSettings): Promise<Preset> {
    return this.#inTurn(async () => {
      if (await this.find(userId, slug))
        throw new AimoError("invalid_request", {
          message: `The account has a preset ${slug}; change it, or remove it first.`,
          param: "slug",
        });
      const others = await this.#db.keys(rangeOf(userId)).all();
      if (others.length >= MAX_PRESETS_PER_ACCOUNT)
        throw new AimoError("invalid_request", {
          message: `An account has at most ${MAX_PRESETS_PER_ACCOUNT} presets; remove one first.`,
        });
      const now = this.#now();
      return this.#save(userId, { slug, ...settings, createdAt: now, updatedAt: now });
    });
  }

  change(userId: number, slug: string, change: (old: Preset) => PresetSettings): Promise<Preset> {
    return this.#inTurn(async () => {
      const old = await this.#require(userId, slug);
      const { createdAt } = old;
      return this.#save(userId, { ...change(old), slug, createdAt, updatedAt: this.#now() });
    });
  }

  remove(userId: number, slug: string): Promise<void> {
    return this.#inTurn(async () => {
      await this.#require(userId, slug);
      await this.#db.del(keyOf(userId, slug), SYNC);
    });
  }

  async #require(userId: number, slug: string): Promise<Preset> {
    const preset = await this.find(userId, slug);
    if (preset) return preset;
    throw new AimoError("not_found", { message: `The account has no preset ${slug}.`, param: "slug" });
  }

  async #save(userId: number, preset: Preset): Promise<Preset> {
    await this.#db.put(keyOf(userId, preset.slug), preset, SYNC);
    return preset;
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#last.then(work);
    this.#last = done.catch(() => {});
    return done;
  }
}

/** A hyphen, digits and letters are what slugs have; all of them are above "!" and below "~". */
const keyOf = (userId: number, slug: string) => `${userId}!${slug}`;
const rangeOf = (userId: number) => ({ gt: keyOf(userId, ""), lt: keyOf(userId, "~") });
