import { once } from "node:events";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { type AddressInfo, createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { claimFolder } from "../../scripts/local/data-folder.ts";
import { startLocalNetwork } from "../../scripts/local-network.ts";

/** A folder that is named by mistake must survive it. */
describe("folder of a local network", () => {
  let base: string;
  let server: Server;
  let url: string;

  beforeEach(async () => {
    base = await mkdtemp(join(tmpdir(), "aimo-folder-"));
    server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  afterEach(async () => {
    server.close();
    await rm(base, { recursive: true, force: true });
  });

  const refused = async (folder: string, rpcUrl: string) => {
    const error = await claimFolder(folder, rpcUrl).then(
      () => undefined,
      (reason: { code?: string; message?: string }) => reason,
    );
    return `${error?.code}: ${error?.message}`;
  };

  it("is made when it is missing, and emptied when a local network made it", async () => {
    const folder = join(base, "new/one");
    await claimFolder(folder, "http://127.0.0.1:1");
    await writeFile(join(folder, "old.key"), "old");
    await claimFolder(folder, "http://127.0.0.1:2");
    expect(await readdir(folder)).to.deep.equal(["local-network.json"]);
  });

  it("is refused, whole, when it holds something else or is a file", async () => {
    await mkdir(join(base, "docs"));
    await writeFile(join(base, "docs/page.md"), "a page");
    expect(await refused(join(base, "docs"), url)).to.match(
      /^config_invalid: .*no local network made.*--data/,
    );
    expect(await refused(join(base, "docs/page.md"), url)).to.match(/^config_invalid: .*is a file.*--data/);
    expect(await readFile(join(base, "docs/page.md"), "utf8")).to.equal("a page");
  });

  it("is refused while another network runs in it", async () => {
    const folder = join(base, "used");
    await claimFolder(folder, url);
    expect(await refused(folder, "http://127.0.0.1:2")).to.match(/^data_in_use: .*process \d+.*--data/);
    server.close();
    await once(server, "close");
    await claimFolder(folder, "http://127.0.0.1:2");
  });

  it("is not touched when a port is taken", async () => {
    const folder = join(base, "kept");
    await claimFolder(folder, "http://127.0.0.1:1");
    await writeFile(join(folder, "user.key"), "a key");
    const ports = (server.address() as AddressInfo).port;
    const error = await startLocalNetwork({ ports, dataFolder: folder }).catch((reason: unknown) => reason);
    expect(error).to.include({ code: "port_in_use" });
    expect((error as { hint: string }).hint).to.contain("--port-base");
    expect(await readFile(join(folder, "user.key"), "utf8")).to.equal("a key");
  });
});
