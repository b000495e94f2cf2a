import { expect } from "chai";
import type { Offer } from "../../../relay/src/core/types.ts";
import type { Ask } from "../support/stand-in-provider.ts";
import { providerOf, startTestRelay, type TestRelay, until } from "../support/test-relay.ts";

const SPEECH = { model: "stand-in", input: "Hello there", voice: "alloy" };

/** Providers that break off, lie, or answer with what is no audio. */
describe("speech from a faulty provider", () => {
  let relay: TestRelay;
  beforeEach(async () => {
    relay = await startTestRelay({ providers: 2, limits: { keepAliveMs: 1 } });
    relay.offers = [0, 1].map((index): Offer => {
      const offer = providerOf(relay, index).offer();
      const price = {
        version: 1,
        prices: [1_000_000n, 0n, 0n],
        kinds: ["character", "none", "none"],
      } as const;
      return { ...offer, model: { ...offer.model, route: "speech" }, price };
    });
  });
  afterEach(() => relay.close());

  const begin = ({ response }: Ask, bytes: number) => {
    response.writeHead(200, { "content-type": "audio/mpeg" });
    response.write(Buffer.alloc(bytes, 7));
  };
  const speak = () => relay.post("/v1/audio/speech", SPEECH);

  it("lets a client see that a stream broke off, and bills nothing", async () => {
    providerOf(relay).onAsk = (ask) => {
      begin(ask, 40_000);
      setTimeout(() => ask.response.destroy(), 20);
    };
    const response = await speak();
    expect(response.headers.get("content-type")).to.equal("audio/mpeg");
    const error = await response.arrayBuffer().then(
      () => undefined,
      (caught: unknown) => caught,
    );
    expect(error).to.be.instanceOf(TypeError);
    expect(relay.ledger.commits.map(({ outcome }) => outcome.kind)).to.deep.equal(["free"]);
    expect(relay.ledger.holds.size).to.equal(0);
  });

  it("takes an end without a statement for no end", async () => {
    providerOf(relay).onAsk = (ask) => {
      begin(ask, 40_000);
      ask.response.end();
    };
    const response = await speak();
    expect(
      await response.arrayBuffer().then(
        () => "whole",
        () => "cut",
      ),
    ).to.equal("cut");
    expect(relay.ledger.commits[0]?.outcome.kind).to.equal("free");
  });

  it("puts nothing into the audio while it is silent", async () => {
    const { promise: silence, resolve: speakOn } = Promise.withResolvers<void>();
    providerOf(relay).onAsk = async (ask) => {
      begin(ask, 10);
      await silence;
      ask.response.write(Buffer.alloc(10, 7));
      setTimeout(() => ask.response.destroy(), 20);
    };
    const response = await speak();
    // Longer than the relay waits before it looks for silent streams.
    setTimeout(speakOn, 700);
    const reader = response.body?.getReader();
    const bytes: number[] = [];
    for (;;) {
      const read = await reader?.read().catch(() => undefined);
      if (!read || read.done) break;
      bytes.push(...read.value);
    }
    expect(bytes).to.deep.equal(Array(20).fill(7));
  });

  it("goes to the next provider for one that answers with no audio", async () => {
    providerOf(relay, 0).onAsk = ({ response }) =>
      void response.writeHead(200, { "content-type": "application/json" }).end("{}");
    providerOf(relay, 1).onAsk = (ask) => {
      begin(ask, 10);
      setTimeout(() => ask.response.destroy(), 20);
    };
    const response = await speak();
    expect(response.headers.get("content-type")).to.equal("audio/mpeg");
    await response.arrayBuffer().catch(() => {});
    await until(() => relay.ledger.commits.length === 1);
    const [commit] = relay.ledger.commits;
    expect(commit?.outcome.attempts.map(({ providerId, status }) => [providerId, status])).to.deep.equal([
      [1, "failed"],
      [2, "failed"],
    ]);
  });
});
