import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, rm, unlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type DataIdentity, openData } from "@aimo/node/data-dir";
import { expect } from "chai";
import { errorOf } from "./support/errors.ts";

const identity: DataIdentity = {
  chainId: 31_337,
  genesisHash: `0x${"ab".repeat(32)}`,
  settlement: `0x${"12".repeat(20)}`,
};

describe("node/data-dir", () => {
  let root: string;
  let folder: string;
  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), "aimo-data-"));
    folder = join(root, "deep", "data");
  });
  afterEach(() => rm(root, { recursive: true }));
  const open = (change: Partial<DataIdentity> = {}) =>
    openData({ location: { folder }, identity: { ...identity, ...change } });

  it("keeps what was written, for the same chain and deployment", async () => {
    const db = await open();
    await db.put("a", "1");
    await db.close();
    const again = await open({
      settlement: `0x${"12".repeat(20)}`.toUpperCase().replace("0X", "0x") as "0x",
    });
    expect(await again.get("a")).to.equal("1");
    await again.close();
  });

  it("works in memory as on disk", async () => {
    const db = await openData({ location: "memory", identity });
    const room = db.sublevel<string, Uint8Array>("room", { valueEncoding: "view" });
    await room.put("a", Uint8Array.of(1, 2));
    expect(await room.get("a")).to.deep.equal(Uint8Array.of(1, 2));
    await db.close();
  });

  it("refuses the data of another chain or deployment, naming the field and both values", async () => {
    await (await open()).close();
    const changes = {
      chainId: 1,
      genesisHash: `0x${"cd".repeat(32)}`,
      settlement: `0x${"34".repeat(20)}`,
    } as const;
    for (const [field, value] of Object.entries(changes)) {
      const error = await errorOf("data_of_other_chain", open({ [field]: value }));
      expect(error.message).to.include(`its ${field} is`).and.include(folder);
      expect(error.details).to.include({ field, wanted: String(value) });
    }
    await (await open()).close();
  });

  it("refuses a folder that this process has open already", async () => {
    const db = await open();
    const error = await errorOf("data_in_use", open());
    expect(error.message).to.include(folder);
    expect(error.hint).to.include("Stop that process");
    await db.close();
    await (await open()).close();
  });

  it("refuses a folder that another process has open", async function () {
    this.timeout(30_000);
    const script =
      `const { openData } = await import(${JSON.stringify(import.meta.resolve("@aimo/node/data-dir"))});` +
      `await openData(${JSON.stringify({ location: { folder }, identity })});` +
      "console.log('open'); setInterval(() => {}, 1e6);";
    await (await open()).close();
    const child: ChildProcess = spawn(process.execPath, ["--input-type=module", "-e", script]);
    try {
      if (child.stdout) await once(child.stdout, "data");
      await errorOf("data_in_use", open());
    } finally {
      child.kill("SIGKILL");
      await once(child, "exit");
    }
    await (await open()).close();
  });

  it("refuses a folder whose files are damaged, and leaves them as they are", async () => {
    const db = await open();
    await db.put("a", "1");
    await db.close();
    await writeFile(join(folder, "CURRENT"), "rubbish");
    const before = await readdir(folder);
    const error = await errorOf("data_corrupt", open());
    expect(error.message).to.include(folder);
    expect(error.hint).to.include("backup");
    expect(await readdir(folder)).to.include.members(before.filter((name) => /^\d+\.|MANIFEST/.test(name)));
  });

  it("refuses a folder that has lost a file, instead of starting afresh", async () => {
    const db = await open();
    await db.put("a", "1");
    await db.close();
    await unlink(join(folder, "CURRENT"));
    const error = await errorOf("data_corrupt", open());
    expect(error.message).to.include("CURRENT is missing");
  });

  it("refuses a database that is not a node's, or whose mark is damaged", async () => {
    for (const mark of ["{", "null", '{"layout":99}']) {
      const db = await open();
      await db.put("!aimo!identity", mark);
      await db.close();
      await errorOf("data_corrupt", open());
      await rm(folder, { recursive: true });
    }
    const db = await open();
    await db.del("!aimo!identity");
    await db.put("other", "1");
    await db.close();
    expect((await errorOf("data_corrupt", open())).message).to.include("not the mark");
  });

  it("names the folder when a file stands in its place", async () => {
    folder = join(root, "file");
    await writeFile(folder, "");
    expect((await errorOf("config_invalid", open())).message).to.include(folder);
  });
});
