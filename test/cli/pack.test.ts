import { execFile } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { mkdir, mkdtemp, readdir, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect } from "chai";
import {
  COMPLETION,
  chunkOf,
  frame,
  LAST_CHUNK,
  sendJson,
  startServer,
  type TestServer,
} from "../sdk/relay-double.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));
const exec = promisify(execFile);
const run = (file: string, args: readonly string[], cwd: string, env?: Record<string, string>) =>
  exec(file, [...args], {
    cwd,
    maxBuffer: 2 ** 24,
    shell: process.platform === "win32",
    ...(env ? { env } : {}),
  });
const SDK = "sdk/typescript/dist";
const CLI = "cli/dist";

const readManifest = (folder: string) =>
  JSON.parse(readFileSync(join(root, folder, "package.json"), "utf8")) as {
    dependencies: Record<string, string>;
  };

type Dependency = { readonly name: string; readonly version: string; readonly source: string };

/** What the packages declare, and where this clone has that version: another one may stand at the root. */
function findDependencies(): readonly Dependency[] {
  const declared = { ...readManifest(SDK).dependencies, ...readManifest(CLI).dependencies };
  const names = Object.keys(declared).filter((name) => !name.startsWith("@aimo/"));
  return names.map((name) => {
    const wanted = declared[name]?.replace(/^\^/, "");
    for (const workspace of [".", "node", "relay", "provider", "cli", "sdk/typescript"]) {
      const source = join(root, workspace, "node_modules", name);
      if (!existsSync(join(source, "package.json"))) continue;
      const { version } = JSON.parse(readFileSync(join(source, "package.json"), "utf8"));
      if (version === wanted) return { name, version, source };
    }
    throw new Error(`${name}@${wanted} is declared, but not installed in this clone.`);
  });
}

/** Names and versions of the declared dependencies, where npm takes them for installed. */
async function announceDependencies(folder: string): Promise<void> {
  for (const { name, version } of findDependencies()) {
    const place = join(folder, "node_modules", name);
    await mkdir(place, { recursive: true });
    writeFileSync(join(place, "package.json"), JSON.stringify({ name, version }));
  }
}

/** This clone's packages in their places. Not before the install: npm 10 runs the scripts of what is linked. */
async function linkDependencies(folder: string): Promise<void> {
  for (const { name, source } of findDependencies()) {
    const place = join(folder, "node_modules", name);
    await rm(place, { recursive: true });
    await symlink(source, place, "junction");
  }
}

/**
 * The packages as npm packs and installs them, in an empty folder, run by plain JavaScript. What they depend on is
 * linked to the packages of this clone, declared ones only: so the test needs no registry, and a dependency that is
 * missing from a package.json shows.
 */
describe("cli/packed packages", function () {
  this.timeout(180_000);
  let folder: string;
  let relay: TestServer;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "aimo-pack-"));
    await run(process.execPath, ["scripts/build.ts"], root);
    await run("npm", ["pack", `./${SDK}`, `./${CLI}`, "--pack-destination", folder], root);
    const tarballs = (await readdir(folder)).sort();
    expect(tarballs).to.deep.equal(["aimo-cli-0.1.0.tgz", "aimo-sdk-0.1.0.tgz"]);
    await announceDependencies(folder);
    writeFileSync(join(folder, "package.json"), JSON.stringify({ name: "empty", private: true }));
    const quiet = ["--offline", "--no-audit", "--no-fund", "--ignore-scripts", "--no-package-lock"];
    await run("npm", ["install", ...quiet, ...tarballs.map((name) => `./${name}`)], folder);
    await linkDependencies(folder);
    relay = await startServer(({ url, body }, response) => {
      if (!url.endsWith("/chat/completions")) return sendJson(response, 404, {});
      if (!JSON.parse(String(body)).stream) return sendJson(response, 200, COMPLETION);
      return void response.end(
        `${[chunkOf("Hel"), chunkOf("lo!"), LAST_CHUNK].map(frame).join("")}data: [DONE]\n\n`,
      );
    });
  });
  after(async () => {
    await relay?.close();
    await rm(folder, { recursive: true, force: true });
  });

  const environment = () => ({
    AIMO_API_KEY: "aimo-sk-test",
    AIMO_BASE_URL: relay.url,
    AIMO_CONFIG_DIR: join(folder, "config"),
  });

  it("holds plain JavaScript and its types, and depends on nothing of ours", async () => {
    for (const workspace of [SDK, CLI]) {
      const names = Object.keys(readManifest(workspace).dependencies);
      expect(names.filter((name) => name.startsWith("@aimo/"))).to.deep.equal([]);
    }
    expect(Object.keys(readManifest(SDK).dependencies)).to.deep.equal(["viem"]);
    const files = [
      ...(await readdir(join(folder, "node_modules/@aimo/sdk"), { recursive: true })),
      ...(await readdir(join(folder, "node_modules/@aimo/cli"), { recursive: true })),
    ];
    expect(files).to.include.members(["index.js", "main.js", "LICENSE", "README.md"]);
    expect(files.filter((file) => /(?<!\.d)\.ts$/.test(file))).to.deep.equal([]);
  });

  it("runs the documented program of the SDK", async () => {
    const program = `
      import { AimoClient, AimoError, verifyBill } from "@aimo/sdk";
      const client = new AimoClient({ apiKey: process.env.AIMO_API_KEY });
      const messages = [{ role: "user", content: "Hello!" }];
      const response = await client.chat.completions.create({ model: "demo-text", messages });
      console.log(response.choices[0].message.content);
      const stream = await client.chat.completions.create({ model: "demo-text", messages, stream: true });
      for await (const chunk of stream) process.stdout.write(chunk.choices[0]?.delta?.content ?? "");
      console.log();
      try {
        await client.models.list();
      } catch (error) {
        console.log(error instanceof AimoError, error.status, typeof verifyBill);
      }
    `;
    writeFileSync(join(folder, "app.mjs"), program);
    const { stdout } = await run(process.execPath, ["app.mjs"], folder, environment());
    expect(stdout).to.equal("Hi!\nHello!\ntrue 404 function\n");
  });

  it("types the documented program of the SDK, strictly", async () => {
    const program = `
      import { AimoClient, AimoError, type BillResult, type RequestRecord, verifyBill } from "@aimo/sdk";
      const client = new AimoClient({ apiKey: "k", records: (record: RequestRecord) => console.log(record.id) });
      const response = await client.chat.completions.create({ model: "m", messages: [{ role: "user", content: "Hi" }], max_tokens: 9 });
      const text: string | null = response.choices[0].message.content;
      const pusd: string = response.aimo.cost_pusd;
      const stream = await client.chat.completions.create({ model: "m", messages: [], stream: true });
      for await (const chunk of stream) console.log(chunk.choices[0]?.delta?.content);
      const image: string | undefined = (await client.images.generate({ model: "m", prompt: "p", n: 1 })).data[0].url;
      const vector: number[] = (await client.embeddings.create({ model: "m", input: "x" })).data[0].embedding;
      const verify: (parameters: Parameters<typeof verifyBill>[0]) => Promise<BillResult> = verifyBill;
      try { await client.credits(); } catch (error) {
        if (error instanceof AimoError && error.status >= 500) console.log(error.code, error.requestId);
      }
      console.log(text, pusd, image, vector, verify);
      // @ts-expect-error a model is needed
      await client.images.generate({ prompt: "p" });
    `;
    writeFileSync(join(folder, "app.mts"), program);
    const compilerOptions = {
      strict: true,
      exactOptionalPropertyTypes: true,
      noUncheckedIndexedAccess: true,
      noEmit: true,
      // viem's own dependencies are not all typed strictly.
      skipLibCheck: true,
      module: "nodenext",
      target: "es2022",
      lib: ["es2023", "dom", "dom.iterable"],
      types: [],
    };
    writeFileSync(join(folder, "tsconfig.json"), JSON.stringify({ compilerOptions, files: ["app.mts"] }));
    const tsc = join(root, "node_modules/typescript/bin/tsc");
    const { stdout } = await run(process.execPath, [tsc, "-p", "."], folder).catch((error) => error);
    expect(stdout).to.equal("");
  });

  it("runs `aimo`, its exit codes and a chat", async () => {
    const aimo = join(folder, "node_modules/.bin/aimo");
    expect((await run(process.execPath, [aimo, "--help"], folder, environment())).stdout).to.contain(
      "bill verify",
    );
    const chat = await run(
      process.execPath,
      [aimo, "chat", "Hello", "--model", "demo-text"],
      folder,
      environment(),
    );
    expect(chat.stdout).to.equal("Hello!\n");
    const failed = await run(process.execPath, [aimo, "nope"], folder, environment()).catch((error) => error);
    expect([failed.code, failed.stderr]).to.deep.equal([
      2,
      'usage: There is no command "nope".\nSee aimo --help.\n',
    ]);
    const dev = await run(process.execPath, [aimo, "dev"], folder, environment()).catch((error) => error);
    expect([dev.code, dev.stderr.split(":")[0]]).to.deep.equal([1, "config_invalid"]);
  });

  it("loads what runs a relay and a provider", async () => {
    const aimo = join(folder, "node_modules/.bin/aimo");
    for (const role of ["relay", "provider"]) {
      const failed = await run(
        process.execPath,
        [aimo, role, "start", "--config", "none.toml"],
        folder,
        environment(),
      ).catch((error) => error);
      expect([failed.code, failed.stderr.split(":")[0]], role).to.deep.equal([1, "config_invalid"]);
    }
  });

  it("has what a relay's workers run where the relay looks for it", async () => {
    const { stderr } = await run(process.execPath, ["node_modules/@aimo/cli/relay-worker.js"], folder);
    // Without a parent that tells it anything it loads, and has nothing to do.
    expect(stderr).to.equal("");
  });

  it("refuses to pack the sources in place of what is built", async () => {
    const failed = await run("npm", ["pack", "-w", "@aimo/sdk", "--pack-destination", folder], root).catch(
      (error) => error,
    );
    expect(failed.code).to.not.equal(undefined);
    expect(String(failed.stderr)).to.contain("npm pack ./sdk/typescript/dist");
  });
});
