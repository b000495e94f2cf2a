import { once } from "node:events";
import type { ServerResponse } from "node:http";
import { expect } from "chai";
import { eventually } from "../node/support/eventually.ts";
import { chunkOf, startFaultUpstream, usageChunk, writeFrames } from "./support/fault-upstream.ts";
import { attemptOn, chatBody, chatPath, startWorld } from "./support/provider.ts";
import { textOf } from "./support/relay-client.ts";

const FRAMES = 600;
const PADDING = "x".repeat(64 * 1024);
/** Looks in a row that find the upstream blocked, before it counts as held back. */
const STILL = 5;

describe("provider back-pressure", function () {
  this.timeout(20_000);

  it("holds the upstream back while the relay does not read, and loses no frame", async () => {
    const upstream = await startFaultUpstream();
    const world = await startWorld({ upstream: upstream.url });
    let written = 0;
    let blocked = false;
    const pour = async (response: ServerResponse) => {
      response.writeHead(200, { "content-type": "text/event-stream" });
      for (; written < FRAMES; written++) {
        const frame = chunkOf({ content: "a", padding: PADDING });
        blocked = !response.write(`data: ${frame}\n\n`);
        if (blocked) await once(response, "drain");
      }
      blocked = false;
      writeFrames(response, [chunkOf({}, { finish: "stop" })]);
      writeFrames(response, [usageChunk({ prompt_tokens: 5, completion_tokens: FRAMES }), "[DONE]"]);
      response.end();
    };
    upstream.play((_, response) => void pour(response));
    const relay = await world.connect();
    const { response } = await relay.open(chatPath(attemptOn()), chatBody({ stream: true }));
    let [last, still] = [-1, 0];
    const held = await eventually("the upstream being held back", () => {
      still = blocked && written === last ? still + 1 : 0;
      last = written;
      return still >= STILL && written;
    });
    expect(held).to.be.lessThan(FRAMES);
    const text = await textOf(response);
    expect(text.match(/"padding":"x/g)).to.have.length(FRAMES);
    expect(text.endsWith("data: [DONE]\n\n")).to.equal(true);
    await world.provider.close(0);
    await upstream.close();
  });
});
