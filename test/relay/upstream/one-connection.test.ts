import { randomBytes } from "node:crypto";
import { once } from "node:events";
import type { ServerResponse } from "node:http";
import { silentLog } from "@aimo/node/log";
import { MAX_STREAM_BODY } from "@aimo/node/stream-frames";
import { toHex } from "@aimo/protocol/bytes";
import type { AimoError } from "@aimo/protocol/errors";
import { textResponseHash } from "@aimo/protocol/receipts";
import type { UsageStatement } from "@aimo/protocol/session";
import { expect } from "chai";
import type { Offer } from "../../../relay/src/core/types.ts";
import type { UpstreamCall, UpstreamHandler } from "../../../relay/src/flow/ports.ts";
import { Providers } from "../../../relay/src/upstream/providers.ts";
import {
  chunkOf,
  type FaultUpstream,
  startFaultUpstream,
  usageChunk,
  writeFrames,
} from "../../provider/support/fault-upstream.ts";
import {
  chatBody,
  DEPLOYMENT,
  PROVIDER_ID,
  RELAY_ID,
  signVoucher,
  startWorld,
  type World,
} from "../../provider/support/provider.ts";
import { until } from "../support/test-relay.ts";
import { startWire, type Wire } from "../support/wire.ts";

/** A call, and what came of it. */
class Call implements UpstreamHandler {
  readonly call: UpstreamCall;
  status = 0;
  bytes = 0;
  text = "";
  usage: UsageStatement | undefined;
  ended = false;
  error: AimoError | undefined;
  /** Pauses at each frame. */
  isSlow = false;

  constructor(providers: Providers, offer: Offer, body: string) {
    this.call = providers.call(
      {
        ...{ offer, route: "chat", attempt: toHex(randomBytes(16)), requestHash: toHex(randomBytes(32)) },
        ...{ body: Buffer.from(body), stream: body.includes('"stream"'), id: "gen-1", maxTokens: undefined },
      },
      this,
    );
  }

  get over(): boolean {
    return this.ended || this.error !== undefined;
  }
  onHead(status: number): void {
    this.status = status;
  }
  onBytes(chunk: Uint8Array): void {
    this.bytes += chunk.length;
    if (this.bytes < 10_000) this.text += Buffer.from(chunk).toString();
    if (this.isSlow) this.call.pause();
  }
  onUsage(statement: UsageStatement): void {
    this.usage = statement;
  }
  onEnd(): void {
    this.ended = true;
  }
  onError(error: AimoError): void {
    this.error = error;
  }
}

describe("a session's one connection, between a relay and a real provider", function () {
  this.timeout(20_000);
  let upstream: FaultUpstream;
  let world: World;
  let wire: Wire;
  let providers: Providers;

  const providersOf = (limits = {}) =>
    new Providers({
      identity: { chainId: DEPLOYMENT.chainId, relayId: RELAY_ID, privateKey: world.relayKey.privateKey },
      limits: { connections: 64, connectMs: 1_000, firstByteMs: 20_000, idleMs: 20_000, ...limits },
      billing: {
        onGroup: async (_group, _signature, receipts) =>
          signVoucher(
            world.relayKey,
            receipts.reduce((sum, { cost }) => sum + cost, 0n),
          ),
        onVoucher: async (voucher) => voucher,
      },
      now: Date.now,
      log: silentLog(),
    });
  const ask = (body = chatBody({ stream: true })) => {
    const offer = {
      ...{ providerId: PROVIDER_ID, signer: world.key.address, endpoint: wire.url },
      ...{ model: { modelId: 11 }, price: { version: 1 } },
    } as unknown as Offer;
    return new Call(providers, offer, body);
  };
  const count = (start: string) => wire.asked.filter((line) => line.startsWith(start)).length;
  const posts = () => count("POST /aimo/v1/infer");
  const channels = () => wire.asked.filter((line) => line.includes("/stream ")).length;

  const finish = (response: ServerResponse) => {
    const usage = usageChunk({ prompt_tokens: 5, completion_tokens: 3 });
    writeFrames(response, [chunkOf({}, { finish: "stop" }), usage, "[DONE]"]);
    response.end();
  };
  const say = (response: ServerResponse, ...words: string[]) =>
    writeFrames(
      response,
      words.map((content) => chunkOf({ content })),
    );
  const answers = () =>
    upstream.play((_, response) => {
      say(response, "fine");
      finish(response);
    });

  beforeEach(async () => {
    upstream = await startFaultUpstream();
    world = await startWorld({ upstream: upstream.url });
    wire = await startWire(world.provider.url);
    providers = providersOf();
    answers();
  });
  afterEach(async () => {
    await providers.close();
    await wire.close();
    await world.provider.close(0);
    await upstream.close();
  });

  it("carries every request, and what the provider states for it", async () => {
    const all = Array.from({ length: 8 }, () => ask());
    await until(() => all.every(({ over }) => over));
    for (const { text, usage } of all) {
      expect(text).to.contain("fine");
      expect(usage?.responseHash).to.equal(textResponseHash([{ text: "fine" }]));
    }
    expect([posts(), channels()]).to.deep.equal([0, 1]);
  });

  it("is spared a large body, which goes over HTTP", async () => {
    const small = ask();
    await until(() => small.over);
    const large = ask(chatBody({ padding: "x".repeat(MAX_STREAM_BODY) }));
    await until(() => large.over);
    expect(large.status, "above what this provider takes").to.equal(413);
    expect(posts()).to.equal(1);
  });

  it("is opened again when it is cut: its calls fail, those after them go over HTTP until then", async () => {
    upstream.play((_, response) => say(response, "Hel"));
    const cut = ask();
    await until(() => cut.text.includes("Hel"));
    answers();
    wire.cutStreams();
    await until(() => cut.error !== undefined);
    expect(cut.error?.code).to.equal("provider_unavailable");
    const between = ask();
    await until(() => between.over);
    expect(between.text).to.contain("fine");
    expect(posts()).to.equal(1);
    await until(() => channels() === 2);
    let last = ask();
    for (let before = -1; before !== posts(); ) {
      before = posts();
      last = ask();
      await until(() => last.over);
    }
    expect(last.text).to.contain("fine");
    expect(count("POST /aimo/v1/session "), "the session stayed").to.equal(1);
  });

  it("fails what runs when the provider is started anew, and serves on in a new session", async () => {
    upstream.play((_, response) => say(response, "Hel"));
    const running = ask();
    await until(() => running.text.includes("Hel"));
    await world.provider.close(0);
    await until(() => running.over);
    expect(running.error?.code).to.equal("provider_unavailable");
    answers();
    const { key, relayKey } = world;
    world = await startWorld({ upstream: upstream.url, key, relayKey });
    wire.lead(world.provider.url);
    let next = ask();
    await until(() => {
      // Until the session is back, calls fail at once and would go to other providers.
      if (next.error) next = ask();
      return next.ended;
    });
    expect(next.text).to.contain("fine");
    expect(channels()).to.equal(2);
  });

  it("bills the frames that were delivered when a call is broken off, and stops the model", async () => {
    upstream.play((_, response) => say(response, "alpha ", "beta ", "gamma "));
    const call = ask();
    await until(() => call.text.includes("gamma"));
    const gone = once(upstream.events, "gone");
    call.call.abort(2);
    await gone;
    await until(() => call.ended);
    expect(call.usage?.responseHash).to.equal(textResponseHash([{ text: "alpha beta " }]));
  });

  it("lets a slow reader hold up nobody but its own model", async () => {
    const padding = "p".repeat(64 * 1024);
    const frames = 200;
    let held = false;
    upstream.play((_, response) => {
      const pour = async () => {
        response.writeHead(200, { "content-type": "text/event-stream" });
        for (let i = 0; i < frames; i++) {
          held = !response.write(`data: ${chunkOf({ content: "a", padding })}\n\n`);
          if (held) await once(response, "drain");
        }
        finish(response);
      };
      void pour();
    });
    const slow = ask();
    slow.isSlow = true;
    await until(() => slow.bytes > 0 && held);
    answers();
    for (let i = 0; i < 20; i++) {
      const fast = ask();
      await until(() => fast.over);
      expect(fast.text).to.contain("fine");
    }
    expect(slow.bytes, "no more than what came with the first").to.be.lessThan(64 * padding.length);
    expect(slow.over).to.equal(false);
    slow.isSlow = false;
    slow.call.resume();
    await until(() => slow.over);
    expect(slow.usage?.units[2]).to.equal(3);
    expect(slow.bytes).to.be.greaterThan(frames * padding.length);
    expect(posts()).to.equal(0);
  });

  it("gives a model up that says nothing", async () => {
    await providers.close();
    providers = providersOf({ firstByteMs: 60 });
    const first = ask();
    await until(() => first.over);
    upstream.play(() => {});
    const gone = once(upstream.events, "gone");
    const mute = ask();
    await until(() => mute.over);
    expect(mute.error?.code).to.equal("timeout");
    await gone;
    expect(posts()).to.equal(0);
  });
});
