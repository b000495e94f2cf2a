import { join } from "node:path";
import { signersOf } from "@aimo/protocol/actions/registry";
import { reserveOf } from "@aimo/protocol/actions/reserves";
import { ROLES } from "@aimo/protocol/deployment";
import { PUSD_PER_USD } from "@aimo/protocol/units";
import { AimoClient, type BillResult, readRecords, verifyBill, verifyGeneration } from "@aimo/sdk";
import { expect } from "chai";
import { localReader } from "../../scripts/local/wallets.ts";
import { type LocalNetwork, type LocalUser, startLocalNetwork } from "../../scripts/local-network.ts";
import { openTerminal, type Terminal } from "./terminal.ts";

/** The command line and the SDK on a whole network, in the folder where it runs: nothing is configured by hand. */
describe("cli/on a local network", function () {
  this.timeout(180_000);
  let network: LocalNetwork;
  let terminal: Terminal;
  let user: LocalUser;

  before(async () => {
    terminal = await openTerminal();
    network = await startLocalNetwork({ ports: "free", dataFolder: join(terminal.folder, ".aimo/local") });
    const [first] = network.users;
    if (!first) throw new Error("The local network has no user.");
    user = first;
  });
  after(async () => {
    await network?.close();
    await terminal?.close();
  });

  async function run(line: string | readonly string[]): Promise<string> {
    const { code, out, notes } = await terminal.run(line);
    expect([code, code === 0 ? "" : notes + out]).to.deep.equal([0, ""]);
    return out;
  }
  const recordsFile = () =>
    join(terminal.configFolder, "records", `${new URL(user.baseUrl).host.replace(":", "_")}.jsonl`);
  const settle = async () => {
    for (const relay of network.relays) await relay.settle();
  };

  it("has 5 USD of each relay set aside for each provider, who lend only 0.50 USD without", async () => {
    const { rpcUrl, deployment, relays, providers } = network;
    const reader = localReader(rpcUrl);
    for (const { id: relayId } of relays)
      for (const { id: providerId } of providers) {
        const reserve = await reserveOf(reader, { deployment, relayId, providerId });
        expect([reserve.amount, reserve.thawing]).to.deep.equal([5n * PUSD_PER_USD, 0n]);
      }
    // A node that redeems pays the gas itself.
    for (const { id: providerId } of providers) {
      const { current } = await signersOf(reader, { deployment, role: ROLES.provider, id: providerId });
      expect((await reader.getBalance({ address: current.key })) > 0n).to.equal(true);
    }
  });

  it("leaves the keys of its owners, with which a relay's reserves are changed", async () => {
    const wallet = "--wallet .aimo/local/relay-2/owner.key";
    expect(await run(`relay reserve thaw 1 2 ${wallet}`)).to.contain("is 5 USD, of which 2 USD thaw until");
    expect(await run(`relay reserve cancel-thaw 1 ${wallet}`)).to.contain("relay 2 for provider 1 is 5 USD.");
  });

  it("warns of a key for a model that nobody offers", async () => {
    const { code, notes } = await terminal.run("keys create --models demo-text,nope");
    expect([code, notes.match(/Nobody offers the model "(.*?)"/g)]).to.deep.equal([
      0,
      ['Nobody offers the model "nope"'],
    ]);
  });

  it("accuses nobody over a request that was never made", async () => {
    const none = await terminal.run("bill verify --id gen-000000000000000000000000");
    expect([none.code, none.notes.includes("not_found"), none.out]).to.deep.equal([1, true, ""]);
  });

  it("lists models, chats and shows the balance", async () => {
    expect(await run("models list"))
      .to.contain("demo-text")
      .and.to.contain("demo-image");
    const streamed = await run(["chat", "How does a market settle?", "--max-tokens", "12"]);
    expect(streamed.trim()).to.not.equal("");
    expect((await run(["chat", "And a river?", "--max-tokens", "12", "--no-stream"])).trim()).to.not.equal(
      "",
    );
    expect(await run("credits balance")).to.contain("left of 10 USD");
  });

  it("serves every route of the SDK, and a stream that is left early", async () => {
    const client = new AimoClient({ apiKey: user.apiKey, baseURL: user.baseUrl, records: recordsFile() });
    const image = await client.images.generate({
      model: "demo-image",
      prompt: "a lighthouse",
      size: "256x256",
      response_format: "b64_json",
    });
    expect(image.data[0].b64_json).to.be.a("string");
    const { data } = await client.embeddings.create({ model: "demo-embed", input: ["a train", "a soup"] });
    expect(data).to.have.length(2);
    const messages = [{ role: "user" as const, content: "Tell me a long story." }];
    const stream = await client.chat.completions.create({
      model: "demo-text",
      messages,
      max_tokens: 400,
      stream: true,
    });
    for await (const { choices } of stream) if (choices[0]?.delta.content) break;
    const { data: generation } = await client.generation(stream.generationId ?? "");
    expect(generation.id).to.equal(stream.generationId);
    expect((await readRecords(recordsFile())).map(({ id }) => id)).to.include(stream.generationId);
  });

  it("verifies the bill with nothing but the folder, and knows every receipt in it", async () => {
    await settle();
    const bill = await terminal.json<BillResult>("bill verify");
    expect(bill.problems).to.deep.equal([]);
    expect(bill.receipts).to.be.within(4, 5);
    expect(bill.unrecorded).to.deep.equal([]);
    expect(await run("bill verify")).to.contain("The bill holds");
    const [record] = await readRecords(recordsFile());
    expect(await run(`bill verify --id ${record?.id}`)).to.contain(`${record?.id}: 0.`);
  });

  it("makes a key with the wallet of the folder, uses it for a while and revokes it", async () => {
    const key = (await run("keys create --name ci --limit 1")).trim();
    expect(key).to.match(/^aimo-sk-/);
    const client = new AimoClient({ apiKey: key, baseURL: user.baseUrl, maxRetries: 0 });
    expect((await client.credits()).aimo.channel?.relay).to.equal(user.relayId);
    const keys = await terminal.json<{ data: { hash: string; name: string }[] }>("keys list");
    const made = keys.data.find(({ name }) => name === "ci");
    expect(await run(`keys revoke ${made?.hash}`)).to.contain("Revoked");
    const error = await client.credits().catch((thrown) => thrown);
    expect([error.status, error.code]).to.deep.equal([401, "authentication_failed"]);
  });

  it("buys credits, by transaction and by signature alone", async () => {
    await run(`dev faucet ${user.address} --usd 5`);
    const before = await terminal.json<{ freePusd: string }>("credits buy 1 --no-channel");
    expect(await run("credits buy 2")).to.contain("in its channel to relay 1");
    expect(await run("credits buy 1.5 --gasless")).to.contain("in its channel to relay 1");
    const balance = await terminal.json<{ freePusd: string }>([
      "credits",
      "balance",
      "--wallet",
      ".aimo/local/user.key",
    ]);
    expect(BigInt(before.freePusd) - BigInt(balance.freePusd)).to.equal(1_500_000_000_000n);
  });

  it("logs in with the wallet in another folder, and goes on from there", async () => {
    const other = await openTerminal();
    try {
      const wallet = join(terminal.folder, ".aimo/local/user.key");
      const login = await other.run(["auth", "login", "--wallet", wallet, "--base-url", user.baseUrl]);
      expect(login.code, login.notes).to.equal(0);
      expect((await other.run("credits balance")).code).to.equal(0);
      expect((await other.run(["chat", "Hello", "--max-tokens", "4"])).code).to.equal(0);
    } finally {
      await other.close();
    }
  });

  it("prints a session, which may do what a key may not", async () => {
    const token = (await run("auth session")).trim();
    const make = (bearer: string) =>
      fetch(`${user.baseUrl}/presets`, {
        method: "POST",
        headers: { authorization: `Bearer ${bearer}`, "content-type": "application/json" },
        body: JSON.stringify({ slug: "brief", model: "demo-text" }),
      });
    expect([(await make(user.apiKey)).status, (await make(token)).status]).to.deep.equal([403, 201]);
  });

  it("opens a signed channel to the other relay, and pays there with the session key alone", async () => {
    const [, other] = network.relays;
    const where = `--base-url ${other?.url}/v1`;
    const wallet = "--wallet .aimo/local/user.key";
    await run(`channel open 1 --signed --session-key session.key ${where} ${wallet}`);
    await run(`auth login ${where} ${wallet}`);
    const ask = `chat Hello --max-tokens 12 ${where}`;
    const refused = await terminal.run(ask);
    expect([refused.code, refused.notes.includes("voucher_required")]).to.deep.equal([1, true]);
    expect((await run(`${ask} --session-key session.key`)).trim()).to.not.equal("");
    const { aimo } = await terminal.json<{ aimo: { cost_pusd: string } }>(`${ask} --session-key session.key`);
    expect(BigInt(aimo.cost_pusd) > 0n).to.equal(true);
    await settle();
    expect(await run(`bill verify ${where}`)).to.match(/2 receipts/);
    // The next commands are for the first relay, as the folder says.
    await run(`auth logout ${where}`);
  });

  it("verifies again with what was bought and asked since, by the SDK alone", async () => {
    await settle();
    const known = await readRecords(recordsFile());
    const parameters = {
      rpcUrl: network.rpcUrl,
      deployment: network.deployment,
      relayUrl: user.baseUrl,
      apiKey: user.apiKey,
      owner: user.address,
      relayId: user.relayId,
    };
    const bill = await verifyBill({ ...parameters, known });
    expect(bill.problems).to.deep.equal([]);
    expect([bill.batches, bill.unrecorded.length], "the chat of the other folder").to.deep.equal([2, 1]);
    for (const id of bill.unrecorded)
      expect((await verifyGeneration({ ...parameters, id })).problems).to.deep.equal([]);
  });
});
