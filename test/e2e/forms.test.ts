import Anthropic from "@anthropic-ai/sdk";
import { expect } from "chai";
import OpenAI from "openai";
import { zodTextFormat } from "openai/helpers/zod";
import { z } from "zod";
import { type LocalNetwork, startLocalNetwork } from "../../scripts/local-network.ts";

const QUESTION = "How is the weather in Oslo?";
const STORY = "Tell me a story about a ledger";
const SCHEMA = {
  ...{ type: "object" as const, properties: { city: { type: "string" } } },
  ...{ required: ["city"], additionalProperties: false },
};

/** The other forms of a chat, each with the official client of its API, unmodified. */
describe("e2e/forms of a chat", function () {
  this.timeout(120_000);
  let network: LocalNetwork;
  let openai: OpenAI;
  let anthropic: Anthropic;

  before(async () => {
    network = await startLocalNetwork({ ports: "free" });
    const [user] = network.users;
    if (!user) throw new Error("The local network has no user.");
    const { baseUrl, apiKey } = user;
    openai = new OpenAI({ baseURL: baseUrl, apiKey, maxRetries: 0 });
    anthropic = new Anthropic({ baseURL: baseUrl.replace(/\/v1$/, ""), apiKey, maxRetries: 0 });
  });
  after(() => network.close());

  /** pUSD that a reply says it cost. */
  const costOf = (reply: object) => BigInt((reply as { aimo: { cost_pusd: string } }).aimo.cost_pusd);

  describe("/v1/responses", () => {
    const ask = { model: "demo-text", input: STORY, max_output_tokens: 24 };
    const tools = [
      { type: "function" as const, name: "get_weather", strict: true, description: "", parameters: SCHEMA },
    ];

    it("responds, with usage in its own words and the cost", async () => {
      const response = await openai.responses.create({ ...ask, instructions: "Be brief.", store: false });
      expect(response.output_text).to.not.equal("");
      expect(response.status).to.be.oneOf(["completed", "incomplete"]);
      expect(response.usage?.output_tokens).to.be.within(1, 24);
      expect(response.usage?.total_tokens).to.equal(
        (response.usage?.input_tokens ?? 0) + (response.usage?.output_tokens ?? 0),
      );
      expect(costOf(response) > 0n).to.equal(true);
    });

    it("streams events that the client's helper puts together", async () => {
      const stream = openai.responses.stream(ask);
      const types: string[] = [];
      let text = "";
      for await (const event of stream) {
        types.push(event.type);
        if (event.type === "response.output_text.delta") text += event.delta;
      }
      const final = await stream.finalResponse();
      expect(final.output_text).to.equal(text).and.not.equal("");
      expect(types.slice(0, 4)).to.deep.equal([
        ...["response.created", "response.in_progress", "response.output_item.added"],
        "response.content_part.added",
      ]);
      expect(types.at(-1)).to.match(/^response\.(completed|incomplete)$/);
      expect(costOf(final) > 0n).to.equal(true);
    });

    it("calls a tool, streamed too, and goes on with its answer", async () => {
      const input: OpenAI.Responses.ResponseInput = [{ role: "user", content: QUESTION }];
      const whole = await openai.responses.create({ model: "demo-text", input, tools });
      const streamed = await openai.responses
        .stream({ model: "demo-text", input, tools, tool_choice: "required" })
        .finalResponse();
      for (const { output } of [whole, streamed]) {
        const [call] = output;
        if (call?.type !== "function_call") throw new Error("A call was expected.");
        expect(JSON.parse(call.arguments)).to.deep.equal({ city: "Oslo" });
        const { call_id } = call;
        const answer = { type: "function_call_output" as const, call_id, output: "12 degrees" };
        const next = await openai.responses.create({
          ...{ model: "demo-text", max_output_tokens: 16, input: [...input, call, answer], tools },
        });
        expect(next.output_text).to.not.equal("");
      }
    });

    it("parses a structured output", async () => {
      const format = zodTextFormat(z.object({ city: z.string() }), "place");
      const { output_parsed } = await openai.responses.parse({
        ...{ model: "demo-text", input: QUESTION, text: { format } },
      });
      expect(output_parsed).to.deep.equal({ city: "Oslo" });
    });

    it("throws the client's own errors, with the field", async () => {
      const refused = await openai.responses
        .create({ ...ask, previous_response_id: "resp_1" })
        .catch((error: unknown) => error);
      expect(refused).to.be.instanceOf(OpenAI.BadRequestError);
      expect(refused).to.include({ param: "previous_response_id", code: "invalid_request" });
      const unknown = await openai.responses
        .create({ ...ask, model: "none" })
        .catch((error: unknown) => error);
      expect(unknown).to.be.instanceOf(OpenAI.NotFoundError);
    });
  });

  describe("/v1/completions", () => {
    const ask = { model: "demo-text", prompt: STORY, max_tokens: 24 };

    it("completes, and stops at a sequence", async () => {
      const { choices, usage, ...rest } = await openai.completions.create({ ...ask, n: 2 });
      expect(choices.map(({ index }) => index)).to.deep.equal([0, 1]);
      for (const { text } of choices) expect(text).to.not.equal("");
      expect(usage?.completion_tokens).to.be.within(2, 48);
      expect(costOf(rest) > 0n).to.equal(true);
      const seeded = { ...ask, seed: 7 };
      const [whole] = (await openai.completions.create(seeded)).choices;
      const stop = whole?.text.split(" ")[2] ?? "";
      const [cut] = (await openai.completions.create({ ...seeded, stop })).choices;
      expect(cut?.text).to.equal(whole?.text.slice(0, whole.text.indexOf(stop)));
    });

    it("streams, and gives usage to a client that asks", async () => {
      const stream = await openai.completions.create({
        ...ask,
        ...{ stream: true as const, stream_options: { include_usage: true } },
      });
      let text = "";
      let completionTokens = 0;
      for await (const chunk of stream) {
        expect(chunk.object).to.equal("text_completion");
        text += chunk.choices[0]?.text ?? "";
        completionTokens = chunk.usage?.completion_tokens ?? completionTokens;
      }
      expect(text).to.not.equal("");
      expect(completionTokens).to.be.within(1, 24);
    });
  });

  describe("/v1/messages", () => {
    const ask = { model: "demo-text", max_tokens: 24 };
    const story = { ...ask, messages: [{ role: "user" as const, content: STORY }] };
    const tools = [{ name: "get_weather", description: "", input_schema: SCHEMA }];

    it("answers, and streams to the client's helper", async () => {
      const whole = await anthropic.messages.create({ ...story, system: "Be brief." });
      const stream = anthropic.messages.stream(story);
      let text = "";
      stream.on("text", (piece) => {
        text += piece;
      });
      const streamed = await stream.finalMessage();
      expect(streamed.content).to.deep.equal([{ type: "text", text }]);
      for (const { content, stop_reason, usage } of [whole, streamed]) {
        expect(content[0]).to.have.property("text").that.is.not.empty;
        expect(stop_reason).to.be.oneOf(["end_turn", "max_tokens"]);
        expect(usage.output_tokens).to.be.within(1, 24);
        expect(usage.input_tokens).to.be.greaterThan(0);
      }
      expect(costOf(whole) > 0n).to.equal(true);
    });

    it("calls a tool, streamed too, and goes on with its answer", async () => {
      const messages: Anthropic.MessageParam[] = [{ role: "user", content: QUESTION }];
      const whole = await anthropic.messages.create({ ...ask, messages, tools });
      const streamed = await anthropic.messages.stream({ ...ask, messages, tools }).finalMessage();
      for (const { content, stop_reason } of [whole, streamed]) {
        expect(stop_reason).to.equal("tool_use");
        const [use] = content;
        if (use?.type !== "tool_use") throw new Error("A use of a tool was expected.");
        expect(use.input).to.deep.equal({ city: "Oslo" });
        const answer = { type: "tool_result" as const, tool_use_id: use.id, content: "12 degrees" };
        const next = await anthropic.messages.create({
          ...{ ...ask, tools },
          messages: [...messages, { role: "assistant", content }, { role: "user", content: [answer] }],
        });
        expect(next.content[0]).to.have.property("text").that.is.not.empty;
      }
    });

    it("throws the client's own errors by class, with type and request id", async () => {
      const refused = (who: Anthropic, change: object) =>
        who.messages.create({ ...story, ...change }).catch((error: unknown) => error);
      const stranger = new Anthropic({
        ...{ baseURL: anthropic.baseURL, apiKey: "aimo-sk-unknown", maxRetries: 0 },
      });
      const denied = await refused(stranger, {});
      expect(denied).to.be.instanceOf(Anthropic.AuthenticationError);
      expect(denied).to.include({ type: "authentication_error" });
      expect(denied).to.have.property("requestID").that.matches(/^req-/);
      expect(await refused(anthropic, { model: "none" })).to.be.instanceOf(Anthropic.NotFoundError);
      expect(await refused(anthropic, { max_tokens: 0 })).to.be.instanceOf(Anthropic.BadRequestError);
    });
  });
});
