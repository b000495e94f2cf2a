import { encodeAnnouncement } from "@aimo/node/announcements";
import { silentLog } from "@aimo/node/log";
import { type P2p, startP2p } from "@aimo/node/p2p";
import { type Announcement, offersTopic } from "@aimo/protocol/announcement";
import { PROTOCOL_VERSION } from "@aimo/protocol/deployment";
import type { Price } from "@aimo/protocol/units";
import { expect } from "chai";
import type { Address, Hex } from "viem";
import { privateKeyToAccount } from "viem/accounts";
import type { ProviderRegistry } from "../../../relay/src/flow/ports.ts";
import { startGossip } from "../../../relay/src/gossip/listen.ts";
import { LiveOffers, originOf } from "../../../relay/src/gossip/offer-book.ts";

const ZERO: Address = "0x0000000000000000000000000000000000000000";
const DEPLOYMENT = {
  ...{
    chainId: 31_337,
    genesisHash: `0x${"00".repeat(32)}` as Hex,
    deployedAtBlock: 0,
    profile: "local" as const,
  },
  contracts: {
    clock: ZERO,
    token: ZERO,
    vault: ZERO,
    registry: ZERO,
    stakeManager: ZERO,
    settlement: ZERO,
    accessManager: ZERO,
    reserves: ZERO,
    fraudProofs: ZERO,
    depositRouter: ZERO,
    lens: ZERO,
  },
};
const PROVIDER_KEY: Hex = `0x${"77".repeat(32)}`;
const RELAY_KEY: Hex = `0x${"66".repeat(32)}`;
const signer = privateKeyToAccount(PROVIDER_KEY).address;
const PRICE: Price = { version: 1, prices: [1n, 1n, 2n], kinds: ["token", "token", "token"] };

function announce(change: Partial<Announcement> = {}): Announcement {
  const now = Date.now();
  return {
    ...{
      version: PROTOCOL_VERSION,
      chainId: 31_337,
      settlement: ZERO,
      providerId: 5,
      sequence: now,
      issuedAt: now,
    },
    ...{ expiresAt: now + 20_000, endpoint: "http://127.0.0.1:9001", region: "here" },
    models: [
      {
        ...{
          modelId: 1,
          slug: "demo",
          priceVersion: 1,
          route: "chat",
          contextTokens: 100,
          maxOutputTokens: 10,
        },
        ...{ freeSlots: 1, queued: 0, latencyMs: 0, description: "" },
      },
    ],
    ...change,
  };
}

describe("LiveOffers", () => {
  let now = 0;
  let known = true;
  const registry: ProviderRegistry = {
    refusal: () => undefined,
    priceOf: () => (known ? PRICE : undefined),
    isModel: (_id, slug) => slug === "demo",
  };
  const make = () => new LiveOffers({ registry, now: () => now, allowPlainHttp: false });
  beforeEach(() => {
    now = Date.now();
    known = true;
  });

  it("offers what was announced until it expires, and still knows the model then", () => {
    const book = make();
    book.accept({ announcement: announce(), signer });
    expect(book.live("demo")).to.have.length(1);
    expect(book.live("demo")[0]).to.include({
      providerId: 5,
      endpoint: "http://127.0.0.1:9001",
      price: PRICE,
    });
    now += 20_001;
    expect(book.live("demo")).to.deep.equal([]);
    expect(book.all()).to.deep.equal([]);
    expect([book.knows("demo"), book.knows("other")]).to.deep.equal([true, false]);
  });

  it("keeps the latest announcement of a provider only", () => {
    const book = make();
    book.accept({ announcement: announce(), signer });
    book.accept({ announcement: announce({ region: "there", sequence: now + 1 }), signer });
    expect(book.all().map(({ region }) => region)).to.deep.equal(["there"]);
    expect(book.lastSequence(5)).to.equal(now + 1);
  });

  it("offers nothing at a price that the registry does not confirm, and offers it once it does", () => {
    const book = make();
    known = false;
    book.accept({ announcement: announce(), signer });
    expect(book.live("demo")).to.deep.equal([]);
    known = true;
    now += 1_000;
    expect(book.live("demo")).to.have.length(1);
  });

  it("offers no model under a name that is another's", () => {
    const book = make();
    const [model] = announce().models;
    if (model) book.accept({ announcement: announce({ models: [{ ...model, slug: "gpt-9" }] }), signer });
    expect(book.all()).to.deep.equal([]);
  });

  it("calls no address without TLS but on this machine", () => {
    expect(originOf("http://127.0.0.1:9/", false)).to.equal("http://127.0.0.1:9");
    expect(originOf("http://[::1]:9", false)).to.equal("http://[::1]:9");
    expect(originOf("https://gpu.test/x", false)).to.equal("https://gpu.test");
    for (const bad of ["http://10.0.0.1:9", "ftp://127.0.0.1", "http://user:pass@127.0.0.1", "nonsense"])
      expect(originOf(bad, false), bad).to.equal(undefined);
    expect(originOf("http://10.0.0.1:9", true)).to.equal("http://10.0.0.1:9");
  });
});

describe("gossip", () => {
  it("looks again at a provider that the registry knew only a moment later", async () => {
    let looks = 0;
    const registry: ProviderRegistry = {
      refusal: () => (looks++ === 0 ? "not known yet" : undefined),
      priceOf: () => PRICE,
      isModel: () => true,
    };
    const heard = Promise.withResolvers<number>();
    const book = new LiveOffers({ registry, now: Date.now, allowPlainHttp: false, onChange: heard.resolve });
    const log = silentLog();
    const relay = await startGossip({
      ...{ privateKey: RELAY_KEY, listen: ["/ip4/127.0.0.1/tcp/0"], bootstrap: [], deployment: DEPLOYMENT },
      ...{ registry, offers: book, now: Date.now, log },
    });
    const provider = await startP2p({
      ...{ privateKey: PROVIDER_KEY, listen: [], bootstrap: relay.addresses(), log },
      ...{ topic: offersTopic(DEPLOYMENT), judge: () => ({ ignore: "" }), onAccepted: () => {} },
    });
    await provider.publish(encodeAnnouncement(announce(), PROVIDER_KEY));
    expect(await heard.promise).to.equal(5);
    expect(looks).to.equal(2);
    await provider.close();
    await relay.close();
  }).timeout(15_000);

  it("hears a provider over libp2p, and passes over one that the chain does not know", async () => {
    const registry: ProviderRegistry = {
      refusal: (id, address) => (id === 5 && address === signer ? undefined : "not registered"),
      priceOf: () => PRICE,
      isModel: () => true,
    };
    const heard = Promise.withResolvers<number>();
    const book = new LiveOffers({ registry, now: Date.now, allowPlainHttp: false, onChange: heard.resolve });
    const log = silentLog();
    const relay = await startGossip({
      ...{ privateKey: RELAY_KEY, listen: ["/ip4/127.0.0.1/tcp/0"], bootstrap: [], deployment: DEPLOYMENT },
      ...{ registry, offers: book, now: Date.now, log },
    });
    let provider: P2p | undefined;
    try {
      provider = await startP2p({
        ...{ privateKey: PROVIDER_KEY, listen: [], bootstrap: relay.addresses(), log },
        ...{ topic: offersTopic(DEPLOYMENT), judge: () => ({ ignore: "" }), onAccepted: () => {} },
      });
      await provider.publish(encodeAnnouncement(announce({ providerId: 6 }), PROVIDER_KEY));
      await provider.publish(encodeAnnouncement(announce(), PROVIDER_KEY));
      expect(await heard.promise).to.equal(5);
      expect(book.all().map(({ providerId }) => providerId)).to.deep.equal([5]);
    } finally {
      await provider?.close();
      await relay.close();
    }
  }).timeout(15_000);
});
