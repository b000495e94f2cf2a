import { countText } from "@aimo/node/tokens";
import { expect } from "chai";
import OpenAI from "openai";
import { valueFor } from "../../../provider/src/demo/schema-value.ts";
import { type DemoServer, startDemoServer } from "../../../provider/src/demo/server.ts";

const WEATHER = {
  type: "function" as const,
  function: {
    name: "get_weather",
    description: "The weather of a city.",
    parameters: {
      type: "object",
      properties: { city: { type: "string" }, unit: { type: "string", enum: ["celsius", "kelvin"] } },
      required: ["city", "unit"],
    },
  },
};
const TIME = { type: "function" as const, function: { name: "clock" } };
const user = (content: string) => [{ role: "user" as const, content }];

describe("demo/forms", () => {
  let server: DemoServer;
  let client: OpenAI;

  before(async () => {
    server = await startDemoServer();
    client = new OpenAI({ baseURL: server.url, apiKey: "none", maxRetries: 0 });
  });
  after(() => server.close());

  it("calls the tool that the user speaks of, streamed as whole, and counts what it wrote", async () => {
    const ask = {
      ...{ model: "demo-text", seed: 1, tools: [TIME, WEATHER] },
      messages: user("How is the weather in Oslo?"),
    };
    const reply = await client.chat.completions.create(ask);
    const streamed = await client.chat.completions.stream(ask).finalChatCompletion();
    for (const { choices } of [reply, streamed]) {
      expect(choices[0]?.finish_reason).to.equal("tool_calls");
      const [call] = choices[0]?.message.tool_calls ?? [];
      if (call?.type !== "function") throw new Error("A call of a function was expected.");
      expect(call.function.name).to.equal("get_weather");
      expect(JSON.parse(call.function.arguments)).to.deep.equal({ city: "Oslo", unit: "celsius" });
      expect(reply.usage?.completion_tokens).to.equal(
        countText("get_weather") + countText(call.function.arguments),
      );
    }
  });

  it("speaks when a tool has answered, when none fits, and when none may be called", async () => {
    const call = { id: "c", type: "function" as const, function: { name: "get_weather", arguments: "{}" } };
    const asks = [
      {
        messages: [
          ...user("How is the weather in Oslo?"),
          { role: "assistant" as const, content: null, tool_calls: [call] },
          { role: "tool" as const, tool_call_id: "c", content: "Rain." },
        ],
      },
      { messages: user("Tell me a story about a ledger.") },
      { messages: user("How is the weather in Oslo?"), tool_choice: "none" as const },
    ];
    for (const ask of asks) {
      const body = { model: "demo-text", max_tokens: 8, tools: [WEATHER], ...ask };
      const { choices } = await client.chat.completions.create(body);
      expect(choices[0]?.message.content).to.be.a("string").that.is.not.empty;
      expect(choices[0]?.message.tool_calls).to.equal(undefined);
    }
  });

  it("calls what is demanded, and refuses to call what there is not", async () => {
    const ask = (tool_choice: "required" | { type: "function"; function: { name: string } }) =>
      client.chat.completions.create({
        ...{ model: "demo-text", messages: user("Hello."), tools: [TIME, WEATHER], tool_choice },
      });
    const { choices } = await ask("required");
    expect(choices[0]?.message.tool_calls).to.have.length(1);
    const error = await ask({ type: "function", function: { name: "nobody" } }).catch((e: unknown) => e);
    expect(error).to.be.instanceOf(OpenAI.BadRequestError);
  });

  it("writes JSON by a schema, cut at max_tokens like any text", async () => {
    const schema = { type: "object", properties: { names: { type: "array", items: { type: "string" } } } };
    const ask = {
      ...{ model: "demo-text", messages: user("Name the rivers Nile and Danube.") },
      response_format: { type: "json_schema" as const, json_schema: { name: "rivers", schema } },
    };
    const { choices } = await client.chat.completions.create(ask);
    expect(JSON.parse(choices[0]?.message.content ?? "")).to.deep.equal({ names: ["Nile"] });
    const cut = await client.chat.completions.create({ ...ask, max_tokens: 2 });
    expect(cut.choices[0]?.finish_reason).to.equal("length");
    expect(cut.usage?.completion_tokens).to.equal(2);
  });

  it("fits references, choices, limits and schemas without end", () => {
    const schema = {
      type: "object",
      properties: {
        size: { type: "integer", minimum: 3 },
        maybe: { anyOf: [{ type: "null" }, { $ref: "#/$defs/word" }] },
        pair: { type: "array", items: { type: "boolean" }, minItems: 2 },
        nothing: { type: "null" },
      },
      $defs: { word: { type: "string", minLength: 4, maxLength: 5 } },
    };
    expect(valueFor(schema, ["ox"])).to.deep.equal({
      ...{ size: 3, maybe: "ox..", pair: [true, true], nothing: null },
    });
    const endless = { type: "object", properties: { next: { $ref: "#" }, other: { $ref: "#" } } };
    expect(() => valueFor(endless, [])).to.throw(/more than 1000 values/);
  });
});
