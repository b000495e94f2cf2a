import { expect } from "chai";
import OpenAI from "openai";
import { type RelayWithProvider, startRelayWithProvider } from "../support/relay-with-provider.ts";
import { type Json, until } from "../support/test-relay.ts";

describe("a relay with a real provider", () => {
  let network: RelayWithProvider;
  let client: OpenAI;
  before(async () => {
    network = await startRelayWithProvider();
    client = network.client;
    for await (const model of client.models.list()) expect(model.object).to.equal("model");
  });
  after(() => network?.close());

  const lastOutcome = () => network.ledger.commits.at(-1)?.outcome;
  const messages = [{ role: "user" as const, content: "Tell me of the sea." }];

  it("chats", async () => {
    const reply: Json = await client.chat.completions.create({
      model: "acme/text",
      messages,
      max_tokens: 20,
    });
    expect(reply.choices[0].message.content).to.be.a("string").that.is.not.empty;
    expect(reply.usage.completion_tokens).to.be.within(1, 20);
    expect(lastOutcome()).to.include({ kind: "usage" });
    expect(reply.aimo.attempts).to.have.length(1);
  });

  it("streams, and the relay's count bears the provider's statement out", async () => {
    const options = {
      model: "acme/text",
      messages,
      stream: true,
      stream_options: { include_usage: true },
    } as const;
    const stream = await client.chat.completions.create({ ...options, max_tokens: 30 });
    let text = "";
    let last: Json;
    for await (const chunk of stream) {
      text += chunk.choices[0]?.delta.content ?? "";
      last = chunk;
    }
    expect(text).to.not.equal("");
    expect(last.usage.completion_tokens).to.be.within(1, 30);
    expect(last.aimo.receipt_hash).to.match(/^0x/);
    expect(lastOutcome()).to.include({ kind: "usage", cancelled: false });
  });

  it("bills a stream that the client leaves for what it got", async () => {
    const stream = await client.chat.completions.create({ model: "acme/text", messages, stream: true });
    const before = network.ledger.commits.length;
    let seen = 0;
    for await (const _chunk of stream) if (++seen === 3) break;
    await until(() => network.ledger.commits.length > before);
    const outcome = lastOutcome();
    // The demo model may have finished by then; in both cases the statement is for what the relay handed on.
    expect(outcome?.kind).to.equal("usage");
  });

  it("embeds, as numbers and as the client's default base64", async () => {
    for (const encoding_format of ["float", undefined] as const) {
      const format = encoding_format ? { encoding_format } : {};
      const reply = await client.embeddings.create({
        model: "acme/embed",
        input: ["sea", "ocean"],
        ...format,
      });
      expect(reply.data).to.have.length(2);
      expect(reply.data[0]?.embedding[0]).to.be.a("number");
      expect(lastOutcome()).to.include({ kind: "usage" });
    }
  });

  it("draws", async () => {
    const reply = await client.images.generate({
      model: "acme/image",
      prompt: "a red boat",
      response_format: "b64_json",
    });
    expect(reply.data?.[0]?.b64_json).to.be.a("string");
    const outcome = lastOutcome();
    expect(outcome?.kind === "usage" && outcome.statement.units).to.deep.equal([0, 0, 1]);
  });

  it("gets the receipts of all of it in signed groups", async () => {
    const billed = network.ledger.commits.filter(({ outcome }) => outcome.kind === "usage").length;
    await until(() => network.signed.reduce((sum, { count }) => sum + count, 0) >= billed);
    expect(network.signed.every(({ genuine }) => genuine)).to.equal(true);
  });

  it("raises the official client's own errors", async () => {
    const error = await client.chat.completions
      .create({ model: "nobody/none", messages })
      .catch((caught: unknown) => caught);
    expect(error).to.be.instanceOf(OpenAI.NotFoundError);
    expect(error).to.include({ code: "model_not_found" });
  });
});
