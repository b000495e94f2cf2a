import { setImmediate as turn } from "node:timers/promises";
import { type Database, openData } from "@aimo/node/data-dir";
import type { Hex } from "viem";

const IDENTITY = { chainId: 1, genesisHash: `0x${"00".repeat(32)}`, settlement: `0x${"11".repeat(20)}` } as {
  chainId: number;
  genesisHash: Hex;
  settlement: Hex;
};

type Op = { readonly type: "put" | "del"; readonly key: string; readonly value?: string };
type Options = { readonly sync?: boolean } | undefined;

/** Turns that a sync takes, so that much happens while the disk is busy. */
const SYNC_TURNS = 3;

/**
 * A database whose power can be cut: it remembers what each sync brought to the disk. A write that no sync followed is
 * seen by whoever reads, and gone after the cut; LevelDB's log promises as much and no more.
 */
export class CutDisk {
  readonly db: Database;
  readonly #isHonest: boolean;
  readonly #synced: (readonly Op[])[] = [];
  #loose: Op[] = [];

  private constructor(db: Database, isHonest: boolean) {
    this.#isHonest = isHonest;
    this.db = new Proxy(db, {
      get: (target, name) => {
        if (name === "batch")
          return (ops: readonly Op[], options: Options) => this.#write(target, ops, options);
        if (name === "put")
          return (key: string, value: string, options: Options) =>
            this.#write(target, [{ type: "put", key, value }], options);
        if (name === "del")
          return (key: string, options: Options) => this.#write(target, [{ type: "del", key }], options);
        const member = Reflect.get(target, name, target) as unknown;
        return typeof member === "function" ? member.bind(target) : member;
      },
    });
  }

  /** One that is not honest forgets to sync every other time, as a driver without `sync` would. */
  static async open({ isHonest = true } = {}): Promise<CutDisk> {
    return new CutDisk(await openData({ location: "memory", identity: IDENTITY }), isHonest);
  }

  /** How many syncs have ended. */
  get syncs(): number {
    return this.#synced.length;
  }

  /** What is found after a cut when so many syncs had ended. */
  async after(syncs: number): Promise<Database> {
    const db = await openData({ location: "memory", identity: IDENTITY });
    for (const ops of this.#synced.slice(0, syncs)) await db.batch(ops.map((op) => ({ ...op })) as never);
    return db;
  }

  async #write(target: Database, ops: readonly Op[], options: Options): Promise<void> {
    const isSynced = options?.sync === true;
    if (isSynced) for (let count = 0; count < SYNC_TURNS; count++) await turn();
    await target.batch(ops.map((op) => ({ ...op })) as never);
    this.#loose.push(...ops);
    if (!isSynced) return;
    const forgets = !this.#isHonest && this.#synced.length % 2 === 1;
    this.#synced.push(forgets ? [] : this.#loose);
    this.#loose = [];
  }
}
