import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Database, openData } from "@aimo/node/data-dir";
import { ZERO_32 } from "@aimo/protocol/bytes";
import { Journal } from "@aimo/relay/store/journal";
import { expect } from "chai";
import { zeroAddress } from "viem";

/** On a real disk: what counts is what a new process finds. */
describe("relay/store/journal", () => {
  let folder: string;
  let db: Database;
  let journal: Journal;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "aimo-journal-"));
    const identity = { chainId: 31_337, genesisHash: ZERO_32, settlement: zeroAddress };
    db = await openData({ location: { folder }, identity });
    journal = new Journal(db);
  });
  afterEach(async () => {
    await journal.close();
    await db.close();
    await rm(folder, { recursive: true, force: true });
  });
  const again = () => new Journal(db);

  it("reads what was put before it is on the disk, and after", async () => {
    journal.put("chain", "cursor", 7);
    expect(await journal.get("chain", "cursor")).to.equal(7);
    expect(await again().get("chain", "cursor")).to.equal(undefined);
    await journal.flushed();
    expect(await again().get("chain", "cursor")).to.equal(7);
  });

  it("keeps the last of what was put under a key, and nothing of what was deleted", async () => {
    journal.put("chain", "cursor", 1);
    journal.put("chain", "cursor", 2);
    journal.put("chain", "gone", 3);
    journal.delete("chain", "gone");
    expect(await journal.get("chain", "gone")).to.equal(undefined);
    await journal.flushed();
    expect(await again().get("chain", "cursor")).to.equal(2);
    expect(await again().get("chain", "gone")).to.equal(undefined);
    journal.delete("chain", "cursor");
    expect(await journal.get("chain", "cursor")).to.equal(undefined);
    journal.put("chain", "cursor", 4);
    await journal.flushed();
    expect(await again().get("chain", "cursor")).to.equal(4);
  });

  it("asks a function when it writes, so that what came until then is in it", async () => {
    let sum = 1;
    journal.put("chain", "sum", () => sum);
    sum += 1;
    await journal.flushed();
    expect(await again().get("chain", "sum")).to.equal(2);
  });

  it("has everything on the disk that was put before `flushed`, however often a key was written", async () => {
    for (let n = 0; n < 300; n++) {
      journal.put("chain", `${n % 7}`, n);
      if (n % 50 === 0) await journal.flushed();
    }
    await journal.flushed();
    const kept = await Promise.all([0, 1, 2, 3, 4, 5, 6].map((n) => again().get("chain", `${n}`)));
    expect(kept).to.deep.equal([294, 295, 296, 297, 298, 299, 293]);
  });
});
