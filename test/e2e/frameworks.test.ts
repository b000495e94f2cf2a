import { createOpenAICompatible, type OpenAICompatibleProvider } from "@ai-sdk/openai-compatible";
import { HumanMessage, type ToolMessage, type UsageMetadata } from "@langchain/core/messages";
import { tool as langchainTool } from "@langchain/core/tools";
import { ChatOpenAI, OpenAIEmbeddings } from "@langchain/openai";
import { APICallError, embed, embedMany, generateText, isStepCount, Output, streamText, tool } from "ai";
import { expect } from "chai";
import { z } from "zod/v4";
import { type LocalNetwork, startLocalNetwork } from "../../scripts/local-network.ts";

const PLACE = z.object({ city: z.string().describe("Where.") });
const QUESTION = "How is the weather in Oslo?";

/** Frameworks over an OpenAI-compatible base URL, unmodified: they get that and a key. */
describe("e2e/frameworks", function () {
  this.timeout(120_000);
  let network: LocalNetwork;
  let baseURL = "";
  let apiKey = "";

  before(async () => {
    network = await startLocalNetwork({ ports: "free" });
    const [user] = network.users;
    if (!user) throw new Error("The local network has no user.");
    ({ baseUrl: baseURL, apiKey } = user);
  });
  after(() => network.close());

  describe("the Vercel AI SDK", () => {
    let aimo: OpenAICompatibleProvider;
    before(() => {
      aimo = createOpenAICompatible({ name: "aimo", baseURL, apiKey, includeUsage: true });
    });
    const asked: string[] = [];
    const weather = tool({
      description: "The weather of a city.",
      inputSchema: PLACE,
      execute: async ({ city }) => {
        asked.push(city);
        return "12 degrees and rain";
      },
    });

    it("generates a text", async () => {
      const { text, usage, finishReason } = await generateText({
        ...{ model: aimo("demo-text"), prompt: "How does a market settle?", maxOutputTokens: 24 },
      });
      expect(text).to.not.equal("");
      expect(usage.outputTokens).to.be.within(1, 24);
      expect(finishReason).to.be.oneOf(["stop", "length"]);
    });

    it("streams a text, with its usage", async () => {
      const result = streamText({
        ...{ model: aimo("demo-text"), prompt: "Tell me a story about a ledger", maxOutputTokens: 24 },
      });
      const pieces: string[] = [];
      for await (const piece of result.textStream) pieces.push(piece);
      expect(pieces.length).to.be.greaterThan(1);
      expect(pieces.join("")).to.equal(await result.text);
      expect((await result.usage).outputTokens).to.be.within(1, 24);
    });

    it("runs tools, whole and streamed", async () => {
      asked.length = 0;
      const run = {
        ...{ model: aimo("demo-text"), prompt: QUESTION, maxOutputTokens: 24 },
        ...{ tools: { get_weather: weather }, stopWhen: isStepCount(3) },
      };
      const whole = await generateText(run);
      const streamed = streamText(run);
      await streamed.consumeStream();
      expect(asked).to.deep.equal(["Oslo", "Oslo"]);
      for (const text of [whole.text, await streamed.text]) expect(text).to.not.equal("");
      expect(whole.steps).to.have.length(2);
    });

    it("generates an object by a schema", async () => {
      const strict = createOpenAICompatible({
        ...{ name: "aimo", baseURL, apiKey, supportsStructuredOutputs: true },
      });
      const { output } = await generateText({
        ...{ model: strict("demo-text"), prompt: QUESTION, output: Output.object({ schema: PLACE }) },
      });
      expect(output).to.deep.equal({ city: "Oslo" });
    });

    it("embeds", async () => {
      const model = aimo.embeddingModel("demo-embed");
      const { embedding } = await embed({ model, value: "The weather is beautiful today" });
      const { embeddings } = await embedMany({ model, values: ["The weather is beautiful today", "pizza"] });
      expect(embeddings).to.have.length(2);
      expect(embedding).to.deep.equal(embeddings[0]);
    });

    it("throws its own error, with the status", async () => {
      const error = await generateText({ model: aimo("no-such-model"), prompt: "x", maxRetries: 0 }).catch(
        (caught: unknown) => caught,
      );
      expect(APICallError.isInstance(error)).to.equal(true);
      expect(error).to.include({ statusCode: 404 });
    });
  });

  describe("LangChain.js", () => {
    let model: ChatOpenAI;
    before(() => {
      model = new ChatOpenAI({
        ...{ model: "demo-text", apiKey, maxTokens: 24, maxRetries: 0, configuration: { baseURL } },
      });
    });
    const getWeather = langchainTool(async ({ city }) => `12 degrees in ${city}`, {
      ...{ name: "get_weather", description: "The weather of a city.", schema: PLACE },
    });

    it("invokes", async () => {
      const reply = await model.invoke("How does a market settle?");
      expect(reply.content).to.be.a("string").that.is.not.empty;
      expect(outputTokensOf(reply)).to.be.within(1, 24);
    });

    it("streams, with its usage", async () => {
      let pieces = 0;
      let outputTokens = 0;
      for await (const chunk of await model.stream("Tell me a story about a ledger")) {
        if (chunk.content !== "") pieces++;
        outputTokens += outputTokensOf(chunk);
      }
      expect(pieces).to.be.greaterThan(1);
      expect(outputTokens).to.be.within(1, 24);
    });

    it("binds tools, and answers with what they say", async () => {
      const bound = model.bindTools([getWeather]);
      const question = new HumanMessage(QUESTION);
      const called = await bound.invoke([question]);
      const [call] = called.tool_calls ?? [];
      if (!call) throw new Error("A tool call was expected.");
      expect(call.args).to.deep.equal({ city: "Oslo" });
      const answer: ToolMessage = await getWeather.invoke({ ...call, type: "tool_call" });
      expect(answer.content).to.equal("12 degrees in Oslo");
      const reply = await bound.invoke([question, called, answer]);
      expect(reply.content).to.be.a("string").that.is.not.empty;
    });

    it("reads a structured output", async () => {
      const structured = model.withStructuredOutput(PLACE, { name: "place", method: "jsonSchema" });
      expect(await structured.invoke(QUESTION)).to.deep.equal({ city: "Oslo" });
    });

    it("speaks through the responses route too", async () => {
      const responses = new ChatOpenAI({
        ...{ model: "demo-text", apiKey, maxTokens: 24, configuration: { baseURL }, useResponsesApi: true },
      });
      const reply = await responses.invoke("How does a market settle?");
      expect(reply.text).to.not.equal("");
      let text = "";
      for await (const chunk of await responses.stream("Tell me a story about a ledger")) text += chunk.text;
      expect(text).to.not.equal("");
      const called = await responses.bindTools([getWeather]).invoke(QUESTION);
      expect(called.tool_calls?.[0]?.args).to.deep.equal({ city: "Oslo" });
    });

    it("embeds", async () => {
      const embeddings = new OpenAIEmbeddings({
        ...{ model: "demo-embed", apiKey, configuration: { baseURL } },
      });
      const vectors = await embeddings.embedDocuments(["sea", "pizza"]);
      expect(vectors).to.have.length(2);
      expect(await embeddings.embedQuery("sea")).to.deep.equal(vectors[0]);
    });
  });
});

/** The type of the framework's own field comes to nothing under this repository's compiler options. */
const outputTokensOf = (message: object): number =>
  (message as { usage_metadata?: UsageMetadata }).usage_metadata?.output_tokens ?? 0;
