import type { Database } from "@aimo/node/data-dir";
import { expect } from "chai";
import { IdempotentReplies } from "../../../relay/src/store/idempotency.ts";
import { Journal } from "../../../relay/src/store/journal.ts";
import { callerOf, type Disk, DRIVERS, newClock, openWorld, type World } from "./books-world.ts";

const DAY_MS = 86_400_000;
const BODY = `0x${"aa".repeat(32)}` as const;
const OTHER = `0x${"bb".repeat(32)}` as const;
const caller = callerOf(1);
const replyOf = (text: string) => ({
  ...{ status: 200, contentType: "application/json", generationId: "gen-1", body: Buffer.from(text) },
});

for (const [name, openDisk] of Object.entries(DRIVERS))
  describe(`idempotency on ${name}`, () => {
    let disk: Disk;
    let world: World;
    beforeEach(async () => {
      disk = await openDisk();
      world = await openWorld(disk.db, newClock());
    });
    afterEach(async () => {
      await world.journal.close();
      await disk.remove();
    });

    it("lets one of two racing claims win", async () => {
      const claims = await Promise.all(
        Array.from({ length: 9 }, () => world.replies.claim(caller, "k", BODY)),
      );
      expect(claims.filter((claim) => claim === "new")).to.have.length(1);
      expect(claims.filter((claim) => claim === "running")).to.have.length(8);
      expect(await world.replies.claim(caller, "k", OTHER)).to.equal("conflict");
    });

    it("gives the reply again, over a restart and until it expires", async () => {
      await world.replies.claim(caller, "k", BODY);
      world.replies.settle(caller, "k", replyOf("once"));
      expect(await world.replies.claim(caller, "k", BODY)).to.deep.equal(replyOf("once"));
      await world.journal.flushed();
      world = await openWorld(await disk.reopen(), world.clock);
      expect(await world.replies.claim(caller, "k", BODY)).to.deep.equal(replyOf("once"));
      expect(await world.replies.claim(caller, "k", OTHER)).to.equal("conflict");
      expect(await world.replies.sweep()).to.equal(0);
      world.clock.ms += DAY_MS;
      expect(await world.replies.claim(caller, "k", BODY)).to.equal("new");
      world.replies.settle(caller, "k", undefined);
      expect(await world.replies.sweep()).to.equal(1);
    });

    it("frees a key whose request was free", async () => {
      await world.replies.claim(caller, "k", BODY);
      world.replies.settle(caller, "k", undefined);
      expect(await world.replies.claim(caller, "k", OTHER)).to.equal("new");
    });

    it("never finds another account's key", async () => {
      await world.replies.claim(caller, "k", BODY);
      world.replies.settle(caller, "k", replyOf("mine"));
      expect(await world.replies.claim(callerOf(11), "k", OTHER)).to.equal("new");
      expect(await world.replies.claim(callerOf(1), "1!k", BODY)).to.equal("new");
    });

    it("removes the oldest replies above what is kept in all", async () => {
      for (const key of ["a", "b", "c"]) {
        await world.replies.claim(caller, key, BODY);
        world.replies.settle(caller, key, replyOf("x".repeat(300)));
        world.clock.ms += 1;
      }
      await world.journal.flushed();
      expect(await world.replies.sweep(800)).to.equal(1);
      await world.journal.flushed();
      expect(await world.replies.claim(caller, "a", BODY)).to.equal("new");
      expect(await world.replies.claim(caller, "b", BODY)).to.deep.equal(replyOf("x".repeat(300)));
    });
  });

describe("the journal", () => {
  /** A database that writes when it is told to, or fails. */
  const slowDisk = (db: Database) => {
    const gates: (() => void)[] = [];
    const fail = { with: undefined as Error | undefined };
    const batch = async (...args: unknown[]) => {
      await new Promise<void>((resolve) => gates.push(resolve));
      if (fail.with) throw fail.with;
      return (db.batch as (...all: unknown[]) => Promise<void>)(...args);
    };
    const proxy = new Proxy(db, {
      get: (target, name) => {
        if (name === "batch") return batch;
        const value: unknown = Reflect.get(target, name);
        return typeof value === "function" ? value.bind(target) : value;
      },
    });
    const go = async () => {
      while (gates.length === 0) await new Promise(setImmediate);
      gates.shift()?.();
    };
    return { db: proxy, go, fail, gates };
  };
  let disk: Disk;
  beforeEach(async () => {
    disk = await DRIVERS["memory-level"]();
  });
  afterEach(() => disk.remove());

  it("writes what came while the disk was busy, though nobody asks", async () => {
    const slow = slowDisk(disk.db);
    const journal = new Journal(slow.db);
    journal.put("chain", "a", 1);
    while (slow.gates.length === 0) await new Promise(setImmediate);
    journal.put("chain", "b", 2);
    // Longer than a tick: the second write's own timer finds the first one still under way.
    await new Promise((resolve) => setTimeout(resolve, 20));
    await slow.go();
    await slow.go();
    while ((await journal.get("chain", "b")) === undefined) await new Promise(setImmediate);
  });

  it("lets nobody wait for what was said after he asked", async () => {
    const slow = slowDisk(disk.db);
    const journal = new Journal(slow.db);
    journal.put("chain", "a", 1);
    const flushed = journal.flushed();
    while (slow.gates.length === 0) await new Promise(setImmediate);
    journal.put("chain", "b", 2);
    await slow.go();
    await flushed;
    expect(await journal.get("chain", "a")).to.equal(1);
    await Promise.all([journal.close(), slow.go()]);
  });

  it("stops admission and everyone who waits when the disk fails", async () => {
    const slow = slowDisk(disk.db);
    const world = await openWorld(slow.db, newClock());
    slow.fail.with = new Error("no space left");
    world.journal.put("chain", "a", 1);
    const [result] = await Promise.allSettled([world.journal.flushed(), slow.go()]);
    expect(result.status).to.equal("rejected");
    expect(() => world.journal.requireRoom())
      .to.throw()
      .with.property("code", "data_corrupt");
    const flushed = await world.journal.flushed().catch((error: unknown) => error);
    expect(flushed).to.equal(slow.fail.with);
  });

  it("frees a claim that could not be looked up", async () => {
    const broken = { get: () => Promise.reject(new Error("io")) } as unknown as Database;
    const replies = new IdempotentReplies(new Journal(broken), () => 0);
    for (let i = 0; i < 2; i++) {
      const error = await replies.claim(caller, "k", BODY).catch((reason: unknown) => reason);
      expect(error).to.be.an("error").with.property("message", "io");
    }
  });
});
