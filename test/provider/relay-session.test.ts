import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { silentLog } from "@aimo/node/log";
import { toHex } from "@aimo/protocol/bytes";
import type { UsageStatement } from "@aimo/protocol/session";
import type { UpstreamCall, UpstreamRequest } from "@aimo/relay/flow/ports";
import { Providers } from "@aimo/relay/upstream/providers";
import { expect } from "chai";
import { eventually } from "../node/support/eventually.ts";
import {
  chunkOf,
  type FaultUpstream,
  startFaultUpstream,
  usageChunk,
  writeFrames,
} from "./support/fault-upstream.ts";
import {
  chatBody,
  DEPLOYMENT,
  MODELS,
  PROVIDER_ID,
  RELAY_ID,
  signVoucher,
  startWorld,
  type World,
} from "./support/provider.ts";

/** The relay's own client against the provider's own server: what one says the other must understand. */
describe("provider with the relay's client", () => {
  let upstream: FaultUpstream;
  let world: World;
  let providers: Providers;
  let owed = 0n;

  before(async () => {
    upstream = await startFaultUpstream();
    world = await startWorld({ upstream: upstream.url });
    providers = new Providers({
      identity: { chainId: DEPLOYMENT.chainId, relayId: RELAY_ID, privateKey: world.relayKey.privateKey },
      limits: { connections: 8, connectMs: 2_000, firstByteMs: 5_000, idleMs: 5_000 },
      billing: {
        onGroup: async (_group, _signature, receipts) => {
          for (const { cost } of receipts) owed += cost;
          return signVoucher(world.relayKey, owed);
        },
        onVoucher: async (voucher) => voucher,
      },
      now: Date.now,
      log: silentLog(),
    });
  });
  after(async () => {
    await providers.close();
    await world.provider.close(0);
    await upstream.close();
  });

  type Outcome = {
    readonly frames: string[];
    readonly statement: UsageStatement | undefined;
    readonly error?: Error;
  };
  /** Calls as the relay's flow does; `onFrame` may abort. */
  const call = (stream: boolean, onFrame: (call: UpstreamCall, frames: number) => void = () => {}) =>
    new Promise<Outcome>((resolve) => {
      const [model] = MODELS;
      if (!model) throw new Error("No model.");
      const { modelId, slug, route, contextTokens, maxOutputTokens, description } = model;
      const request: UpstreamRequest = {
        offer: {
          providerId: PROVIDER_ID,
          signer: world.key.address,
          endpoint: world.provider.url,
          region: "test",
          model: {
            ...{ modelId, slug, route, contextTokens, maxOutputTokens, description },
            ...{ priceVersion: 1, freeSlots: 1, queued: 0, latencyMs: 0 },
          },
          price: { version: 1, prices: model.prices, kinds: ["token", "token", "token"] },
          expiresAt: Date.now() + 30_000,
        },
        route: "chat",
        attempt: toHex(randomBytes(16)),
        requestHash: toHex(randomBytes(32)),
        body: Buffer.from(chatBody({ stream })),
        stream,
        id: "gen-5",
        maxTokens: 16,
      };
      const frames: string[] = [];
      let statement: UsageStatement | undefined;
      const running: UpstreamCall = providers.call(request, {
        onHead: (status) => expect(status).to.equal(200),
        onBytes: (chunk) => {
          frames.push(Buffer.from(chunk).toString());
          onFrame(running, frames.length);
        },
        onUsage: (stated) => {
          statement = stated;
        },
        onEnd: () => resolve({ frames, statement }),
        onError: (error) => resolve({ frames, statement, error }),
      });
    });
  const acknowledged = () =>
    eventually("the acknowledgement", () => {
      const [totals] = world.provider.receipts.totals();
      return totals !== undefined && totals.signed === totals.acknowledged && totals;
    });

  it("serves JSON and streams, and has its groups acknowledged", async () => {
    const usage = { prompt_tokens: 9, completion_tokens: 1 };
    upstream.play((body, response) => {
      if (body["stream"]) {
        writeFrames(response, [chunkOf({ content: "one" }, { finish: "stop" }), usageChunk(usage), "[DONE]"]);
        response.end();
        return;
      }
      const answer = { choices: [{ index: 0, message: { content: "Hi" } }], usage };
      response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(answer));
    });
    const json = await call(false);
    expect(json.statement?.units).to.deep.equal([9, 0, 1]);
    const stream = await call(true);
    expect(stream.frames).to.have.length(1);
    expect(stream.statement?.units).to.deep.equal([9, 0, 1]);
    const { signed } = await eventually("both receipts", async () => {
      const totals = await acknowledged();
      return totals.receipts === 2 && totals;
    });
    expect(signed).to.equal(owed);
  });

  it("signs what the relay says it delivered when it aborts", async () => {
    upstream.play((_, response) =>
      writeFrames(
        response,
        ["a", "b", "c"].map((content) => chunkOf({ content })),
      ),
    );
    const gone = once(upstream.events, "gone");
    const { statement, error } = await call(true, (running, frames) => {
      if (frames === 2) running.abort(2);
    });
    await gone;
    expect(error).to.equal(undefined);
    expect(statement?.units[2]).to.be.within(1, 2);
    await eventually("its receipt", async () => (await acknowledged()).receipts === 3);
  });

  it("shows a stream that its upstream broke off as an error without usage", async () => {
    upstream.play((_, response) => {
      writeFrames(response, [chunkOf({ content: "half" })]);
      setImmediate(() => response.destroy());
    });
    const { statement, error } = await call(true);
    expect(statement).to.equal(undefined);
    expect(error).to.be.instanceOf(Error);
  });
});
