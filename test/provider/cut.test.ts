import { once } from "node:events";
import { countText } from "@aimo/node/tokens";
import { textResponseHash } from "@aimo/protocol/receipts";
import { expect } from "chai";
import {
  chunkOf,
  type FaultUpstream,
  startFaultUpstream,
  usageChunk,
  writeFrames,
} from "./support/fault-upstream.ts";
import { attemptOn, chatBody, chatPath, MODELS, startWorld, type World } from "./support/provider.ts";
import { type RelayClient, readFrames, textOf } from "./support/relay-client.ts";

describe("provider, when the relay cuts a stream", () => {
  let upstream: FaultUpstream;
  let world: World;
  let relay: RelayClient;

  const words = ["alpha ", "beta ", "gamma ", "delta "];
  const holdOpen = () =>
    upstream.play((_, response) => {
      writeFrames(
        response,
        words.map((content) => chunkOf({ content })),
      );
    });

  beforeEach(async () => {
    upstream = await startFaultUpstream();
    world = await startWorld({ upstream: upstream.url });
    relay = await world.connect();
    await relay.listen();
    holdOpen();
  });
  afterEach(async () => {
    relay.close();
    await world.provider.close(0);
    await upstream.close();
  });

  it("stops the upstream at once and signs for the delivered frames only", async () => {
    const query = attemptOn();
    const gone = once(upstream.events, "gone");
    const { response, request } = await relay.open(chatPath(query), chatBody({ stream: true }));
    request.on("error", () => {});
    await readFrames(response, 4);
    request.destroy();
    await gone;
    const statement = await relay.abort(query.attempt, 2);
    expect(statement?.responseHash).to.equal(textResponseHash([{ text: "alpha beta " }]));
    expect(statement?.units[2]).to.be.within(1, 3);
    expect(statement?.units[0]).to.be.greaterThan(0);
    const [{ receipts } = { receipts: [] }] = await relay.untilGroups(1);
    expect(receipts).to.have.length(1);
    expect(receipts[0]?.responseHash).to.equal(statement?.responseHash);
  });

  it("ends a stream that is still open with the statement when the abort comes first", async () => {
    const query = attemptOn();
    const { response, seq } = await relay.open(chatPath(query), chatBody({ stream: true }));
    await readFrames(response, 4);
    const rest = textOf(response);
    const statement = await relay.abort(query.attempt, 3);
    expect(relay.usageOf(await rest, seq, chatPath(query))).to.deep.equal(statement);
    expect(statement?.responseHash).to.equal(textResponseHash([{ text: "alpha beta gamma " }]));
  });

  it("keeps what was said of the whole answer's tokens from the statement of a part", async () => {
    const usage = {
      ...{ prompt_tokens: 9, prompt_tokens_details: { audio_tokens: 2 } },
      ...{ completion_tokens: 8, completion_tokens_details: { reasoning_tokens: 3 } },
    };
    upstream.play((_, response) => {
      writeFrames(response, [
        ...words.map((content) => chunkOf({ content }, { finish: "stop" })),
        ...[usageChunk(usage), "[DONE]"],
      ]);
      response.end();
    });
    const query = attemptOn();
    const { text, seq } = await relay.send("POST", chatPath(query), chatBody({ stream: true }));
    const { prompt_tokens_details, completion_tokens_details } = usage;
    expect(relay.usageOf(text, seq, chatPath(query)).details).to.deep.equal({
      ...{ prompt_tokens_details, completion_tokens_details },
    });
    const part = await relay.abort(query.attempt, 2);
    expect(part?.details).to.deep.equal({ prompt_tokens_details });
  });

  it("bills a cut stream by what a server states in its chunks, to the token", async () => {
    upstream.play((_, response) => {
      writeFrames(
        response,
        words.map((content, at) =>
          chunkOf({ content }, { usage: { prompt_tokens: 9, completion_tokens: 5 * (at + 1) } }),
        ),
      );
    });
    const counting = await startWorld({ upstream: upstream.url, vendor: "vllm" });
    const other = await counting.connect();
    try {
      const query = attemptOn();
      const { response, request } = await other.open(chatPath(query), chatBody({ stream: true }));
      request.on("error", () => {});
      await readFrames(response, 4);
      expect(JSON.parse(upstream.bodies.at(-1) ?? "").stream_options).to.deep.equal({
        ...{ include_usage: true, continuous_usage_stats: true },
      });
      const statement = await other.abort(query.attempt, 3);
      expect(statement?.units).to.deep.equal([9, 0, 15]);
    } finally {
      other.close();
      await counting.provider.close(0);
    }
  });

  it("bills unseen tokens of a cut stream as far as the server had counted, and not at all without its count", async () => {
    const [text] = MODELS;
    if (!text) throw new Error("No model.");
    const models = [{ ...text, claims: { hiddenReasoning: true } }];
    for (const [vendor, expected] of [
      ["vllm", 180],
      ["generic", countText("alpha beta gamma ")],
    ] as const) {
      upstream.play((_, response) => {
        const counted = (at: number) =>
          vendor === "vllm" ? { usage: { prompt_tokens: 9, completion_tokens: 60 * (at + 1) } } : {};
        writeFrames(
          response,
          words.map((content, at) => chunkOf({ content }, counted(at))),
        );
      });
      const thinking = await startWorld({ upstream: upstream.url, vendor, models });
      const other = await thinking.connect();
      try {
        const query = attemptOn();
        const { response, request } = await other.open(chatPath(query), chatBody({ stream: true }));
        request.on("error", () => {});
        await readFrames(response, 4);
        expect((await other.abort(query.attempt, 3))?.units[2]).to.equal(expected);
      } finally {
        other.close();
        await thinking.provider.close(0);
      }
    }
  });

  it("never signs for more frames than it sent", async () => {
    const query = attemptOn();
    const { response } = await relay.open(chatPath(query), chatBody({ stream: true }));
    await readFrames(response, 4);
    const statement = await relay.abort(query.attempt, 4_000);
    expect(statement?.responseHash).to.equal(textResponseHash([{ text: words.join("") }]));
  });

  it("signs nothing when no frame arrived", async () => {
    const query = attemptOn();
    const { response, request } = await relay.open(chatPath(query), chatBody({ stream: true }));
    request.on("error", () => {});
    await readFrames(response, 1);
    expect(await relay.abort(query.attempt, 0)).to.equal(undefined);
    expect(world.provider.receipts.totals()).to.deep.equal([]);
  });

  it("stops the upstream before the first token too", async () => {
    upstream.play(() => {});
    const query = attemptOn();
    const asked = once(upstream.events, "request");
    const gone = once(upstream.events, "gone");
    const path = chatPath(query);
    const opening = relay.open(path, chatBody({ stream: true })).catch((error: Error) => error);
    await asked;
    expect(await relay.abort(query.attempt, 0)).to.equal(undefined);
    await gone;
    expect(await opening).to.be.instanceOf(Error);
  });

  it("replaces a receipt by a lower one when the relay learns late that its client got less", async () => {
    const query = attemptOn();
    upstream.play((_, response) => {
      writeFrames(response, [
        ...words.map((content) => chunkOf({ content })),
        chunkOf({}, { finish: "stop" }),
      ]);
      writeFrames(response, [usageChunk({ prompt_tokens: 10, completion_tokens: 8 }), "[DONE]"]);
      response.end();
    });
    const { text, seq } = await relay.send("POST", chatPath(query), chatBody({ stream: true }));
    const full = relay.usageOf(text, seq, chatPath(query));
    const lower = await relay.abort(query.attempt, 1);
    expect(BigInt(lower?.cost ?? 0) < BigInt(full.cost)).to.equal(true);
    expect(lower?.responseHash).to.equal(textResponseHash([{ text: "alpha " }]));
  });
});
