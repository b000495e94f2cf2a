import { expect } from "chai";
import fc from "fast-check";
import { linesOf } from "../../../relay/src/core/batch-job.ts";
import { FileStore } from "../../../relay/src/store/files.ts";
import { openMemory } from "../../provider/support/provider.ts";

const LIMITS = { maxStoredPerAccount: 1_000_000, maxStored: 1_500_000 };
const NEVER = Number.MAX_SAFE_INTEGER;
const bytesOf = (size: number, seed = 1) =>
  Uint8Array.from({ length: size }, (_, index) => (index * seed) & 255);
async function codeOf(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => "none",
    (error: { code: string }) => error.code,
  );
}

async function readAll(chunks: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for await (const chunk of chunks) parts.push(chunk);
  return Buffer.concat(parts);
}

describe("relay/store/files", () => {
  const file = (userId: number) =>
    ({ userId, filename: "a.jsonl", purpose: "batch", expiresAt: NEVER }) as const;

  it("gives back what it took, after a restart too", async () => {
    const db = await openMemory();
    const store = await FileStore.open(db, LIMITS, Date.now);
    const content = bytesOf(300_000, 7);
    const { id, bytes } = await store.create(file(1), [content.subarray(0, 5), content.subarray(5)]);
    expect(bytes).to.equal(300_000);
    const again = await FileStore.open(db, LIMITS, Date.now);
    expect((await readAll(again.read(id))).equals(content)).to.equal(true);
    expect(again.usedBy(1)).to.equal(300_000);
    expect(() => again.require(2, id)).to.throw("no such file");
    await again.remove(id);
    expect([again.usedBy(1), again.list(1).length]).to.deep.equal([0, 0]);
    expect((await readAll(again.read(id))).length).to.equal(0);
  });

  it("takes no more than an account and the relay may store, also of several at once", async () => {
    const db = await openMemory();
    const store = await FileStore.open(db, LIMITS, Date.now);
    const results = await Promise.all(
      Array.from({ length: 5 }, () => codeOf(store.create(file(1), [bytesOf(300_000)]))),
    );
    expect(results.filter((code) => code === "none")).to.have.length.within(1, 3);
    expect(store.usedBy(1)).to.be.at.most(1_000_000);
    const other = await Promise.all(
      [2, 3].map((userId) => codeOf(store.create(file(userId), [bytesOf(900_000)]))),
    );
    expect(other).to.include("overloaded");
    const left = await FileStore.open(db, LIMITS, Date.now);
    expect(left.usedBy(1)).to.equal(store.usedBy(1));
  });

  it("leaves nothing of a file whose sender broke off, and clears what a crash left", async () => {
    const db = await openMemory();
    const store = await FileStore.open(db, LIMITS, Date.now);
    async function* broken() {
      yield bytesOf(200_000);
      throw new Error("gone");
    }
    await store.create(file(1), broken()).catch(() => {});
    expect(store.usedBy(1)).to.equal(0);
    await db.put("!pieces!file-orphan!00000000", "left over");
    await FileStore.open(db, LIMITS, Date.now);
    expect(await db.get("!pieces!file-orphan!00000000")).to.equal(undefined);
    expect(await db.keys({ gte: "!pieces!", lt: "!pieces!~" }).all()).to.deep.equal([]);
  });

  it("forgets what has expired, but not what is in use", async () => {
    let now = 1_000;
    const store = await FileStore.open(await openMemory(), LIMITS, () => now);
    const used = await store.create({ ...file(1), expiresAt: 2_000 }, [bytesOf(10)]);
    const idle = await store.create({ ...file(1), expiresAt: 2_000 }, [bytesOf(10)]);
    now = 3_000;
    expect(() => store.require(1, idle.id)).to.throw("no such file");
    await store.sweep(new Set([used.id]));
    expect(store.usedBy(1)).to.equal(10);
    expect((await readAll(store.read(used.id))).length).to.equal(10);
  });
});

describe("linesOf", () => {
  it("reads the same lines however the bytes are cut", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.string({ unit: fc.constantFrom("a", "é", "😀", " ", "{", "\r") })),
        fc.nat({ max: 7 }),
        async (lines, step) => {
          const text = lines.join("\n");
          const bytes = Buffer.from(text);
          async function* cut() {
            for (let at = 0; at < bytes.length; at += step + 1) yield bytes.subarray(at, at + step + 1);
          }
          const read: { no: number; text: string }[] = [];
          for await (const line of linesOf(cut(), 1_000)) read.push(line);
          const wanted = lines
            .map((line, index) => ({ no: index + 1, text: line.trim() }))
            .filter((line) => line.text !== "");
          expect(read).to.deep.equal(wanted);
        },
      ),
      { numRuns: 60 },
    );
  });

  it("refuses a line that is too long, ended or not", async () => {
    for (const text of ["x".repeat(101), `a\n${"x".repeat(101)}\nb`]) {
      const read = async () => {
        async function* whole() {
          yield Buffer.from(text);
        }
        for await (const _line of linesOf(whole(), 100));
      };
      expect(
        await read().then(
          () => "",
          (error: Error) => error.message,
        ),
      ).to.contain("longer than 100 bytes");
    }
  });
});
