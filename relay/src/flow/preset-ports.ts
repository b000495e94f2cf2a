import type { PresetSettings } from "@aimo/protocol/presets";
import type { Preset } from "../core/preset.ts";

/** store/: presets of accounts, bounded in number. A change is durable when it resolves. */
export interface Presets {
  find(userId: number, slug: string): Promise<Preset | undefined>;
  /** By slug. */
  list(userId: number): Promise<readonly Preset[]>;
  /** Throws `invalid_request` when the slug is taken or the account has as many as it may. */
  create(userId: number, slug: string, settings: PresetSettings): Promise<Preset>;
  /** `change` may throw. Throws `not_found`. */
  change(userId: number, slug: string, change: (old: Preset) => PresetSettings): Promise<Preset>;
  /** Throws `not_found`. */
  remove(userId: number, slug: string): Promise<void>;
}
