import { readFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { isAimoError } from "@aimo/protocol/errors";
import { parseConfig } from "@aimo/provider/config";
import { PROVIDER_SETTINGS, type ProviderSetting } from "@aimo/provider/settings";
import { loadConfig } from "@aimo/relay/config";
import { expect } from "chai";

const read = (path: string) => readFileSync(fileURLToPath(new URL(`../../${path}`, import.meta.url)), "utf8");

const PRICING: Readonly<Record<string, string>> = {
  chat: "prompt = 1\ncompletion = 1",
  embeddings: "prompt = 1",
  images: "image = 1",
  transcriptions: "minute = 0.006",
  speech: "characters = 1",
  moderations: "request = 1",
};

/** A configuration that is right, with one setting of it as given. */
function parseWith(section: string, { name, routes = ["chat"] }: ProviderSetting, value?: string) {
  const route = routes[0] ?? "chat";
  const tables: Readonly<Record<string, string>> = {
    "[provider]": 'key_file = "k"\nrpc_url = "http://a"\ndeployment_file = "d"\ndata_folder = "data"',
    "[[upstreams]]": 'name = "gpu"\nbase_url = "http://a/v1"',
    "[[models]]": `id = "m"\nroute = "${route}"\nupstream = "gpu"`,
    "[models.pricing]": PRICING[route] ?? "",
  };
  const lines = Object.entries(tables).flatMap(([table, text]) => {
    const own = text.split("\n");
    if (table !== section || value === undefined) return [table, ...own];
    return [table, ...own.filter((line) => !line.startsWith(`${name} =`)), `${name} = ${value}`];
  });
  return parseConfig(lines.join("\n"), { folder: "/etc/aimo", environment: {} });
}

/** A table where none can be. */
const NONSENSE = "{ no = 1 }";

describe("docs/settings", () => {
  for (const { name: section, settings } of PROVIDER_SETTINGS)
    for (const setting of settings)
      it(`has ${section} ${setting.name} as it is read`, () => {
        expect(() => parseWith(section, setting)).to.not.throw();
        try {
          parseWith(section, setting, NONSENSE);
          expect.fail("it was taken");
        } catch (error) {
          expect(isAimoError(error) && error.param).to.match(new RegExp(`(^|\\.)${setting.name}$`));
          expect(isAimoError(error) && error.message).to.not.contain("is not a setting");
        }
        if (setting.fallback !== undefined)
          expect(parseWith(section, setting, setting.fallback)).to.deep.equal(parseWith(section, setting));
      });

  it("leaves out nothing that a provider reads", () => {
    const source = read("provider/src/config.ts") + read("provider/src/claims.ts");
    const names = [...source.matchAll(/\b(?:table\.\w+|path|optionalPath|milliseconds|perToken)\("(\w+)"/g)];
    const known = new Set(PROVIDER_SETTINGS.flatMap(({ settings }) => settings.map(({ name }) => name)));
    const missing = new Set(names.map(([, name = ""]) => name).filter((name) => !known.has(name)));
    expect([...missing]).to.deep.equal(["pricing"]);
    expect(names.length).to.be.greaterThan(30);
  });

  it("shows files of both nodes that these accept", async () => {
    const page = read("docs/running-a-node.md");
    const files = [...page.matchAll(/```toml\n([\s\S]*?)```/g)].map(([, text = ""]) => text);
    const relays = files.filter((text) => text.includes("[gossip]"));
    const providers = files.filter((text) => text.includes("[provider]"));
    expect([relays.length, providers.length]).to.deep.equal([1, 1]);
    const folder = await mkdtemp(join(tmpdir(), "aimo-settings-"));
    const file = join(folder, "relay.toml");
    await writeFile(file, relays[0] ?? "");
    expect((await loadConfig({ file, environment: {} })).keyFile).to.equal(join(folder, "relay.key"));
    await rm(folder, { recursive: true });
    for (const text of providers)
      expect(() => parseConfig(text, { folder: "/etc/aimo", environment: {} })).to.not.throw();
  });
});
