import Anthropic from "@anthropic-ai/sdk";
import { expect } from "chai";
import {
  chunkOf,
  type FaultUpstream,
  usageChunk,
  writeFrames,
} from "../../provider/support/fault-upstream.ts";
import type { RelayWithProvider } from "../support/relay-with-provider.ts";
import { startRelayWithUpstream } from "../support/relay-with-upstream.ts";
import type { Json } from "../support/test-relay.ts";

const TEXT = "Forty-two.";
/** As an inference server states it, with fields that nobody knows and numbers that cannot be. */
const STATED = {
  ...{ prompt_tokens: 9, completion_tokens: 7, total_tokens: 16 },
  prompt_tokens_details: { cached_tokens: 4, cache_write_tokens: 3, audio_tokens: 0, image_tokens: -1 },
  completion_tokens_details: { reasoning_tokens: 5, audio_tokens: 99, text_tokens: 1.5, secret: "x" },
};
const PROMPT_DETAILS = { cached_tokens: 4, cache_write_tokens: 3, audio_tokens: 0 };
const COMPLETION_DETAILS = { reasoning_tokens: 5, audio_tokens: 7 };

describe("what an inference server says of its token counts", () => {
  let upstream: FaultUpstream;
  let network: RelayWithProvider;
  let close: (() => Promise<void>) | undefined;
  let anthropic: Anthropic;
  let stated: object = STATED;
  before(async () => {
    ({ upstream, network, close } = await startRelayWithUpstream());
    anthropic = new Anthropic({ baseURL: network.url, apiKey: network.key, maxRetries: 0 });
    for await (const model of network.client.models.list()) expect(model.object).to.equal("model");
    upstream.play(({ stream }, response) => {
      if (stream === true) {
        writeFrames(response, [chunkOf({ content: TEXT }, { finish: "stop" }), usageChunk(stated), "[DONE]"]);
        response.end();
        return;
      }
      const message = { role: "assistant", content: TEXT };
      const choices = [{ index: 0, message, finish_reason: "stop" }];
      const body = { id: "x", object: "chat.completion", created: 1, model: "m", choices, usage: stated };
      response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(body));
    });
  });
  beforeEach(() => {
    stated = STATED;
  });
  after(() => close?.());

  const messages = [{ role: "user" as const, content: "What is six by seven?" }];
  const ask = { model: "acme/text", messages, max_tokens: 20 };
  const whole = async (): Promise<Json> => network.client.chat.completions.create(ask);
  async function streamed(): Promise<Json> {
    const stream_options = { include_usage: true };
    let usage: Json;
    for await (const chunk of await network.client.chat.completions.create({
      ...ask,
      stream: true,
      stream_options,
    }))
      usage = chunk.usage ?? usage;
    return { usage };
  }

  it("reaches the client, whole and streamed, as far as it is known and possible", async () => {
    for (const { usage } of [await whole(), await streamed()]) {
      expect(usage).to.include({ prompt_tokens: 9, completion_tokens: 7, total_tokens: 16 });
      expect(usage.prompt_tokens_details).to.deep.equal(PROMPT_DETAILS);
      expect(usage.completion_tokens_details).to.deep.equal(COMPLETION_DETAILS);
    }
  });

  it("reaches clients of the Responses API", async () => {
    const body = { model: "acme/text", input: "What is six by seven?", max_output_tokens: 20 };
    const { usage } = await network.client.responses.create(body);
    let streamed: Json;
    for await (const event of await network.client.responses.create({ ...body, stream: true }))
      if (event.type === "response.completed") streamed = event.response.usage;
    for (const each of [usage, streamed] as Json[]) {
      expect(each.input_tokens_details).to.deep.equal({ cached_tokens: 4 });
      expect(each.output_tokens_details).to.deep.equal({ reasoning_tokens: 5 });
    }
  });

  it("reaches clients of the Messages API: what was written to a cache is no plain input either", async () => {
    const { usage } = await anthropic.messages.create(ask);
    const streamed = await anthropic.messages.stream(ask).finalMessage();
    for (const each of [usage, streamed.usage])
      expect(each).to.include({
        ...{ input_tokens: 2, cache_creation_input_tokens: 3, cache_read_input_tokens: 4, output_tokens: 7 },
      });
  });

  it("changes neither the bill nor what is kept of it", async () => {
    const costs = new Set<string>();
    for (const details of [{}, { completion_tokens_details: { reasoning_tokens: 7 } }]) {
      stated = { ...STATED, completion_tokens_details: undefined, ...details };
      const { usage } = await streamed();
      expect(usage.completion_tokens_details).to.deep.equal(details.completion_tokens_details);
      const outcome = network.ledger.commits.at(-1)?.outcome;
      if (outcome?.kind !== "usage") throw new Error("It was free.");
      costs.add(outcome.statement.cost);
      expect(Object.keys(outcome.statement)).to.have.members([
        ...["attempt", "issuedAt", "units", "cost", "responseHash", "receiptHash"],
      ]);
    }
    expect(costs.size).to.equal(1);
  });

  it("may be missing, or junk", async () => {
    for (const junk of [null, 5, "x", [], { reasoning_tokens: "5" }, { reasoning_tokens: null }]) {
      stated = { ...STATED, prompt_tokens_details: junk, completion_tokens_details: junk };
      for (const { usage } of [await whole(), await streamed()]) {
        expect(usage.prompt_tokens_details).to.deep.equal({ cached_tokens: 0 });
        expect(usage).to.not.have.property("completion_tokens_details");
      }
    }
  });
});
