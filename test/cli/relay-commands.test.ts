import { readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { readRecords } from "@aimo/sdk";
import { expect } from "chai";
import { isAddressEqual, recoverMessageAddress } from "viem";
import { generatePrivateKey, privateKeyToAccount } from "viem/accounts";
import { parseSiweMessage } from "viem/siwe";
import {
  COMPLETION,
  chunkOf,
  frame,
  LAST_CHUNK,
  type Script,
  sendJson,
  startServer,
  type TestServer,
} from "../sdk/relay-double.ts";
import { openTerminal, type Terminal } from "./terminal.ts";

const KEY = "aimo-sk-secret1234";
const price = {
  prompt: "0.00000015",
  completion: "0.0000006",
  input_cache_read: "0",
  image: "0.004",
  request: "0",
};
const modelOf = (id: string, route: string, more: Partial<typeof price & { character: string }> = {}) => ({
  id,
  description: `The ${id}`,
  pricing: { ...price, ...more },
  aimo: { route, relay_fee_bps: 500, providers: [{}, {}] },
});

/** A relay that knows one key and one session; everything it is asked is remembered. */
const relayScript: Script = async ({ url, headers, body, method }, response) => {
  const isKnown = [`Bearer ${KEY}`, "Bearer session-1"].includes(headers.authorization ?? "");
  const json = (value: unknown, status = 200) => sendJson(response, status, value);
  if (url === "/v1/auth/nonce") return json({ nonce: "abcdefgh1234", chain_id: 31337 });
  if (url === "/v1/auth/siwe") {
    const { message, signature } = JSON.parse(String(body));
    const { address, domain } = parseSiweMessage(message);
    const signer = await recoverMessageAddress({ message, signature });
    if (!address || !isAddressEqual(signer, address) || domain !== headers.host) return json({}, 401);
    return json({ token: "session-1", address, expires_at: "2030-01-01T00:00:00Z" });
  }
  if (url === "/v1/models")
    return json({
      data: [
        modelOf("demo-embed", "embeddings"),
        modelOf("demo-text", "chat"),
        modelOf("demo-image", "images"),
        modelOf("demo-moderation", "moderations", { request: "0.001", character: "0" }),
        modelOf("demo-both", "embeddings", { request: "0.002" }),
      ],
    });
  if (!isKnown) return json({ error: { code: "authentication_failed", message: "Unknown key." } }, 401);
  if (url === "/v1/credits") return json(CREDITS);
  if (url.startsWith("/v1/keys"))
    return json(method === "POST" ? { key: "aimo-sk-fresh", data: KEYS[0] } : { data: KEYS });
  if (!JSON.parse(String(body)).stream) return json(COMPLETION);
  return void response.end(
    `${[chunkOf("Hel"), chunkOf("lo!"), LAST_CHUNK].map(frame).join("")}data: [DONE]\n\n`,
  );
};

const CREDITS = {
  data: { total_credits: 1, total_usage: 0 },
  aimo: {
    credits_pusd: "1500000000000",
    channel: {
      relay: 1,
      limit_pusd: "2000000000000",
      free_pusd: "1999999998766",
      charged_pusd: "1234",
      pending_pusd: "0",
      held_pusd: "0",
      settled_pusd: "1000",
      thawing_pusd: "500000000000",
      thaw_end: Date.UTC(2030, 0, 1) / 1_000,
    },
  },
};
const KEYS = ["abcdef0123456789", "abcdef9999999999"].map((hash) => ({
  hash,
  label: "aimo-sk-…89",
  name: "ci",
  usage: 0.5,
  limit: 5,
  limit_reset: "monthly",
  disabled: false,
  expires_at: null,
}));

describe("cli/relay commands", function () {
  // Generous: other programs may use the machine at the same time.

  this.timeout(20_000);
  let relay: TestServer;
  let terminal: Terminal;
  beforeEach(async () => {
    relay = await startServer(relayScript);
    terminal = await openTerminal({ AIMO_BASE_URL: relay.url });
  });
  afterEach(async () => {
    await relay.close();
    await terminal.close();
  });
  const withKey = () => ({ environment: { AIMO_BASE_URL: relay.url, AIMO_API_KEY: KEY } });

  it("keeps a key that was typed, in a file for its owner alone, and uses it", async () => {
    const { code, out, notes } = await terminal.run("auth login", { askSecret: async () => KEY });
    expect([code, notes]).to.deep.equal([0, ""]);
    expect(out).to.contain(relay.url).and.not.to.contain(KEY);
    const path = join(terminal.configFolder, "credentials.json");
    expect((await stat(path)).mode & 0o077).to.equal(0);
    expect((await stat(terminal.configFolder)).mode & 0o077).to.equal(0);
    const { out: balance } = await terminal.run("credits balance");
    expect(balance)
      .to.contain("1.999999998766 USD left of 2 USD")
      .and.to.contain("thawing 0.5 USD, which requests cannot use: withdraw it from 2030-01-01");
    expect(
      (await terminal.run("credits balance", { environment: {} })).code,
      "the last login's relay",
    ).to.equal(0);
    expect((await terminal.run("auth logout")).out).to.equal(`Forgot the key for ${relay.url}.\n`);
    expect((await terminal.run("credits balance")).notes).to.contain("There is no API key");
    expect((await terminal.run("auth logout")).out).to.contain("No key is kept");
  });

  it("says that a channel is retired, and why", async () => {
    const { channel, ...account } = CREDITS.aimo;
    const retired = "The chain skipped a debit of the channel.";
    const other = await startServer((_, response) =>
      sendJson(response, 200, {
        aimo: { ...account, channel: { ...channel, user: 7, mode: "metered", retired } },
      }),
    );
    try {
      const environment = { AIMO_BASE_URL: other.url, AIMO_API_KEY: KEY };
      const { out } = await terminal.run("credits balance", { environment });
      expect(out).to.contain(`retired: ${retired}`).and.to.contain("channel open AMOUNT");
      const { freePusd, channels } = await terminal.json<{ freePusd: string; channels: object[] }>(
        "credits balance",
        { environment },
      );
      expect(freePusd).to.equal("1500000000000");
      expect(channels[0]).to.deep.include({ relayId: 1, userId: 7, mode: "metered", retired });
      expect(channels[0]).to.deep.include({ availablePusd: "1999999998766", thawingPusd: "500000000000" });
    } finally {
      await other.close();
    }
  });

  it("keeps a key from a pipe or a file, and no key that the relay refuses", async () => {
    expect((await terminal.run("auth login", { readInput: async () => `${KEY}\n` })).code).to.equal(0);
    await writeFile(join(terminal.folder, "key.txt"), "aimo-sk-wrong123\n");
    const refused = await terminal.run("auth login --key-file key.txt");
    expect([refused.code, refused.notes.split(":")[0]]).to.deep.equal([1, "authentication_failed"]);
    expect((await terminal.run("auth login")).code, "nobody to ask").to.equal(2);
    expect((await terminal.run("credits balance")).code, "the good key is kept").to.equal(0);
  });

  it("refuses credentials that others can read, or that are damaged", async () => {
    await terminal.run("auth login", { askSecret: async () => KEY });
    const path = join(terminal.configFolder, "credentials.json");
    const { chmod } = await import("node:fs/promises");
    await chmod(path, 0o644);
    expect((await terminal.run("credits balance")).notes).to.contain("chmod 600");
    await chmod(path, 0o600);
    await writeFile(path, "{}");
    expect((await terminal.run("credits balance")).notes).to.contain("log in again");
  });

  it("signs in with a wallet and makes, lists and revokes keys", async () => {
    const privateKey = generatePrivateKey();
    await writeFile(join(terminal.folder, "owner.key"), privateKey, { mode: 0o600 });
    const wallet = "--wallet owner.key";
    expect((await terminal.run(`auth login ${wallet}`)).code).to.equal(0);
    const saved = await readFile(join(terminal.configFolder, "credentials.json"), "utf8");
    expect(saved).to.contain("aimo-sk-fresh").and.to.contain(privateKeyToAccount(privateKey).address);
    const made = await terminal.run(
      `keys create ${wallet} --name ci --limit 2.5 --limit-reset daily --models a,b --show-usage`,
    );
    expect([made.code, made.out]).to.deep.equal([0, "aimo-sk-fresh\n"]);
    const sent = JSON.parse(String(relay.seen.at(-1)?.body));
    const asked = { name: "ci", limit: 2.5, limit_reset: "daily", models: ["a", "b"] };
    expect(sent).to.deep.equal({ ...asked, show_usage: "always" });
    const listed = await terminal.run(`keys list ${wallet}`);
    expect(listed.out).to.contain("abcdef012345").and.to.contain("5 monthly");
    expect((await terminal.run(`keys revoke abcdef ${wallet}`)).notes).to.contain("2 keys");
    expect((await terminal.run(`keys revoke abcdef01 ${wallet}`)).out).to.contain("Revoked");
    expect([relay.seen.at(-1)?.method, relay.seen.at(-1)?.url]).to.deep.equal([
      "DELETE",
      "/v1/keys/abcdef0123456789",
    ]);
  });

  it("lists models with their prices, without a key", async () => {
    const { code, out } = await terminal.run("models list");
    expect(code).to.equal(0);
    expect(out).to.match(/demo-text +chat +\$0\.15 in, \$0\.6 out per 1M tokens +2 /);
    expect(out).to.contain("$0.004 an image").and.to.contain("$0.15 per 1M tokens");
    expect(out)
      .to.contain("Price (cheapest)")
      .and.to.contain("the cheapest provider's; the relay adds 5 %")
      .and.to.match(/demo-moderation +moderations +\$0\.001 a request +2/)
      .and.to.contain("$0.15 per 1M tokens + $0.002 a request");
    expect((await terminal.json<{ data: object[] }>("models list")).data).to.have.length(5);
  });

  it("streams a chat as it comes, tells its cost apart, and keeps a record without the prompt", async () => {
    const { code, out, notes } = await terminal.run(["chat", "Hello there", "--max-tokens", "9"], withKey());
    expect([code, out]).to.deep.equal([0, "Hello!\n"]);
    expect(notes).to.contain("0.000000001234 USD").and.to.contain("gen-1").and.to.contain("demo-text");
    const sent = JSON.parse(String(relay.seen.at(-1)?.body));
    expect(sent).to.deep.include({ model: "demo-text", stream: true, max_tokens: 9 });
    const file = join(terminal.configFolder, "records", `${new URL(relay.url).host.replace(":", "_")}.jsonl`);
    expect((await readRecords(file)).map(({ id }) => id)).to.deep.equal(["gen-1"]);
    expect(await readFile(file, "utf8")).to.not.contain("Hello");
    expect((await stat(file)).mode & 0o077).to.equal(0);
  });

  it("gives a chat whole with --no-stream, and as JSON", async () => {
    const line = ["chat", "Hi", "--model", "demo-text", "--system", "Be brief.", "--no-stream"];
    expect((await terminal.run(line, { ...withKey(), program: "node aimo.mjs" })).out).to.equal("Hi!\n");
    expect(JSON.parse(String(relay.seen.at(-1)?.body)).messages[0]).to.deep.equal({
      role: "system",
      content: "Be brief.",
    });
    const json = await terminal.json<{ text: string; aimo: { cost_pusd: string } }>(
      ["chat", "Hi"],
      withKey(),
    );
    expect([json.text, json.aimo.cost_pusd]).to.deep.equal(["Hi!", "1234"]);
  });

  it("reads .env of its folder, below the environment", async () => {
    await writeFile(
      join(terminal.folder, ".env"),
      `AIMO_API_KEY=${KEY}\nAIMO_BASE_URL=http://127.0.0.1:9/v1\n`,
    );
    expect((await terminal.run("credits balance")).code).to.equal(0);
  });

  it("finds the network that runs in its folder, with the user's key", async () => {
    const { mkdir } = await import("node:fs/promises");
    await mkdir(join(terminal.folder, ".aimo/local"), { recursive: true });
    const origin = new URL(relay.url).origin;
    const network = {
      rpcUrl: "http://127.0.0.1:9",
      relays: [{ id: 1, url: origin }],
      user: { apiKey: KEY, baseUrl: relay.url },
    };
    await writeFile(join(terminal.folder, ".aimo/local/network.json"), JSON.stringify(network));
    expect((await terminal.run("credits balance", { environment: {} })).code).to.equal(0);
    expect(relay.seen.at(-1)?.headers.authorization).to.equal(`Bearer ${KEY}`);
    // A network that is named goes before the environment, which may still speak of the first.
    const { rename } = await import("node:fs/promises");
    await rename(join(terminal.folder, ".aimo/local"), join(terminal.folder, "second"));
    const first = { AIMO_BASE_URL: "http://127.0.0.1:9/v1", AIMO_API_KEY: "aimo-sk-of-the-first" };
    const named = await terminal.run("credits balance --data second", { environment: first });
    expect([named.code, named.notes]).to.deep.equal([0, ""]);
    expect((await terminal.run("credits balance --data third")).notes).to.contain('--data is "third"');
    await rename(join(terminal.folder, "second"), join(terminal.folder, ".aimo/local"));
    await writeFile(join(terminal.folder, ".aimo/local/network.json"), "{");
    expect((await terminal.run("credits balance", { environment: {} })).notes).to.contain(
      "network.json is not JSON",
    );
  });
});
