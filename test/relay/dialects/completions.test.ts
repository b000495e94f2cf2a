import { textResponseHash } from "@aimo/protocol/receipts";
import { expect } from "chai";
import OpenAI from "openai";
import {
  eventsOf,
  type Json,
  jsonOf,
  providerOf,
  startTestRelay,
  type TestRelay,
} from "../support/test-relay.ts";

const ASK = { model: "stand-in", prompt: "Once upon" };
const token = (text: string) => ({
  token: text,
  logprob: -0.5,
  bytes: null,
  top_logprobs: [{ token: text, logprob: -0.5 }],
});

/** OpenAI's official client on the older /v1/completions. */
describe("/v1/completions", () => {
  let relay: TestRelay;
  let client: OpenAI;

  beforeEach(async () => {
    relay = await startTestRelay();
    client = new OpenAI({ baseURL: `${relay.url}/v1`, apiKey: relay.key, maxRetries: 0 });
  });
  afterEach(() => relay.close());

  const sent = (): Json => JSON.parse(providerOf(relay).asks.at(-1)?.body.toString() ?? "");

  it("asks by a chat, for a line unless told otherwise", async () => {
    await client.completions.create({ ...ASK, temperature: 0, stop: ["."], user: "u" });
    const messages = [{ role: "user", content: "Once upon" }];
    expect(sent()).to.deep.equal({
      ...{ model: "stand-in", temperature: 0, stop: ["."], user: "u", max_tokens: 16, messages },
    });
    await client.completions.create({ ...ASK, prompt: ["Once upon"], max_tokens: 99 });
    expect(sent()).to.deep.include({ max_tokens: 99, messages });
  });

  it("gives log probabilities in this route's columns", async () => {
    providerOf(relay).onAsk = (ask) => {
      const logprobs = { content: [token(" a"), token(" time")] };
      const message = { role: "assistant", content: " a time" };
      ask.replyJson(
        {
          id: "x",
          created: 7,
          model: "stand-in",
          choices: [{ index: 0, message, logprobs, finish_reason: "stop" }],
        },
        { units: [10, 0, 2], responseHash: textResponseHash([{ text: " a time" }]) },
      );
    };
    const { choices } = await client.completions.create({ ...ASK, logprobs: 1 });
    expect(sent()).to.include({ logprobs: true, top_logprobs: 1 });
    expect(choices[0]?.logprobs).to.deep.equal({
      ...{ tokens: [" a", " time"], token_logprobs: [-0.5, -0.5], text_offset: [0, 2] },
      top_logprobs: [{ " a": -0.5 }, { " time": -0.5 }],
    });
  });

  it("tells of a stream that breaks off, and bills nothing", async () => {
    providerOf(relay).onAsk = (ask) => void ask.say("half");
    const stream = await client.completions.create({ ...ASK, stream: true });
    let text = "";
    const reading = (async () => {
      for await (const { choices } of stream) {
        text += choices[0]?.text ?? "";
        if (text === "half") providerOf(relay).asks[0]?.response.destroy();
      }
    })();
    const error = await reading.catch((reason: unknown) => reason);
    expect(text).to.equal("half");
    expect(error).to.be.instanceOf(OpenAI.APIError).and.include({ code: "provider_unavailable" });
    expect(relay.ledger.commits.at(-1)?.outcome.kind).to.equal("free");
  });

  it("streams chunks of its own kind, and ends with what it cost", async () => {
    providerOf(relay).onAsk = (ask) => {
      ask.say(" a");
      ask.say(" time");
      ask.finish();
    };
    const events = eventsOf(await (await relay.post("/v1/completions", { ...ASK, stream: true })).text());
    expect(events.slice(0, 2).map(({ choices }) => choices[0].text)).to.deep.equal([" a", " time"]);
    expect(events.slice(0, -1).every(({ object }) => object === "text_completion")).to.equal(true);
    expect(events.at(-2).aimo.cost_pusd).to.match(/^[1-9]/);
    expect(events.at(-1)).to.equal("[DONE]");
  });

  it("stands in /openapi.json beside the other forms, with the header of Anthropic's clients", async () => {
    const { paths, components } = await jsonOf(await fetch(`${relay.url}/openapi.json`));
    for (const name of ["completions", "responses", "messages"]) {
      const { post } = paths[`/v1/${name}`];
      expect(post.requestBody.content["application/json"].schema.properties).to.have.property("model");
      expect(post.tags).to.deep.equal(["inference"]);
    }
    expect(components.securitySchemes.x_api_key).to.include({ type: "apiKey", name: "x-api-key" });
  });
});
