import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isAimoError } from "@aimo/protocol/errors";
import { expect } from "chai";
import { loadConfig, makeConfig } from "../../relay/src/config.ts";

const NEEDED = {
  keyFile: "key",
  rpcUrl: "http://127.0.0.1:8545",
  deploymentFile: "d.json",
  dataFolder: "memory",
};

describe("a relay's configuration", () => {
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "aimo-config-"));
  });
  after(() => rm(folder, { recursive: true }));

  const write = async (name: string, text: string) => {
    const file = join(folder, name);
    await writeFile(file, text);
    return file;
  };

  it("listens on loopback unless told otherwise", () => {
    expect(makeConfig(NEEDED).http).to.include({ host: "127.0.0.1", port: 8787 });
  });

  it("reads TOML and JSON alike, with paths relative to the file", async () => {
    const toml =
      'key_file = "k"\nrpc_url = "r"\ndeployment_file = "d"\ndata_folder = "x"\n[http]\nport = 1\n';
    const json = JSON.stringify({
      ...{ key_file: "k", rpc_url: "r", deployment_file: "d", data_folder: "x", http: { port: 1 } },
    });
    const files = [await write("a.toml", toml), await write("a.json", json)];
    const [first, second] = await Promise.all(files.map((file) => loadConfig({ file, environment: {} })));
    expect(first).to.deep.equal(second);
    expect(first?.keyFile).to.equal(join(folder, "k"));
  });

  it("finds the module of hooks beside the file", async () => {
    const file = await write("h.json", JSON.stringify({ ...NEEDED, hooks: { module: "hooks.mjs" } }));
    expect((await loadConfig({ file, environment: {} })).hooks.module).to.equal(join(folder, "hooks.mjs"));
    expect(makeConfig(NEEDED).hooks.module).to.equal("");
  });

  it("lets the environment rule over the file, and overrides over both", async () => {
    const file = await write("b.json", JSON.stringify({ ...NEEDED, http: { port: 1, host: "a" } }));
    const environment = {
      AIMO_RELAY_HTTP_PORT: "2",
      AIMO_RELAY_HTTP_HOST: "b",
      AIMO_RELAY_GOSSIP_BOOTSTRAP: "/x,/y",
    };
    const config = await loadConfig({ file, environment, overrides: { http: { port: 3 } } });
    expect(config.http).to.include({ port: 3, host: "b" });
    expect(config.gossip.bootstrap).to.deep.equal(["/x", "/y"]);
  });

  it("cannot be changed once it is made", () => {
    const config = makeConfig(NEEDED) as { http: { port: number } };
    expect(() => {
      config.http.port = 1;
    }).to.throw(TypeError);
  });

  const WRONG: Record<string, [change: object, name: string, reason: string]> = {
    "a missing setting": [{ keyFile: undefined }, "key_file", "is missing"],
    "a port beyond ports": [{ http: { port: 65_536 } }, "http.port", "65535"],
    "a port that is text": [{ http: { port: "80" } }, "http.port", "integer"],
    "a setting that there is not": [{ http: { prot: 80 } }, "http.prot", "is no setting"],
    "an amount that is no amount": [{ settling: { amountUsd: "much" } }, "settling.amount_usd", "pattern"],
    "no attempts": [{ serving: { maxAttempts: 0 } }, "serving.max_attempts", "1"],
  };
  for (const [title, [change, name, reason]] of Object.entries(WRONG)) {
    it(`names the setting and its limit for ${title}`, () => {
      let caught: unknown;
      try {
        makeConfig(JSON.parse(JSON.stringify({ ...NEEDED, ...change })));
      } catch (error) {
        caught = error;
      }
      expect(isAimoError(caught) && caught.code).to.equal("config_invalid");
      expect(String(caught)).to.include(name).and.to.include(reason);
    });
  }

  it("names a file that cannot be read", async () => {
    for (const file of [
      join(folder, "none.toml"),
      await write("c.toml", "x = ["),
      await write("c.json", "{"),
    ]) {
      const error = await loadConfig({ file, environment: {} }).catch((caught: unknown) => caught);
      expect(String(error)).to.include(file);
    }
  });
});
