import { expect } from "chai";
import OpenAI from "openai";
import { zodResponseFormat } from "openai/helpers/zod";
import { z } from "zod/v4";
import { type LocalNetwork, startLocalNetwork } from "../../scripts/local-network.ts";

/** The official client, unmodified: it gets a base URL and a key, nothing else. */
describe("e2e/openai client", function () {
  this.timeout(120_000);
  let network: LocalNetwork;
  let client: OpenAI;

  before(async () => {
    network = await startLocalNetwork({ ports: "free" });
    const [user] = network.users;
    if (!user) throw new Error("The local network has no user.");
    client = new OpenAI({ baseURL: user.baseUrl, apiKey: user.apiKey });
  });

  after(() => network.close());

  it("chats, and gets the cost with the answer", async () => {
    const answer = await client.chat.completions.create({
      model: "demo-text",
      messages: [{ role: "user", content: "How does a market settle?" }],
      max_tokens: 24,
    });
    expect(answer.choices[0]?.message.content).to.be.a("string").and.not.equal("");
    expect(answer.usage?.completion_tokens).to.be.within(1, 24);
    const { cost } = answer.usage as unknown as { cost: number };
    expect(cost).to.be.greaterThan(0);
  });

  it("streams, and gives usage to a client that asks", async () => {
    const stream = await client.chat.completions.create({
      model: "demo-text",
      messages: [{ role: "user", content: "Tell me a story about a ledger" }],
      max_tokens: 32,
      stream: true,
      stream_options: { include_usage: true },
    });
    let text = "";
    let completionTokens = 0;
    let finishReason: string | null = null;
    for await (const chunk of stream) {
      text += chunk.choices[0]?.delta.content ?? "";
      finishReason = chunk.choices[0]?.finish_reason ?? finishReason;
      completionTokens = chunk.usage?.completion_tokens ?? completionTokens;
    }
    expect(text).to.not.equal("");
    expect(finishReason).to.be.oneOf(["stop", "length"]);
    expect(completionTokens).to.be.within(1, 32);
  });

  it("assembles a stream with the client's own helper", async () => {
    const run = client.chat.completions.stream({
      model: "demo-text",
      messages: [{ role: "user", content: "What is the weather like?" }],
      max_tokens: 16,
    });
    const final = await run.finalChatCompletion();
    expect(final.choices[0]?.message.content).to.be.a("string").and.not.equal("");
  });

  it("runs tools with the client's own helper, whole and streamed", async () => {
    const asked: string[] = [];
    const weather = {
      type: "function" as const,
      function: {
        ...{ name: "get_weather", description: "The weather of a city." },
        parameters: { type: "object", properties: { city: { type: "string" } } },
        parse: (text: string) => JSON.parse(text) as { city: string },
        function: ({ city }: { city: string }) => {
          asked.push(city);
          return "12 degrees and rain";
        },
      },
    };
    const messages = [{ role: "user" as const, content: "How is the weather in Oslo?" }];
    const body = { model: "demo-text", messages, tools: [weather] };
    const whole = client.chat.completions.runTools(body);
    const streamed = client.chat.completions.runTools({ ...body, stream: true });
    for (const run of [whole, streamed]) {
      expect(await run.finalContent()).to.be.a("string").that.is.not.empty;
      const roles = run.messages.map(({ role }) => role);
      expect(roles).to.deep.equal(["user", "assistant", "tool", "assistant"]);
    }
    expect(asked).to.deep.equal(["Oslo", "Oslo"]);
  });

  it("parses structured outputs, whole and streamed", async () => {
    const place = z.object({ city: z.string(), warm: z.boolean(), streets: z.array(z.string()) });
    const body = {
      ...{ model: "demo-text", response_format: zodResponseFormat(place, "place") },
      messages: [{ role: "user" as const, content: "Describe Oslo" }],
    };
    const whole = await client.chat.completions.parse(body);
    const streamed = await client.chat.completions.stream(body).finalChatCompletion();
    for (const { choices } of [whole, streamed]) {
      const parsed = choices[0]?.message.parsed;
      expect(parsed).to.include({ city: "Oslo", warm: true });
      expect(parsed?.streets).to.have.length(1);
    }
  });

  it("embeds several texts, nearer when they are about the same thing", async () => {
    const { data } = await client.embeddings.create({
      model: "demo-embed",
      input: ["The weather is beautiful today", "It's sunny and warm outside", "I love pizza and pasta"],
    });
    const [sunny, warm, pizza] = data.map((item) => item.embedding);
    if (!sunny || !warm || !pizza) throw new Error("Three embeddings expected.");
    expect(cosine(sunny, warm)).to.be.greaterThan(cosine(sunny, pizza));
  });

  it("draws a PNG", async () => {
    const { data } = await client.images.generate({
      model: "demo-image",
      prompt: "a beautiful sunset over the ocean",
      size: "256x256",
      response_format: "b64_json",
    });
    const png = Buffer.from(data?.[0]?.b64_json ?? "", "base64");
    expect(png.subarray(1, 4).toString("latin1")).to.equal("PNG");
  });

  it("lists models", async () => {
    const ids: string[] = [];
    for await (const model of client.models.list()) ids.push(model.id);
    expect(ids).to.include.members(["demo-text", "demo-embed", "demo-image"]);
  });

  it("throws its own error classes", async () => {
    const stranger = new OpenAI({ baseURL: client.baseURL, apiKey: "aimo-sk-unknown", maxRetries: 0 });
    const hello = { model: "demo-text", messages: [{ role: "user" as const, content: "hi" }] };
    await expectRejection(stranger.chat.completions.create(hello), OpenAI.AuthenticationError);
    const unknown = client.chat.completions.create({
      model: "no-such-model",
      messages: [{ role: "user", content: "hi" }],
    });
    await expectRejection(unknown, OpenAI.NotFoundError);
    const invalid = client.chat.completions.create({ model: "demo-text", messages: "hi" as never });
    await expectRejection(invalid, OpenAI.BadRequestError);
    const gone = new OpenAI({ baseURL: "http://127.0.0.1:1/v1", apiKey: "none", maxRetries: 0 });
    await expectRejection(gone.models.list(), OpenAI.APIConnectionError);
  });
});

function cosine(a: readonly number[], b: readonly number[]): number {
  const dot = a.reduce((sum, value, index) => sum + value * (b[index] ?? 0), 0);
  return dot / (Math.hypot(...a) * Math.hypot(...b));
}

async function expectRejection(
  promise: PromiseLike<unknown>,
  kind: new (...args: never[]) => Error,
): Promise<void> {
  try {
    await promise;
  } catch (error) {
    expect(error).to.be.instanceOf(kind);
    return;
  }
  expect.fail(`Expected ${kind.name}.`);
}
