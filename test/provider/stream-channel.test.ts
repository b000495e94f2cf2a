import { once } from "node:events";
import { FRAME, MAX_STREAMS, STREAM_WINDOW } from "@aimo/node/stream-frames";
import { textResponseHash } from "@aimo/protocol/receipts";
import { SESSION_PATH, type UsageStatement } from "@aimo/protocol/session";
import { expect } from "chai";
import { eventually } from "../node/support/eventually.ts";
import {
  chunkOf,
  type FaultUpstream,
  startFaultUpstream,
  usageChunk,
  writeFrames,
} from "./support/fault-upstream.ts";
import { attemptOn, chatBody, chatPath, startWorld, type World } from "./support/provider.ts";
import { openStream, type RawStream, upgrade } from "./support/raw-stream.ts";
import type { RelayClient } from "./support/relay-client.ts";

const USAGE = { prompt_tokens: 5, completion_tokens: 3 };
const completion = (content: string, padding = "") =>
  JSON.stringify({
    ...{ id: "up", object: "chat.completion", created: 1, model: "served-name", usage: USAGE, padding },
    choices: [{ index: 0, message: { role: "assistant", content }, finish_reason: "stop" }],
  });

describe("provider, on a connection of many streams", () => {
  let upstream: FaultUpstream;
  let world: World;
  let relay: RelayClient;
  let stream: RawStream;

  beforeEach(async () => {
    upstream = await startFaultUpstream();
    world = await startWorld({ upstream: upstream.url });
    relay = await world.connect();
    stream = await openStream(relay);
  });
  afterEach(async () => {
    stream.socket.destroy();
    relay.close();
    await world.provider.close(0);
    await upstream.close();
  });

  const ask = (changes = {}, body = chatBody({ stream: true })) =>
    stream.ask(chatPath(attemptOn()), body, changes);
  const words = (...said: string[]) =>
    upstream.play((_, response) => {
      writeFrames(
        response,
        said.map((content) => chunkOf({ content })),
      );
      writeFrames(response, [chunkOf({}, { finish: "stop" }), usageChunk(USAGE), "[DONE]"]);
      response.end();
    });

  it("answers with a JSON body and a statement under the request's MAC", async () => {
    upstream.play((_, response) => {
      response.writeHead(200, { "content-type": "application/json" }).end(completion("Hello."));
    });
    const heard = await stream.untilEnd(ask({}, chatBody()));
    expect(heard.head).to.include({ status: 200, contentType: "application/json" });
    const text = Buffer.from(heard.head?.usage ?? "", "base64url").toString();
    const statement = JSON.parse(text) as UsageStatement;
    const mac = (heard.head?.usageMac ?? "0x") as `0x${string}`;
    expect(relay.checkUsage({ statement, mac }, heard.seq, heard.path).units).to.deep.equal([5, 0, 3]);
    expect(JSON.parse(heard.text).choices[0].message.content).to.equal("Hello.");
  });

  it("streams several answers at once", async () => {
    words("al", "pha");
    const all = await Promise.all([ask(), ask(), ask()].map((one) => stream.untilEnd(one)));
    for (const { head, text, seq, path } of all) {
      expect(head?.contentType).to.match(/^text\/event-stream/);
      expect(relay.usageOf(text, seq, path).responseHash).to.equal(textResponseHash([{ text: "alpha" }]));
    }
  });

  it("never sends more than it was granted, be it a stream or one long body", async () => {
    stream.grants = false;
    const padding = "p".repeat(32 * 1024);
    const frames = 40;
    let isHeld = false;
    const pour = async (response: import("node:http").ServerResponse) => {
      response.writeHead(200, { "content-type": "text/event-stream" });
      for (let i = 0; i < frames; i++) {
        isHeld = true;
        if (!response.write(`data: ${chunkOf({ content: "a", padding })}\n\n`)) await once(response, "drain");
      }
      isHeld = false;
      writeFrames(response, [chunkOf({}, { finish: "stop" }), usageChunk(USAGE), "[DONE]"]);
      response.end();
    };
    upstream.play((body, response) => {
      if (body["stream"]) void pour(response);
      else
        response
          .writeHead(200, { "content-type": "application/json" })
          .end(completion("Long.", "p".repeat(600_000)));
    });
    const [slow, long] = [ask(), ask({}, chatBody())];
    await eventually(
      "both windows being used up",
      () => slow.bytes === STREAM_WINDOW && long.bytes === STREAM_WINDOW,
    );
    words("quick");
    const quick = await stream.untilEnd(ask());
    expect(quick.text).to.contain("quick");
    expect(slow.end ?? long.end).to.equal(undefined);
    // By a little, by much, and then freely.
    stream.grant(slow, 1);
    stream.grant(long, 100_000);
    await eventually("what was granted", () => slow.bytes === STREAM_WINDOW + 1);
    await eventually("what was granted", () => long.bytes === STREAM_WINDOW + 100_000);
    stream.grants = true;
    for (const one of [slow, long]) stream.grant(one, 50_000);
    await Promise.all([stream.untilEnd(slow), stream.untilEnd(long)]);
    expect(stream.overdrawn).to.equal(0);
    expect(isHeld).to.equal(false);
    expect(JSON.parse(long.text).padding).to.have.length(600_000);
    expect(slow.text.match(/"padding":"p/g)).to.have.length(frames);
    expect(relay.usageOf(slow.text, slow.seq, slow.path).units[2]).to.equal(3);
  });

  it("signs for the delivered frames when the relay says how many, and stops the model", async () => {
    upstream.play((_, response) =>
      writeFrames(
        response,
        ["alpha ", "beta ", "gamma "].map((content) => chunkOf({ content })),
      ),
    );
    const query = attemptOn();
    const heard = stream.ask(chatPath(query), chatBody({ stream: true }));
    await eventually("three frames", () => heard.text.split("\n\n").length === 4);
    const gone = once(upstream.events, "gone");
    const statement = await relay.abort(query.attempt, 2);
    expect(statement?.responseHash).to.equal(textResponseHash([{ text: "alpha beta " }]));
    await gone;
    await stream.untilEnd(heard);
    stream.stop(heard);
  });

  it("waits for that word when a stream is stopped first, and when the connection is lost", async () => {
    upstream.play((_, response) =>
      writeFrames(
        response,
        ["alpha ", "beta "].map((content) => chunkOf({ content })),
      ),
    );
    for (const leave of ["stop", "destroy"]) {
      const query = attemptOn();
      const heard = stream.ask(chatPath(query), chatBody({ stream: true }));
      await eventually("two frames", () => heard.text.split("\n\n").length === 3);
      const gone = once(upstream.events, "gone");
      if (leave === "stop") stream.stop(heard);
      else stream.socket.destroy();
      await gone;
      const statement = await relay.abort(query.attempt, 1);
      expect(statement?.responseHash, leave).to.equal(textResponseHash([{ text: "alpha " }]));
    }
  });

  it("cuts a stream whose model breaks off", async () => {
    upstream.play((_, response) => {
      writeFrames(response, [chunkOf({ content: "Hel" })]);
      setImmediate(() => response.destroy());
    });
    const heard = await stream.untilEnd(ask());
    expect(heard.end).to.equal("cut");
    expect(heard.text).to.contain("Hel").and.not.contain("aimo.usage");
  });

  it("refuses what it refuses over HTTP, and goes on", async () => {
    words("fine");
    const refused = async (path: string, changes = {}) => {
      const { head, text } = await stream.untilEnd(stream.ask(path, chatBody({ stream: true }), changes));
      return [head?.status, JSON.parse(text).error.code];
    };
    const path = chatPath(attemptOn());
    expect(await refused(path, { mac: `0x${"00".repeat(32)}` })).to.deep.equal([
      401,
      "authentication_failed",
    ]);
    const { seq } = await stream.untilEnd(ask());
    expect(await refused(path, { seq })).to.deep.equal([401, "authentication_failed"]);
    expect(await refused("/aimo/v1/infer/dance")).to.deep.equal([404, "not_found"]);
    expect(await refused("/aimo/v1/infer/chat?attempt=1")).to.deep.equal([400, "invalid_request"]);
    expect((await refused(chatPath(attemptOn("nobody/none"))))[0]).to.equal(404);
    expect((await stream.untilEnd(ask())).text).to.contain("fine");
  });

  it("says when to come again while all slots are busy", async () => {
    upstream.play((_, response) => writeFrames(response, [chunkOf({ content: "one" })]));
    const busy = Array.from({ length: 8 }, () => ask());
    await eventually("eight streams", () => busy.every(({ bytes }) => bytes > 0));
    const { head } = await stream.untilEnd(ask());
    expect(head).to.include({ status: 429, retryAfter: "1" });
  });

  for (const [name, junk] of [
    ["a stream begun twice", () => [1, 2].forEach(() => ask({ stream: 900 }))],
    ["credit above the window", () => stream.grant(ask(), STREAM_WINDOW + 1)],
    ["a frame of the provider's own", () => stream.writer.begin(FRAME.head, 1, 0)],
    ["a request cut short", () => stream.writer.frame(FRAME.request, 1, Buffer.alloc(20))],
    ["a frame that is too long", () => stream.writer.frame(FRAME.request, 1, Buffer.alloc(1 << 20))],
    ["plain text", () => stream.socket.write("GET / HTTP/1.1\r\n\r\n")],
  ] as const)
    it(`ends the connection at ${name}, stops its models, and serves on`, async () => {
      upstream.play((_, response) => writeFrames(response, [chunkOf({ content: "one" })]));
      const open = ask();
      await eventually("a frame", () => open.bytes > 0);
      const gone = once(upstream.events, "gone");
      junk();
      await Promise.all([stream.closed, gone]);
      stream = await openStream(relay);
      words("fine");
      expect((await stream.untilEnd(ask())).text).to.contain("fine");
    });

  it("ends the connection at too many streams", async () => {
    upstream.play(() => {});
    const wide = await startWorld({
      ...{ upstream: upstream.url, maxConcurrency: 2 * MAX_STREAMS, creditLimit: 10n ** 18n },
    });
    const client = await wide.connect();
    const raw = await openStream(client);
    const one = () => raw.ask(chatPath(attemptOn()), chatBody({ stream: true }));
    for (let i = 1; i < MAX_STREAMS; i++) one();
    const gone = once(upstream.events, "gone");
    expect((await raw.untilEnd(raw.ask("/aimo/v1/infer/dance", ""))).head?.status).to.equal(404);
    one();
    one();
    await Promise.all([raw.closed, gone]);
    await wide.provider.close(0);
  }).timeout(20_000);

  it("upgrades nobody but a session, once for each sequence number", async () => {
    const path = `${SESSION_PATH}/${relay.sessionId}/stream`;
    expect(await upgrade(relay, { path: "/" })).to.equal(404);
    expect(await upgrade(relay, { path: path.replace(/[0-9a-f-]{36}/, crypto.randomUUID()) })).to.equal(401);
    expect(await upgrade(relay, { protocol: "h2c" })).to.equal(400);
    expect(await upgrade(relay, { seq: 1n })).to.equal(401);
  });

  it("keeps a few connections for a session: the oldest goes", async () => {
    const later = [];
    for (let i = 0; i < 4; i++) later.push(await openStream(relay));
    await stream.closed;
    for (const one of later) one.socket.destroy();
  });

  it("ends the connections of a relay that lost its bond", async () => {
    world.relays.clear();
    await world.provider.sessions.recheck();
    await stream.closed;
  });

  it("lets answers leave when it stops, and closes", async () => {
    upstream.play((_, response) => {
      writeFrames(response, [chunkOf({ content: "last " })]);
      upstream.events.once("finish", () => {
        writeFrames(response, [chunkOf({ content: "words" }), chunkOf({}, { finish: "stop" })]);
        writeFrames(response, [usageChunk(USAGE), "[DONE]"]);
        response.end();
      });
    });
    const heard = ask();
    await eventually("a frame", () => heard.bytes > 0);
    const closing = world.provider.close(5_000);
    const { head } = await stream.untilEnd(ask());
    expect(head?.status).to.equal(503);
    upstream.events.emit("finish");
    await Promise.all([stream.closed, closing]);
    expect(heard).to.include({ end: "end" });
    expect(heard.text).to.contain("words");
  });
});
