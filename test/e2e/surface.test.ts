import { execFile } from "node:child_process";
import { join } from "node:path";
import { expect } from "chai";
import OpenAI, { toFile } from "openai";
import { type LocalNetwork, type LocalUser, startLocalNetwork } from "../../scripts/local-network.ts";

/** All the rest of OpenAI's interface, by the official client, on a whole local network; then the bill of all of it. */
describe("e2e/openai client, audio to batches", function () {
  this.timeout(180_000);
  let network: LocalNetwork;
  let user: LocalUser;
  let client: OpenAI;

  before(async () => {
    network = await startLocalNetwork({ ports: "free" });
    const [first] = network.users;
    if (!first) throw new Error("The local network has no user.");
    user = first;
    client = new OpenAI({ baseURL: user.baseUrl, apiKey: user.apiKey });
  });

  after(() => network.close());

  it("speaks, and hears what was spoken", async () => {
    const input = "A bill is a promise kept.";
    const speech = await client.audio.speech.create({ model: "demo-speech", voice: "alloy", input });
    const wav = Buffer.from(await speech.arrayBuffer());
    expect(wav.toString("latin1", 8, 12)).to.equal("WAVE");
    const { text } = await client.audio.transcriptions.create({
      ...{ model: "demo-listen", file: await toFile(wav, "promise.wav") },
    });
    expect(text).to.equal(input);
  });

  it("moderates", async () => {
    const { results } = await client.moderations.create({ model: "demo-moderation", input: "Good morning" });
    expect(results[0]?.flagged).to.equal(false);
  });

  it("runs a batch from a file", async () => {
    const lines = Array.from({ length: 6 }, (_, index) =>
      JSON.stringify({
        ...{ custom_id: `${index}`, method: "POST", url: "/v1/chat/completions" },
        body: { model: "demo-text", messages: [{ role: "user", content: `Line ${index}` }], max_tokens: 8 },
      }),
    );
    const file = await client.files.create({
      ...{ purpose: "batch", file: await toFile(Buffer.from(lines.join("\n")), "night.jsonl") },
    });
    let batch = await client.batches.create({
      ...{ input_file_id: file.id, endpoint: "/v1/chat/completions", completion_window: "24h" },
    });
    while (batch.status !== "completed" && batch.status !== "failed") {
      await new Promise((resolve) => setTimeout(resolve, 50));
      batch = await client.batches.retrieve(batch.id);
    }
    expect(batch.request_counts).to.deep.equal({ total: 6, completed: 6, failed: 0 });
    const output = await (await client.files.content(batch.output_file_id ?? "")).text();
    expect(output.trim().split("\n")).to.have.length(6);
  });

  it("finds models, and shows who serves them", async () => {
    const response = await fetch(`${user.baseUrl}/models?category=speech&sort=price`);
    const { data } = (await response.json()) as { data: { id: string; pricing: { character: string } }[] };
    expect(data.map(({ id }) => id)).to.deep.equal(["demo-speech"]);
    // The cheapest of those that were heard so far.
    expect(data[0]?.pricing.character).to.be.oneOf(["0.00001", "0.000012", "0.000015"]);
    const endpoints = (await (await fetch(`${user.baseUrl}/models/demo-text/endpoints`)).json()) as {
      data: { endpoints: { requests: { last_1d: { ok: number } } }[] };
    };
    const served = endpoints.data.endpoints.reduce((sum, { requests }) => sum + requests.last_1d.ok, 0);
    expect(served).to.equal(6);
  });

  it("has a bill of all of it that holds", async () => {
    await network.relays[0]?.settle();
    const main = new URL("../../cli/src/main.ts", import.meta.url).pathname;
    const environment = {
      HOME: network.folder,
      AIMO_BASE_URL: user.baseUrl,
      AIMO_API_KEY: user.apiKey,
      AIMO_OWNER: user.address,
      AIMO_RPC_URL: network.rpcUrl,
      AIMO_DEPLOYMENT: join(network.folder, "deployment.json"),
    };
    const report = await new Promise<{ ok: boolean; receipts: number; problems: object[] }>((done, fail) => {
      const options = { cwd: network.folder, env: environment };
      execFile(process.execPath, [main, "bill", "verify", "--json"], options, (error, stdout) =>
        stdout === "" ? fail(error) : done(JSON.parse(stdout)),
      );
    });
    expect(report.problems).to.deep.equal([]);
    expect([report.ok, report.receipts]).to.deep.equal([true, 9]);
  });
});
