import type { UsageFrame, UsageStatement } from "@aimo/protocol/session";
import { startDemoServer } from "@aimo/provider/demo/server";
import { expect } from "chai";
import { attemptOn, chatPath, MODELS, startWorld, type World } from "./support/provider.ts";
import { type RelayClient, readFrames } from "./support/relay-client.ts";

const NAMES: Readonly<Record<string, string>> = {
  chat: "demo-text",
  embeddings: "demo-embed",
  images: "demo-image",
  speech: "demo-speech",
  transcriptions: "demo-listen",
  moderations: "demo-moderation",
};

describe("provider with the demo models", function () {
  this.timeout(20_000);
  let demo: Awaited<ReturnType<typeof startDemoServer>>;
  let world: World;
  let relay: RelayClient;

  before(async () => {
    demo = await startDemoServer({ host: "127.0.0.1", port: 0, tokenDelayMs: 1 });
    const models = MODELS.map((model) => ({ ...model, upstreamModel: NAMES[model.route] ?? "" }));
    world = await startWorld({ upstream: demo.url, models });
    relay = await world.connect();
    await relay.listen();
  });
  after(async () => {
    relay.close();
    await world.provider.close(0);
    await demo.close();
  });

  const ask = async (route: string, slug: string, body: object) => {
    const path = chatPath(attemptOn(slug, { id: "gen-9" })).replace("/chat?", `/${route}?`);
    const answer = await relay.send("POST", path, JSON.stringify({ model: slug, ...body }));
    expect(answer.status, answer.text).to.equal(200);
    return { ...answer, path };
  };
  const messages = [{ role: "user", content: "Tell me of the sea." }];
  const headerUsage = (headers: Readonly<Record<string, unknown>>): UsageStatement =>
    JSON.parse(Buffer.from(String(headers["aimo-usage"]), "base64url").toString());

  it("streams a chat with the usage that the model counted", async () => {
    const { text, seq, path } = await ask("chat", "acme/text", { stream: true, max_tokens: 12, messages });
    const data = /aimo\.usage\ndata: (.*)\n\n/.exec(text)?.[1] ?? "";
    const { units } = relay.checkUsage(JSON.parse(data) as UsageFrame, seq, path);
    expect(units[2]).to.be.within(1, 12);
    expect(text).to.contain('"model":"acme/text"').and.contain('"id":"gen-9"').and.not.contain("demo-text");
  });

  it("answers a chat, embeddings and images with the same hashes and counts a relay makes", async () => {
    const chat = await ask("chat", "acme/text", { max_tokens: 8, messages });
    expect(headerUsage(chat.headers).units[2]).to.equal(JSON.parse(chat.text).usage.completion_tokens);
    const floats = await ask("embeddings", "acme/embed", { input: "the sea" });
    const base64 = await ask("embeddings", "acme/embed", { input: "the sea", encoding_format: "base64" });
    expect(headerUsage(floats.headers).responseHash).to.equal(headerUsage(base64.headers).responseHash);
    const image = await ask("images", "acme/image", { prompt: "a red sun", size: "256x256", n: 2 });
    expect(headerUsage(image.headers).units).to.deep.equal([0, 0, 2]);
  });

  it("keeps up with many streams at once and signs each of them", async () => {
    await world.provider.receipts.flush();
    const before = world.provider.receipts.totals()[0]?.receipts ?? 0;
    await Promise.all(
      Array.from({ length: 8 }, () => ask("chat", "acme/text", { stream: true, max_tokens: 20, messages })),
    );
    await world.provider.receipts.flush();
    expect(world.provider.receipts.totals()[0]?.receipts).to.equal(before + 8);
  });

  it("signs for part of a stream that was cut", async () => {
    const query = attemptOn();
    const body = JSON.stringify({ stream: true, max_tokens: 200, messages });
    const { response, request } = await relay.open(chatPath(query), body);
    request.on("error", () => {});
    await readFrames(response, 5);
    request.destroy();
    const statement = await relay.abort(query.attempt, 5);
    expect(statement?.units[2]).to.be.within(1, 12);
  });
});
