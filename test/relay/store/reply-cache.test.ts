import { expect } from "chai";
import fc from "fast-check";
import type { CachedReply } from "../../../relay/src/core/cached-reply.ts";
import { MemoryReplyCache } from "../../../relay/src/store/reply-cache.ts";

const LIMITS = { maxEntries: 5, maxEntryBytes: 60, maxAccountBytes: 100, maxBytes: 150 };
const reply = (sourceId: string, size: number): CachedReply => ({
  ...{ sourceId, size, isStream: false, contentType: undefined },
  ...{ bytes: new Uint8Array(0), ends: new Uint32Array(0), closing: undefined },
});

const step = fc.record({
  act: fc.constantFrom("keep", "find", "clear", "wait"),
  userId: fc.integer({ min: 1, max: 3 }),
  content: fc.constantFrom("a", "b", "c", "d"),
  size: fc.integer({ min: 1, max: 70 }),
  ttl: fc.integer({ min: 1, max: 5 }),
});
type Step = typeof step extends fc.Arbitrary<infer S> ? S : never;

/** The same rules on one plain list, the least recently used first. */
class Model {
  entries: { key: string; userId: number; id: string; size: number; until: number }[] = [];
  #sum = (userId?: number) =>
    this.entries
      .filter((entry) => userId === undefined || entry.userId === userId)
      .reduce((sum, { size }) => sum + size, 0);

  keep({ userId, content, size, ttl }: Step, id: string, now: number): void {
    const key = `${userId}${content}`;
    this.clear(key);
    if (size > LIMITS.maxEntryBytes) return;
    while (this.#sum(userId) + size > LIMITS.maxAccountBytes)
      this.entries.splice(
        this.entries.findIndex((entry) => entry.userId === userId),
        1,
      );
    while (this.#sum() + size > LIMITS.maxBytes || this.entries.length >= LIMITS.maxEntries)
      this.entries.shift();
    this.entries.push({ key, userId, id, size, until: now + ttl * 1_000 });
  }

  find(key: string, now: number): string | undefined {
    const found = this.entries.find((entry) => entry.key === key);
    this.clear(key);
    if (!found || found.until <= now) return undefined;
    this.entries.push(found);
    return found.id;
  }

  clear(key: string): void {
    this.entries = this.entries.filter((entry) => entry.key !== key);
  }
}

describe("the cache of replies", () => {
  it("keeps what a plain list would, within each of its limits", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        let now = 1_000;
        const cache = new MemoryReplyCache(LIMITS, () => now);
        const model = new Model();
        for (const [index, one] of steps.entries()) {
          const { act, userId, content, size, ttl } = one;
          const name = { userId, contentHash: content };
          if (act === "keep") {
            cache.begin(name).end(reply(`${index}`, size), ttl);
            model.keep(one, `${index}`, now);
          } else if (act === "find")
            expect(cache.find(name)?.reply.sourceId).to.equal(model.find(`${userId}${content}`, now));
          else if (act === "clear") {
            cache.clear(name);
            model.clear(`${userId}${content}`);
          } else now += size * 50;
          expect(cache.size).to.equal(model.entries.length).and.be.at.most(LIMITS.maxEntries);
          expect(cache.bytes).to.equal(model.entries.reduce((sum, entry) => sum + entry.size, 0));
          expect(cache.bytes).to.be.at.most(LIMITS.maxBytes);
        }
      }),
      { numRuns: 500 },
    );
  });

  it("bounds what is being recorded, and frees it at the end whatever came of it", () => {
    const cache = new MemoryReplyCache(LIMITS, () => 0);
    const recordings = ["a", "b", "c"].map((contentHash) => cache.begin({ userId: 1, contentHash }));
    expect(recordings.map(({ take }) => take(60))).to.deep.equal([true, true, false]);
    expect(recordings[0]?.take(1), "an entry's limit").to.equal(false);
    recordings[0]?.end(undefined, 1);
    expect(recordings[2]?.take(60)).to.equal(true);
    for (const recording of recordings.slice(1)) recording.end(reply("x", 10), 1);
    expect(cache.bytes).to.equal(20);
  });

  it("does not keep what was asked for before its name was cleared", () => {
    const cache = new MemoryReplyCache(LIMITS, () => 0);
    const name = { userId: 1, contentHash: "a" };
    const [old, other] = [cache.begin(name), cache.begin(name)];
    cache.clear(name);
    const fresh = cache.begin(name);
    old.end(reply("old", 1), 1);
    expect(cache.find(name)).to.equal(undefined);
    fresh.end(reply("fresh", 1), 1);
    other.end(reply("other", 1), 1);
    expect(cache.find(name)?.reply.sourceId).to.equal("fresh");
    expect(old.take(1)).to.equal(false);
  });

  it("keeps nothing where none may be kept", () => {
    const cache = new MemoryReplyCache({ ...LIMITS, maxEntries: 0 }, () => 0);
    const recording = cache.begin({ userId: 1, contentHash: "a" });
    expect(recording.take(1)).to.equal(false);
    recording.end(reply("x", 1), 1);
    expect(cache.size).to.equal(0);
  });
});
