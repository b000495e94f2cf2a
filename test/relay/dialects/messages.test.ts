import { textResponseHash } from "@aimo/protocol/receipts";
import Anthropic from "@anthropic-ai/sdk";
import { expect } from "chai";
import type { Ask } from "../support/stand-in-provider.ts";
import { jsonOf, startTestRelay, type TestRelay, until } from "../support/test-relay.ts";
import { sayDelta } from "./say-delta.ts";

const CALL = { name: "weather", arguments: '{"city":"Oslo"}' };
const TOOLS = [
  {
    name: "weather",
    description: "The weather of a city.",
    input_schema: { type: "object" as const, properties: { city: { type: "string" as const } } },
  },
];

/** Anthropic's official client, unmodified, against a relay over real sockets. */
describe("/v1/messages", () => {
  let relay: TestRelay;
  let client: Anthropic;

  beforeEach(async () => {
    relay = await startTestRelay();
    client = new Anthropic({ baseURL: relay.url, apiKey: relay.key, maxRetries: 0 });
  });
  afterEach(() => relay.close());

  const provider = () => {
    const [first] = relay.providers;
    if (!first) throw new Error("There is no provider.");
    return first;
  };
  const say = (content: Anthropic.MessageParam["content"], more: object = {}) =>
    client.messages.create({
      ...{ model: "stand-in", max_tokens: 50, messages: [{ role: "user", content }], stream: false },
      ...more,
    });
  const sent = () => JSON.parse(provider().asks.at(-1)?.body.toString() ?? "");

  it("answers a message, and bills it as any chat", async () => {
    const message = await say("Hello?", { system: "Be short.", stop_sequences: ["END"], temperature: 0.5 });
    expect(message.content).to.deep.equal([{ type: "text", text: "Hello there." }]);
    expect(message).to.include({ type: "message", role: "assistant", stop_reason: "end_turn" });
    expect(message.usage).to.include({ input_tokens: 10, output_tokens: 3, cache_read_input_tokens: 0 });
    expect(sent().messages).to.deep.equal([
      { role: "system", content: "Be short." },
      { role: "user", content: "Hello?" },
    ]);
    expect(sent())
      .to.include({ max_tokens: 50, temperature: 0.5 })
      .and.deep.include({ stop: ["END"] });
    const { outcome } = relay.ledger.commits.at(-1) ?? {};
    expect(outcome).to.include({ kind: "usage" });
    expect(JSON.parse(JSON.stringify(message)).aimo.cost_pusd).to.equal(
      outcome?.kind === "usage" ? outcome.charge.toString() : "",
    );
  });

  it("streams, and the client puts the message together", async () => {
    provider().onAsk = (ask) => {
      for (const word of ["one ", "two ", "three"]) ask.say(word);
      ask.finish();
    };
    const stream = client.messages.stream({
      ...{ model: "stand-in", max_tokens: 50, messages: [{ role: "user", content: "Count." }] },
    });
    const pieces: string[] = [];
    stream.on("text", (text) => pieces.push(text));
    const message = await stream.finalMessage();
    expect(pieces).to.deep.equal(["one ", "two ", "three"]);
    expect(message.content).to.deep.equal([{ type: "text", text: "one two three" }]);
    expect(message.usage).to.include({ input_tokens: 10, output_tokens: 3 });
    expect(relay.ledger.commits.at(-1)?.outcome.kind).to.equal("usage");
  });

  it("carries tools, calls and their answers", async () => {
    provider().onAsk = (ask) => replyWithCall(ask);
    const message = await say("Weather in Oslo?", { tools: TOOLS, tool_choice: { type: "any" } });
    expect(message.stop_reason).to.equal("tool_use");
    const use = { type: "tool_use", id: "call_1", name: "weather", input: { city: "Oslo" } };
    expect(message.content).to.deep.equal([use]);
    expect(sent().tools[0].function).to.include({ name: "weather" });
    expect(sent().tool_choice).to.equal("required");

    provider().onAsk = (ask) => ask.reply("Rain.");
    await client.messages.create({
      ...{ model: "stand-in", max_tokens: 50, tools: TOOLS },
      messages: [
        { role: "user", content: "Weather in Oslo?" },
        { role: "assistant", content: message.content },
        {
          role: "user",
          content: [
            { type: "tool_result", tool_use_id: "call_1", content: "12 degrees" },
            { type: "text", text: "So?" },
          ],
        },
      ],
    });
    const called = { id: "call_1", type: "function", function: CALL };
    expect(sent().messages.slice(1)).to.deep.equal([
      { role: "assistant", content: null, tool_calls: [called] },
      { role: "tool", tool_call_id: "call_1", content: "12 degrees" },
      { role: "user", content: [{ type: "text", text: "So?" }] },
    ]);
  });

  it("passes pictures on", async () => {
    const data = Buffer.from("a picture").toString("base64");
    const source = { type: "base64" as const, media_type: "image/png" as const, data };
    await say([
      { type: "image", source },
      { type: "text", text: "What is it?" },
    ]);
    const url = `data:image/png;base64,${data}`;
    expect(sent().messages[0].content[0]).to.deep.equal({ type: "image_url", image_url: { url } });
  });

  it("throws the client's own errors", async () => {
    const stranger = new Anthropic({ baseURL: relay.url, apiKey: "aimo-sk-wrong", maxRetries: 0 });
    const calling = (who: Anthropic, change: object) =>
      who.messages
        .create({
          ...{ model: "stand-in", max_tokens: 5, messages: [{ role: "user", content: "x" }] },
          ...change,
        })
        .catch((error: unknown) => error);
    expect(await calling(stranger, {})).to.be.instanceOf(Anthropic.AuthenticationError);
    expect(await calling(client, { model: "nobody" })).to.be.instanceOf(Anthropic.NotFoundError);
    const refused = await calling(client, { messages: [{ role: "user", content: [{ type: "document" }] }] });
    expect(refused).to.be.instanceOf(Anthropic.BadRequestError);
    expect(String(refused)).to.match(/messages\[0\]\.content\[0\].*document/);
    expect(String(await calling(client, { max_tokens: undefined }))).to.match(/max_tokens is required/);
    expect(relay.ledger.commits).to.deep.equal([]);
  });

  it("tells of a stream that breaks off", async () => {
    provider().onAsk = (ask) => void ask.say("half");
    const stream = client.messages.stream({
      ...{ model: "stand-in", max_tokens: 50, messages: [{ role: "user", content: "Count." }] },
    });
    stream.on("text", () => provider().asks[0]?.response.destroy());
    const error = await stream.finalMessage().catch((reason: unknown) => reason);
    expect(error).to.be.instanceOf(Anthropic.APIError);
    expect(error).to.include({ type: "api_error", status: undefined });
    expect(relay.ledger.commits.at(-1)?.outcome.kind).to.equal("free");
  });

  it("bills a stream that the client leaves for what it got", async () => {
    provider().onAsk = (ask) => {
      for (const word of ["one ", "two ", "three "]) ask.say(word);
    };
    const stream = client.messages.stream({
      ...{ model: "stand-in", max_tokens: 50, messages: [{ role: "user", content: "Count." }] },
    });
    for await (const event of stream) if (event.type === "content_block_delta") break;
    await until(() => relay.ledger.commits.length > 0);
    expect(relay.ledger.commits.at(-1)?.outcome).to.include({ kind: "usage", cancelled: true });
  });

  it("streams thoughts, text and calls, each in a block of its own", async () => {
    provider().onAsk = (ask) => {
      sayDelta(ask, { role: "assistant", content: "" });
      sayDelta(ask, { reasoning: "Hm." });
      sayDelta(ask, { content: "Let me look." });
      sayDelta(ask, { tool_calls: [{ index: 0, id: "c0", function: { name: "weather", arguments: "" } }] });
      sayDelta(ask, { tool_calls: [{ index: 0, function: { arguments: '{"city":"Oslo"}' } }] });
      sayDelta(ask, { tool_calls: [{ index: 1, function: { name: "weather", arguments: CALL.arguments } }] });
      sayDelta(ask, {}, "tool_calls");
      const responseHash = textResponseHash([{ text: "Let me look.", tools: [CALL, CALL] }]);
      ask.finish({ completion: 7, responseHash });
    };
    const { content, stop_reason } = await client.messages
      .stream({ model: "stand-in", max_tokens: 50, messages: [{ role: "user", content: "Weather?" }] })
      .finalMessage();
    expect(stop_reason).to.equal("tool_use");
    expect(content.map(({ type }) => type)).to.deep.equal(["thinking", "text", "tool_use", "tool_use"]);
    expect(content[0]).to.include({ thinking: "Hm." });
    expect(content[2]).to.deep.include({ id: "c0", name: "weather", input: { city: "Oslo" } });
    expect(content[3])
      .to.have.property("id")
      .that.matches(/^toolu_gen-.*_1$/);
  });

  it("says in a chat what else was asked", async () => {
    const schema = { type: "object", properties: { city: { type: "string" } } };
    const data = Buffer.from("a picture").toString("base64");
    await client.messages.create({
      ...{ model: "stand-in", max_tokens: 50, tool_choice: { type: "tool", name: "weather" }, tools: TOOLS },
      ...{ metadata: { user_id: "u1" }, thinking: { type: "enabled", budget_tokens: 2_048 }, top_k: 4 },
      ...{ output_config: { effort: "low", format: { type: "json_schema", schema } } },
      ...{ service_tier: "standard_only", cache_control: { type: "ephemeral" } },
      system: [
        { type: "text", text: "One.", cache_control: { type: "ephemeral" } },
        { type: "text", text: "Two." },
      ],
      messages: [
        { role: "user", content: "Look." },
        {
          role: "assistant",
          content: [
            { type: "thinking", thinking: "Hm.", signature: "" },
            { type: "tool_use", id: "a", name: "look", input: {} },
          ],
        },
        {
          role: "user",
          content: [
            {
              ...{ type: "tool_result", tool_use_id: "a" },
              content: [
                { type: "text", text: "There:" },
                { type: "image", source: { type: "base64", media_type: "image/png", data } },
              ],
            },
          ],
        },
      ],
    });
    const called = { id: "a", type: "function", function: { name: "look", arguments: "{}" } };
    const { tools, messages, ...rest } = sent();
    expect(tools).to.have.length(1);
    expect(rest).to.deep.equal({
      ...{ model: "stand-in", max_tokens: 50, top_k: 4, user: "u1", reasoning: { max_tokens: 2_048 } },
      ...{ reasoning_effort: "low", service_tier: "default" },
      tool_choice: { type: "function", function: { name: "weather" } },
      response_format: { type: "json_schema", json_schema: { name: "output", schema, strict: true } },
    });
    expect(messages).to.deep.equal([
      { role: "system", content: "One.\n\nTwo." },
      { role: "user", content: "Look." },
      { role: "assistant", content: null, tool_calls: [called] },
      { role: "tool", tool_call_id: "a", content: "There:" },
      {
        role: "user",
        content: [{ type: "image_url", image_url: { url: `data:image/png;base64,${data}` } }],
      },
    ]);
  });

  it("says in its own form that a repeated request's reply was too long to keep", async () => {
    provider().onAsk = (ask) => ask.reply("x".repeat(300_000), { completion: 40 });
    const body = { model: "stand-in", max_tokens: 50, messages: [{ role: "user", content: "x" }] };
    const headers = { "idempotency-key": "long" };
    expect((await relay.post("/v1/messages", body, headers)).status).to.equal(200);
    const again = await relay.post("/v1/messages", body, headers);
    const { type, error } = await jsonOf(again);
    expect(again.status).to.equal(409);
    expect({ type, code: error.code }).to.deep.equal({ type: "error", code: "idempotency_conflict" });
    expect(error.type).to.equal("invalid_request_error");
    expect(relay.ledger.commits).to.have.length(1);
  });

  it("names the sequence at which the server says it stopped", async () => {
    provider().onAsk = (ask) => {
      const message = { role: "assistant", content: "One" };
      ask.replyJson(
        { choices: [{ index: 0, message, finish_reason: "stop", stop_reason: "END" }] },
        { units: [10, 0, 1], responseHash: textResponseHash([{ text: "One" }]) },
      );
    };
    const message = await say("Count.", { stop_sequences: ["END"] });
    expect(message).to.include({ stop_reason: "stop_sequence", stop_sequence: "END" });
  });
});

function replyWithCall(ask: Ask): void {
  const tool_calls = [{ id: "call_1", type: "function", function: CALL }];
  const message = { role: "assistant", content: null, tool_calls };
  const whole = {
    ...{ id: ask.query.get("id"), object: "chat.completion", created: 7, model: "stand-in" },
    choices: [{ index: 0, message, finish_reason: "tool_calls" }],
  };
  ask.replyJson(whole, { units: [10, 0, 5], responseHash: textResponseHash([{ text: "", tools: [CALL] }]) });
}
