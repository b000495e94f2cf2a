import { textResponseHash } from "@aimo/protocol/receipts";
import { ROUTE_HEADERS } from "@aimo/protocol/routes";
import { expect } from "chai";
import OpenAI from "openai";
import {
  eventsOf,
  type Json,
  providerOf,
  startTestRelay,
  type TestRelay,
  until,
} from "../support/test-relay.ts";
import { sayDelta } from "./say-delta.ts";

const ASK = { model: "stand-in", input: "Hello?", max_output_tokens: 50 };
const CALLS = [
  { name: "weather", arguments: '{"city":"Oslo"}' },
  { name: "clock", arguments: '{"zone":"CET"}' },
];

/** OpenAI's official client on /v1/responses, and providers that do what models seldom do. */
describe("/v1/responses", () => {
  let relay: TestRelay;
  let client: OpenAI;

  beforeEach(async () => {
    relay = await startTestRelay();
    client = new OpenAI({ baseURL: `${relay.url}/v1`, apiKey: relay.key, maxRetries: 0 });
  });
  afterEach(() => relay.close());

  const sent = (): Json => JSON.parse(providerOf(relay).asks.at(-1)?.body.toString() ?? "");
  const lastOutcome = () => relay.ledger.commits.at(-1)?.outcome;

  it("says in a chat what was asked, and drops what only a store needs", async () => {
    await client.responses.create({
      ...ASK,
      ...{
        instructions: "Be brief.",
        store: true,
        include: ["reasoning.encrypted_content"],
        metadata: { a: "b" },
      },
      ...{
        temperature: 0.5,
        top_p: null,
        reasoning: { effort: "low" },
        top_logprobs: 2,
        truncation: "disabled",
      },
      ...{ text: { verbosity: "low" }, parallel_tool_calls: true, tool_choice: "auto" },
      input: [
        { role: "developer", content: "Answer in French." },
        {
          role: "user",
          content: [
            { type: "input_text", text: "What is it?" },
            { type: "input_image", image_url: "data:image/png;base64,AAAA", detail: "low" },
          ],
        },
      ],
    });
    const picture = { type: "image_url", image_url: { url: "data:image/png;base64,AAAA", detail: "low" } };
    expect(sent()).to.deep.equal({
      ...{ model: "stand-in", temperature: 0.5, reasoning_effort: "low", verbosity: "low" },
      ...{ logprobs: true, top_logprobs: 2, max_completion_tokens: 50 },
      messages: [
        { role: "system", content: "Be brief." },
        { role: "system", content: "Answer in French." },
        { role: "user", content: [{ type: "text", text: "What is it?" }, picture] },
      ],
    });
  });

  it("puts the calls of a turn together, and a picture that a tool showed after all answers", async () => {
    const call = (call_id: string) => ({
      type: "function_call" as const,
      call_id,
      name: "look",
      arguments: "{}",
    });
    await client.responses.create({
      ...ASK,
      input: [
        { role: "user", content: "Look." },
        { type: "reasoning", id: "rs_1", summary: [] },
        call("a"),
        { role: "assistant", content: "Looking." },
        call("b"),
        {
          ...{ type: "function_call_output", call_id: "a" },
          output: [
            { type: "input_text", text: "There:" },
            { type: "input_image", image_url: "https://example.com/a.png", detail: "auto" },
          ],
        },
        { type: "function_call_output", call_id: "b", output: "Nothing." },
      ],
    });
    const look = { name: "look", arguments: "{}" };
    expect(sent().messages).to.deep.equal([
      { role: "user", content: "Look." },
      {
        ...{ role: "assistant", content: "Looking." },
        tool_calls: ["a", "b"].map((id) => ({ id, type: "function", function: look })),
      },
      { role: "tool", tool_call_id: "a", content: "There:" },
      { role: "tool", tool_call_id: "b", content: "Nothing." },
      {
        role: "user",
        content: [{ type: "image_url", image_url: { url: "https://example.com/a.png", detail: "auto" } }],
      },
    ]);
  });

  it("streams thoughts, text, a refusal and calls that alternate, in items that the helper puts together", async () => {
    providerOf(relay).onAsk = (ask) => {
      sayDelta(ask, { role: "assistant", content: "" });
      sayDelta(ask, { reasoning_content: "Hm." });
      sayDelta(ask, { content: "Let me look." });
      sayDelta(ask, { refusal: "Not that." });
      sayDelta(ask, { tool_calls: [callDelta(0, { id: "c0", name: "weather", arguments: "" })] });
      sayDelta(ask, { tool_calls: [callDelta(0, { arguments: '{"city":' })] });
      sayDelta(ask, { tool_calls: [callDelta(1, { name: "clock", arguments: '{"zone":"CET"}' })] });
      sayDelta(ask, { tool_calls: [callDelta(0, { arguments: '"Oslo"}' })] }, "tool_calls");
      ask.finish({ completion: 8, responseHash: textResponseHash([{ text: "Let me look.", tools: CALLS }]) });
    };
    const stream = client.responses.stream(ASK);
    const sequence: number[] = [];
    for await (const event of stream) sequence.push(event.sequence_number);
    expect(sequence).to.deep.equal(sequence.map((_, index) => index));
    const { output, status } = await stream.finalResponse();
    expect(status).to.equal("completed");
    const [thought, text, refusal, weather, clock] = output as Json[];
    expect(thought.content).to.deep.equal([{ type: "reasoning_text", text: "Hm." }]);
    expect(text.content[0]).to.include({ type: "output_text", text: "Let me look." });
    expect(refusal.content[0]).to.include({ type: "refusal", refusal: "Not that." });
    expect(weather).to.include({ type: "function_call", call_id: "c0", ...CALLS[0] });
    expect(clock).to.include({ type: "function_call", ...CALLS[1] });
    expect(clock.call_id).to.match(/^call_gen-.*_1$/);
    expect(new Set(output.map(({ id }) => id)).size).to.equal(5);
    expect(lastOutcome()?.kind).to.equal("usage");
  });

  it("says that an answer was cut at the limit", async () => {
    providerOf(relay).onAsk = (ask) => {
      sayDelta(ask, { content: "Once upon" }, "length");
      ask.finish({ completion: 1, responseHash: textResponseHash([{ text: "Once upon" }]) });
    };
    const response = await client.responses.stream(ASK).finalResponse();
    expect(response).to.deep.include({
      status: "incomplete",
      incomplete_details: { reason: "max_output_tokens" },
    });
    expect(response.output[0]).to.include({ status: "incomplete" });
  });

  it("ends a stream that breaks off with a failed response, and bills nothing", async () => {
    providerOf(relay).onAsk = (ask) => void ask.say("half");
    const stream = await client.responses.create({ ...ASK, stream: true });
    const events: Json[] = [];
    for await (const event of stream) {
      events.push(event);
      if (event.type === "response.output_text.delta") providerOf(relay).asks[0]?.response.destroy();
    }
    const { type, response } = events.at(-1);
    expect(type).to.equal("response.failed");
    expect(response).to.include({ status: "failed" });
    expect(response.error).to.include({ code: "provider_unavailable" });
    expect(response.output[0]).to.include({ status: "incomplete" });
    expect(response.aimo.cost_pusd).to.equal("0");
    expect(lastOutcome()?.kind).to.equal("free");
  });

  it("bills a stream that the client leaves for what it got", async () => {
    providerOf(relay).onAsk = (ask) => {
      for (const word of ["one ", "two ", "three "]) ask.say(word);
    };
    const stream = await client.responses.create({ ...ASK, stream: true });
    for await (const event of stream) if (event.type === "response.output_text.delta") break;
    await until(() => relay.ledger.commits.length > 0);
    const outcome = lastOutcome();
    expect(outcome).to.include({ kind: "usage", cancelled: true });
    expect(providerOf(relay).aborts).to.have.length(1);
    expect(outcome?.kind === "usage" && outcome.statement.units[2]).to.equal(
      providerOf(relay).aborts[0]?.frames,
    );
  });

  it("replays the very bytes under an Idempotency-Key, streamed or not, and bills once", async () => {
    providerOf(relay).onAsk = (ask) => {
      if (!JSON.parse(ask.body.toString()).stream) return ask.reply("Hello.");
      ask.say("Hello.");
      ask.finish();
    };
    for (const stream of [false, true]) {
      const headers = { "idempotency-key": `key-${stream}` };
      const first = await (await relay.post("/v1/responses", { ...ASK, stream }, headers)).text();
      const again = await relay.post("/v1/responses", { ...ASK, stream }, headers);
      expect(again.headers.get(ROUTE_HEADERS.replayed)).to.equal("true");
      expect(await again.text()).to.equal(first);
      expect(stream ? eventsOf(first).at(-1).type : JSON.parse(first).object).to.match(/^response/);
    }
    expect(relay.ledger.commits).to.have.length(2);
  });
});

const callDelta = (index: number, { id, ...called }: { id?: string; name?: string; arguments: string }) => ({
  ...{ index, ...(id ? { id } : {}), type: "function", function: called },
});
