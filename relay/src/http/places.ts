export type PlacesLimits = {
  readonly most: number;
  /** Who wait for one at once, and for how long at most. */
  readonly maxWaiting: number;
  readonly maxWaitMs: number;
};

/** Places, so many and no more. Who comes when all are taken waits in line, which is short and moves on. */
export class Places {
  readonly #limits: PlacesLimits;
  readonly #line = new Set<() => void>();
  #taken = 0;

  constructor(limits: PlacesLimits) {
    this.#limits = limits;
  }

  /** True: there is a place, to be left once. False: the line is too long, or was too slow. */
  enter(): Promise<boolean> {
    const { most, maxWaiting, maxWaitMs } = this.#limits;
    if (this.#taken < most) {
      this.#taken++;
      return Promise.resolve(true);
    }
    if (this.#line.size >= maxWaiting) return Promise.resolve(false);
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const next = () => {
      clearTimeout(timer);
      resolve(true);
    };
    const timer = setTimeout(() => {
      this.#line.delete(next);
      resolve(false);
    }, maxWaitMs);
    this.#line.add(next);
    return promise;
  }

  leave(): void {
    const [next] = this.#line;
    if (!next) {
      this.#taken--;
      return;
    }
    this.#line.delete(next);
    next();
  }
}
