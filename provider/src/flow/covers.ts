import type { Exposure } from "../core/exposure.ts";
import type { ReservesChain } from "./ports.ts";

export type CoversModules = {
  readonly chain: Pick<ReservesChain, "fundsOf">;
  readonly exposure: Pick<Exposure, "setCover">;
};

/** Relays followed at once; each has proven a registered key or left a debt. */
const MAX_FOLLOWED = 4_096;

/** Keeps what stands for each relay's debt in step with the chain. */
export class Covers {
  readonly #m: CoversModules;
  readonly #known = new Map<number, Promise<void>>();

  constructor(modules: CoversModules) {
    this.#m = modules;
  }

  /** Reads a relay's reserve the first time it is asked for; then it is followed. Throws `chain_unavailable`. */
  follow(relayId: number): Promise<void> {
    const known = this.#known.get(relayId);
    if (known) return known;
    const read = this.#read(relayId);
    this.#known.set(relayId, read);
    // A failure is no answer: the next one asks again.
    read.catch(() => this.#known.delete(relayId));
    const [oldest] = this.#known.keys();
    if (this.#known.size > MAX_FOLLOWED && oldest !== undefined) this.#known.delete(oldest);
    return read;
  }

  /** Reads again what has changed, of relays that are followed. */
  async refresh(relayIds: Iterable<number>): Promise<void> {
    for (const relayId of relayIds) if (this.#known.has(relayId)) await this.#read(relayId);
  }

  relayIds(): readonly number[] {
    return [...this.#known.keys()];
  }

  async #read(relayId: number): Promise<void> {
    const { reserve, paid } = await this.#m.chain.fundsOf(relayId);
    this.#m.exposure.setCover(relayId, { reserve, paid });
  }
}
