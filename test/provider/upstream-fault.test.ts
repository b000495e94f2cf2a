import { expect } from "chai";
import {
  chunkOf,
  type FaultUpstream,
  startFaultUpstream,
  usageChunk,
  writeFrames,
} from "./support/fault-upstream.ts";
import { attemptOn, chatBody, chatPath, startWorld, type World } from "./support/provider.ts";
import { type RelayClient, textOf } from "./support/relay-client.ts";

describe("provider, when its upstream fails", () => {
  let upstream: FaultUpstream;
  let world: World;
  let relay: RelayClient;

  beforeEach(async () => {
    upstream = await startFaultUpstream();
    world = await startWorld({ upstream: upstream.url });
    relay = await world.connect();
    await relay.listen();
  });
  afterEach(async () => {
    relay.close();
    await world.provider.close(0);
    await upstream.close();
  });

  const codeOf = (text: string): string => JSON.parse(text).error.code;
  const noReceipt = async () => {
    await world.provider.receipts.flush();
    expect(world.provider.receipts.totals()).to.deep.equal([]);
  };

  it("answers with a named error and signs nothing for a status of 500", async () => {
    upstream.play((_, response) => response.writeHead(500).end("oops"));
    const { status, text } = await relay.send("POST", chatPath(attemptOn()), chatBody());
    expect([status, codeOf(text)]).to.deep.equal([502, "provider_unavailable"]);
    await noReceipt();
  });

  it("passes on what the upstream says of a client's mistake", async () => {
    const refusal = JSON.stringify({ error: { message: "temperature is above 2", param: "temperature" } });
    upstream.play((_, response) => response.writeHead(400).end(refusal));
    const { status, text } = await relay.send("POST", chatPath(attemptOn()), chatBody());
    expect([status, JSON.parse(text).error.param]).to.deep.equal([400, "temperature"]);
    expect(text).to.contain("temperature is above 2");
  });

  it("passes on the code that the upstream gives a mistake, in few characters", async () => {
    const codeFor = async (refusal: object) => {
      upstream.play((_, response) => response.writeHead(400).end(JSON.stringify(refusal)));
      const { text } = await relay.send("POST", chatPath(attemptOn()), chatBody());
      return JSON.parse(text).error.metadata.provider_code;
    };
    const code = "context_length_exceeded";
    expect(await codeFor({ error: { message: "too long", code } })).to.equal(code);
    expect(await codeFor({ object: "error", message: "too long", code: 400 })).to.equal("400");
    expect(await codeFor({ error: { message: "too long", code: "c".repeat(900) } })).to.equal("c".repeat(64));
    for (const none of [{ message: "x" }, { message: "x", code: null }, { message: "x", code: ["a"] }])
      expect(await codeFor({ error: none })).to.equal(undefined);
  });

  it("breaks the stream off and signs nothing when the upstream breaks off", async () => {
    upstream.play((_, response) => {
      writeFrames(response, [chunkOf({ content: "half" })]);
      response.flushHeaders();
      setImmediate(() => response.destroy());
    });
    const { response } = await relay.open(chatPath(attemptOn()), chatBody({ stream: true }));
    const failure = await textOf(response).catch((error: Error) => error);
    expect(failure).to.be.instanceOf(Error);
    await noReceipt();
  });

  it("breaks the stream off when it ends without finish reason and [DONE]", async () => {
    upstream.play((_, response) => {
      writeFrames(response, [chunkOf({ content: "half" })]);
      response.end();
    });
    const reading = relay
      .open(chatPath(attemptOn()), chatBody({ stream: true }))
      .then(({ response }) => textOf(response));
    expect(await reading.catch((error: Error) => error)).to.be.instanceOf(Error);
    await noReceipt();
  });

  it("counts the text itself when the upstream states no usage", async () => {
    upstream.play((_, response) => {
      writeFrames(response, [chunkOf({ content: "hello world" }, { finish: "stop" }), "[DONE]"]);
      response.end();
    });
    const query = attemptOn();
    const { text, seq } = await relay.send("POST", chatPath(query), chatBody({ stream: true }));
    expect(relay.usageOf(text, seq, chatPath(query)).units[2]).to.equal(2);
  });

  it("holds completion tokens to what the delivered bytes bear out", async () => {
    upstream.play((_, response) => {
      writeFrames(response, [chunkOf({ content: "ok" }, { finish: "stop" })]);
      writeFrames(response, [usageChunk({ prompt_tokens: 10, completion_tokens: 5_000 }), "[DONE]"]);
      response.end();
    });
    const query = attemptOn();
    const { text, seq } = await relay.send("POST", chatPath(query), chatBody({ stream: true }));
    expect(relay.usageOf(text, seq, chatPath(query)).units[2]).to.equal(10);
  });

  it("refuses a stream of junk before the first frame with an error", async () => {
    upstream.play((_, response) => {
      writeFrames(response, ["not json"]);
      response.end();
    });
    const { status, text } = await relay.send("POST", chatPath(attemptOn()), chatBody({ stream: true }));
    expect([status, codeOf(text)]).to.deep.equal([502, "provider_unavailable"]);
    await noReceipt();
  });
});
