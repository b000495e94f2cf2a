import { expect } from "chai";
import type OpenAI from "openai";
import { type FaultUpstream, usageChunk, writeFrames } from "../../provider/support/fault-upstream.ts";
import type { RelayWithProvider } from "../support/relay-with-provider.ts";
import { startRelayWithUpstream } from "../support/relay-with-upstream.ts";
import type { Json } from "../support/test-relay.ts";

const PIXEL =
  "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
const USAGE = { prompt_tokens: 90, completion_tokens: 2, total_tokens: 92 };
const LOGPROBS = {
  content: ["A", " boat"].map((token, at) => ({
    ...{ token, logprob: -0.25 * (at + 1), bytes: [...Buffer.from(token)] },
    top_logprobs: [{ token, logprob: -0.25 * (at + 1), bytes: [...Buffer.from(token)] }],
  })),
  refusal: null,
};

/** What passes through a relay and a provider's node that know nothing of it, seen by the official client. */
describe("the official client's pictures and log probabilities", () => {
  let upstream: FaultUpstream;
  let network: RelayWithProvider;
  let close: (() => Promise<void>) | undefined;
  let client: OpenAI;
  before(async () => {
    ({ upstream, network, close } = await startRelayWithUpstream());
    client = network.client;
    for await (const model of client.models.list()) expect(model.object).to.equal("model");
    upstream.play(({ stream, logprobs }, response) => {
      const about = { id: "x", created: 1, model: "m" };
      const said = (text: string, at: number) => ({
        ...{ index: 0, delta: { role: "assistant", content: text }, finish_reason: at === 1 ? "stop" : null },
        logprobs: logprobs ? { content: [LOGPROBS.content[at]], refusal: null } : null,
      });
      if (stream) {
        const chunks = ["A", " boat"].map((text, at) =>
          JSON.stringify({ ...about, object: "chat.completion.chunk", choices: [said(text, at)] }),
        );
        writeFrames(response, [...chunks, usageChunk(USAGE), "[DONE]"]);
        response.end();
        return;
      }
      const message = { role: "assistant", content: "A boat", refusal: null };
      const choice = { index: 0, message, finish_reason: "stop", logprobs: logprobs ? LOGPROBS : null };
      const body = { ...about, object: "chat.completion", choices: [choice], usage: USAGE };
      response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(body));
    });
  });
  after(() => close?.());

  const sent = (): Json => JSON.parse(upstream.bodies.at(-1) ?? "{}");
  const messages: OpenAI.Chat.ChatCompletionMessageParam[] = [
    {
      role: "user",
      content: [
        { type: "text", text: "What is this?" },
        { type: "image_url", image_url: { url: PIXEL, detail: "low" } },
        { type: "image_url", image_url: { url: "https://pictures.test/boat.png" } },
      ],
    },
  ];
  const ask = { model: "acme/text", messages, max_tokens: 20 };

  it("has pictures reach the model as they were sent, billed by the server's count", async () => {
    const reply = await client.chat.completions.create(ask);
    expect(sent().messages).to.deep.equal(messages);
    expect(reply.choices[0]?.message.content).to.equal("A boat");
    expect(reply.usage).to.include(USAGE);
    const outcome = network.ledger.commits.at(-1)?.outcome;
    expect(outcome?.kind === "usage" && outcome.statement.units).to.deep.equal([90, 0, 2]);

    const final = await client.chat.completions.stream(ask).finalChatCompletion();
    expect(sent().messages).to.deep.equal(messages);
    expect(final.choices[0]?.message.content).to.equal("A boat");
  });

  it("names a part that is none", async () => {
    const content = [{ image_url: { url: PIXEL } }] as never;
    const refused = await client.chat.completions
      .create({ ...ask, messages: [{ role: "user", content }] })
      .catch((error: unknown) => error);
    expect(refused).to.include({ status: 400, param: "messages[0].content[0]" });
  });

  it("gives log probabilities as the model stated them, whole and streamed", async () => {
    const asking = { ...ask, logprobs: true, top_logprobs: 1 };
    const whole = await client.chat.completions.create(asking);
    expect(sent()).to.include({ logprobs: true, top_logprobs: 1 });
    expect(whole.choices[0]?.logprobs).to.deep.equal(LOGPROBS);
    const streamed = await client.chat.completions.stream(asking).finalChatCompletion();
    expect(streamed.choices[0]?.logprobs?.content).to.deep.equal(LOGPROBS.content);
    const without = await client.chat.completions.create(ask);
    expect(without.choices[0]?.logprobs).to.equal(null);
  });
});
