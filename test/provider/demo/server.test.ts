import { once } from "node:events";
import { request as httpRequest } from "node:http";
import { countText, tokensOf } from "@aimo/node/tokens";
import { expect } from "chai";
import OpenAI from "openai";
import { PNG } from "pngjs";
import type { StreamEnd } from "../../../provider/src/demo/chat.ts";
import { type DemoServer, MAX_BODY_BYTES, startDemoServer } from "../../../provider/src/demo/server.ts";

type ErrorBody = { error: { message: string; type: string; param: string | null; code: string } };
const user = (content: string) => [{ role: "user" as const, content }];
const chat = { model: "demo-text", messages: user("How do ledgers keep money safe?"), seed: 7 };

describe("demo/server", () => {
  const ends: StreamEnd[] = [];
  let tellEnd = (_: StreamEnd) => {};
  let server: DemoServer;
  let client: OpenAI;

  before(async () => {
    server = await startDemoServer({
      onStreamEnd: (end) => {
        ends.push(end);
        tellEnd(end);
      },
    });
    client = new OpenAI({ baseURL: server.url, apiKey: "none", maxRetries: 0 });
  });
  after(() => server.close());

  const post = (path: string, body: unknown) =>
    fetch(`${server.url}${path}`, {
      method: "POST",
      body: typeof body === "string" ? body : JSON.stringify(body),
    });

  it("lists its models and says what they are", async () => {
    const { data } = await client.models.list();
    expect(data.map(({ id }) => id)).to.deep.equal([
      ...["demo-text", "demo-embed", "demo-image"],
      ...["demo-speech", "demo-listen", "demo-moderation"],
    ]);
    for (const model of data)
      expect(model)
        .to.have.property("description")
        .that.matches(/without weights; for local/);
    expect((await client.models.retrieve("demo-text")).id).to.equal("demo-text");
  });

  it("answers a chat, counts its tokens as the tokenizer does, and repeats itself for a seed", async () => {
    const [one, two] = [
      await client.chat.completions.create(chat),
      await client.chat.completions.create(chat),
    ];
    const text = one.choices[0]?.message.content ?? "";
    expect(two.choices[0]?.message.content).to.equal(text);
    expect(one.choices[0]?.finish_reason).to.equal("stop");
    expect(one.system_fingerprint).to.equal("demo");
    const prompt = 6 + countText("user") + countText(chat.messages[0]?.content ?? "");
    const completion = countText(text);
    expect(one.usage).to.deep.equal({
      prompt_tokens: prompt,
      completion_tokens: completion,
      total_tokens: prompt + completion,
    });
  });

  it("streams the text of the same seed one token a chunk, then the usage, then [DONE]", async () => {
    const whole = await client.chat.completions.create({ ...chat, n: 2 });
    const stream = await client.chat.completions.create({
      ...chat,
      n: 2,
      stream: true,
      stream_options: { include_usage: true },
    });
    const texts = ["", ""];
    const reasons: (string | null)[] = [];
    let usage: unknown;
    for await (const chunk of stream) {
      for (const { index, delta, finish_reason } of chunk.choices) {
        if (delta.content) expect(tokensOf(delta.content).length).to.equal(1);
        texts[index] += delta.content ?? "";
        if (finish_reason) reasons.push(finish_reason);
      }
      if (chunk.choices.length === 0) usage = chunk.usage;
    }
    expect(texts).to.deep.equal(whole.choices.map(({ message }) => message.content));
    expect(reasons).to.deep.equal(["stop", "stop"]);
    expect(usage).to.deep.equal(whole.usage);
    const raw = await (await post("/chat/completions", { ...chat, stream: true })).text();
    expect(raw.endsWith("data: [DONE]\n\n")).to.equal(true);
    expect(raw).not.to.include('"usage"');
  });

  it("counts each choice so far in every chunk of it, when asked to", async () => {
    const stream_options = { include_usage: true, continuous_usage_stats: true };
    const stream = await client.chat.completions.create({ ...chat, n: 2, stream: true, stream_options });
    const tokens = new Map<number, number>();
    let total = 0;
    for await (const { choices, usage } of stream) {
      const [choice] = choices;
      if (!choice) total = usage?.completion_tokens ?? 0;
      else {
        const count = (tokens.get(choice.index) ?? 0) + (choice.delta.content ? 1 : 0);
        tokens.set(choice.index, count);
        expect(usage?.completion_tokens, `of choice ${choice.index}`).to.equal(count);
      }
    }
    expect([...tokens.values()].reduce((sum, count) => sum + count))
      .to.be.greaterThan(2)
      .and.equal(total);
  });

  it("stops at max_tokens with length, and at a stop sequence with stop", async () => {
    const short = await client.chat.completions.create({ ...chat, max_completion_tokens: 5 });
    expect(short.choices[0]?.finish_reason).to.equal("length");
    expect(short.usage?.completion_tokens).to.equal(5);
    const stopped = await client.chat.completions.create({ ...chat, stop: "." });
    expect(stopped.choices[0]?.message.content).not.to.include(".");
    expect(stopped.choices[0]?.finish_reason).to.equal("stop");
  });

  it("stops writing when the client of a stream hangs up", async () => {
    const ended = new Promise<StreamEnd>((resolve) => {
      tellEnd = resolve;
    });
    const body = JSON.stringify({ ...chat, stream: true, ignore_eos: true, max_tokens: 16_384, n: 8 });
    const call = httpRequest(`${server.url}/chat/completions`, { method: "POST" });
    call.on("error", () => {});
    call.end(body);
    const [response] = await once(call, "response");
    await once(response, "data");
    call.destroy();
    const end = await ended;
    expect(end.completed).to.equal(false);
    expect(end.tokens).to.be.lessThan(8 * 16_384);
  });

  it("embeds texts and token arrays alike, as floats and as base64", async () => {
    const input = ["The weather is beautiful today", "I love pizza"];
    const floats = await client.embeddings.create({ model: "demo-embed", input, encoding_format: "float" });
    // Without a format the client asks for base64 and decodes it to 32-bit floats.
    const decoded = await client.embeddings.create({ model: "demo-embed", input: input.map(tokensOf) });
    expect(floats.data.map(({ embedding }) => embedding.length)).to.deep.equal([256, 256]);
    for (const [i, { embedding }] of floats.data.entries()) {
      expect(decoded.data[i]?.embedding.map(Math.fround)).to.deep.equal(embedding.map(Math.fround));
    }
    const tokens = input.reduce((sum, text) => sum + countText(text), 0);
    for (const { usage } of [floats, decoded])
      expect(usage).to.deep.equal({ prompt_tokens: tokens, total_tokens: tokens });
    const small = await client.embeddings.create({ model: "demo-embed", input: "hello", dimensions: 32 });
    expect(small.data[0]?.embedding.length).to.equal(32);
  });

  it("draws as many pictures as asked, as base64 or as data URLs, and counts them", async () => {
    const ask = { model: "demo-image", prompt: "a boat on a lake", size: "256x256" as const };
    const reply = await client.images.generate({ ...ask, n: 2, response_format: "b64_json" });
    for (const { b64_json } of reply.data ?? []) {
      expect(PNG.sync.read(Buffer.from(b64_json ?? "", "base64")).width).to.equal(256);
    }
    expect(reply.data?.length).to.equal(2);
    expect(reply.usage).to.include({ images: 2, input_tokens: countText(ask.prompt) });
    const [picture] = (await client.images.generate(ask)).data ?? [];
    expect(picture?.url).to.match(/^data:image\/png;base64,/);
  });

  const REFUSALS: readonly [title: string, path: string, body: unknown, status: number, message: RegExp][] = [
    ["a body that is not JSON", "/chat/completions", "{", 400, /must be JSON/],
    ["a body that is not an object", "/embeddings", [], 400, /JSON object/],
    [
      "an unknown model",
      "/chat/completions",
      { ...chat, model: "gpt-9" },
      404,
      /'model' must be 'demo-text'/,
    ],
    ["an unknown route", "/nothing", {}, 404, /POST \/v1\/nothing/],
    ["an inherited name as a route", "/../constructor", {}, 404, /Unknown request URL/],
    [
      "a temperature out of range",
      "/chat/completions",
      { ...chat, temperature: 3 },
      400,
      /'temperature'.* 0 to 2/,
    ],
    [
      "too many tokens",
      "/chat/completions",
      { ...chat, max_tokens: 99_999 },
      400,
      /'max_tokens'.* 1 to 16384/,
    ],
    ["too many choices", "/chat/completions", { ...chat, n: 9 }, 400, /'n'.* 1 to 8/],
    ["an empty stop", "/chat/completions", { ...chat, stop: "" }, 400, /'stop'.* 4 strings of 1 to 256/],
    ["no messages", "/chat/completions", { ...chat, messages: [] }, 400, /'messages'.* 1 to 2048/],
    [
      "a message without a role",
      "/chat/completions",
      { ...chat, messages: [{}] },
      400,
      /'messages\[0\]\.role'/,
    ],
    [
      "a picture in a message",
      "/chat/completions",
      { ...chat, messages: [{ role: "user", content: [{ type: "image_url" }] }] },
      400,
      /'messages\[0\]\.content\[0\]' must be a text part/,
    ],
    [
      "a long prompt",
      "/chat/completions",
      { ...chat, messages: user("word ".repeat(40_000)) },
      400,
      /at most 32768/,
    ],
    [
      "an empty input",
      "/embeddings",
      { model: "demo-embed", input: "" },
      400,
      /'input\[0\]'.* 1 to 8192 tokens/,
    ],
    ["no input", "/embeddings", { model: "demo-embed", input: [] }, 400, /'input'.* 1 to 2048/],
    ["an unknown token", "/embeddings", { model: "demo-embed", input: [9_999_999] }, 400, /o200k_base/],
    [
      "too many dimensions",
      "/embeddings",
      { model: "demo-embed", input: "a", dimensions: 257 },
      400,
      /1 to 256/,
    ],
    [
      "an unknown size",
      "/images/generations",
      { model: "demo-image", prompt: "a", size: "1x1" },
      400,
      /'size'.*1024x1024/,
    ],
    [
      "too many pictures",
      "/images/generations",
      { model: "demo-image", prompt: "a", n: 5 },
      400,
      /'n'.* 1 to 4/,
    ],
    [
      "an empty prompt",
      "/images/generations",
      { model: "demo-image", prompt: "" },
      400,
      /'prompt'.* 1 to 4000/,
    ],
    [
      "a body over the limit",
      "/embeddings",
      "x".repeat(MAX_BODY_BYTES + 1),
      413,
      new RegExp(`${MAX_BODY_BYTES} bytes`),
    ],
    [
      "a body far over the limit",
      "/embeddings",
      "x".repeat(MAX_BODY_BYTES * 8),
      413,
      new RegExp(`${MAX_BODY_BYTES}`),
    ],
  ];
  for (const [title, path, body, status, message] of REFUSALS) {
    it(`refuses ${title} with ${status}, and says what is allowed`, async () => {
      const response = await post(path, body);
      const { error } = (await response.json()) as ErrorBody;
      expect(response.status).to.equal(status);
      expect(error.message).to.match(message);
      expect(error.type).to.equal("invalid_request_error");
      expect(error).to.have.keys("message", "type", "param", "code");
    });
  }

  it("ends open streams when it closes", async () => {
    const other = await startDemoServer({ tokenDelayMs: 60_000 });
    const response = await fetch(`${other.url}/chat/completions`, {
      method: "POST",
      body: JSON.stringify({ ...chat, stream: true }),
    });
    const failure = response.text().then(
      () => undefined,
      (error: unknown) => error,
    );
    await other.close();
    expect(await failure).to.be.instanceOf(Error);
  });
});
