import { encodeAnnouncement } from "@aimo/node/announcements";
import { isSignedBy } from "@aimo/node/fast-crypto";
import { generateKey } from "@aimo/node/keys";
import { silentLog } from "@aimo/node/log";
import { type P2p, startP2p } from "@aimo/node/p2p";
import { offersTopic } from "@aimo/protocol/announcement";
import { PROTOCOL_VERSION } from "@aimo/protocol/deployment";
import { groupDigest } from "@aimo/protocol/groups";
import { domainSeparator } from "@aimo/protocol/typed-data";
import { kindsOf } from "@aimo/provider/core/prices";
import { type DemoServer, startDemoServer } from "@aimo/provider/demo/server";
import { expect } from "chai";
import OpenAI from "openai";
import { type Assembled, assemble } from "../../../relay/src/assemble.ts";
import { makeConfig } from "../../../relay/src/config.ts";
import type { ProviderCredit } from "../../../relay/src/flow/credit.ts";
import type { Billing, Idempotency } from "../../../relay/src/flow/ports.ts";
import { KeyStore } from "../../../relay/src/store/keys.ts";
import {
  DEPLOYMENT,
  MODELS,
  openMemory,
  PROVIDER_ID,
  RELAY_ID,
  signVoucher,
  startWorld,
  type World,
} from "../../provider/support/provider.ts";
import { PlainLedger } from "../support/plain-ledger.ts";
import { type Json, USD, until } from "../support/test-relay.ts";

const { chainId, contracts } = DEPLOYMENT;
const SEPARATOR = domainSeparator({ chainId, verifyingContract: contracts.settlement });
const DEMO_NAMES = ["demo-text", "demo-embed", "demo-image"];
const models = MODELS.map((model, index) => ({ ...model, upstreamModel: DEMO_NAMES[index] ?? "" }));

/** A relay and a provider, whole but for the chain: libp2p, sessions, demo models, and the official client in front. */
describe("a relay with a real provider", () => {
  const relayKey = generateKey();
  const ledger = new PlainLedger();
  const signed: { count: number; genuine: boolean }[] = [];
  let owed = 0n;
  let demo: DemoServer;
  let world: World;
  let relay: Assembled;
  let gossip: P2p;
  let client: OpenAI;

  const billing: Billing = {
    onGroup: async (group, signature, receipts, { signer }) => {
      const genuine = isSignedBy(signer, groupDigest(SEPARATOR, group), signature);
      signed.push({ count: receipts.length, genuine });
      owed += receipts.reduce((sum, { cost }) => sum + cost, 0n);
      return signVoucher(relayKey, owed);
    },
    onVoucher: async (voucher) => voucher,
  };
  const idempotency: Idempotency = { claim: async () => "new", settle: () => {} };

  before(async () => {
    demo = await startDemoServer();
    world = await startWorld({ upstream: demo.url, relayKey, models });
    ledger.open(1, 5n * USD);
    const db = await openMemory();
    const config = makeConfig({
      ...{ keyFile: "-", rpcUrl: "-", deploymentFile: "-", dataFolder: "memory" },
      ...{ http: { port: 0 }, groupWaitMs: 0 },
    });
    const keys = await KeyStore.open(db, Date.now);
    const settings = {
      name: "",
      limit: undefined,
      limitReset: undefined,
      expiresAt: undefined,
      models: undefined,
    };
    const { key } = await keys.create(
      { userId: 1, owner: relayKey.address },
      { ...settings, disabled: false },
    );
    relay = await assemble(config, {
      ...{
        relayId: RELAY_ID,
        privateKey: relayKey.privateKey,
        deployment: DEPLOYMENT,
        db,
        ledger,
        billing,
        idempotency,
      },
      settling: {
        settleNow: async () => {},
        unsettled: () => ({ amount: 0n, receipts: 0, oldestMs: undefined }),
        close: async () => {},
      },
      bills: {
        list: async () => ({ data: [], has_more: false }),
        settlement: async () => undefined,
        proof: async () => undefined,
      },
      vouchers: { admit: () => {} },
      accounts: {
        userIdOf: async () => 1,
        creditsOf: async () => 0n,
        refreshChannel: async () => undefined,
        openChannel: async () => "0x",
      },
      registry: {
        refusal: (id, signer) =>
          id === PROVIDER_ID && signer === world.key.address ? undefined : "not registered",
        priceOf: (_provider, modelId, version) => {
          const model = models.find((one) => one.modelId === modelId);
          return model && { version, prices: model.prices, kinds: kindsOf(model.route) };
        },
        isModel: (modelId, slug) => models.some((model) => model.modelId === modelId && model.slug === slug),
      },
      covers: { watch: () => {}, coverOf: () => undefined, readPaid: async () => 0n },
      credit: { covers: () => true, begin: () => () => {} } as unknown as ProviderCredit,
      pausedUntil: () => undefined,
      feeBps: () => 500,
      identity: () => ({}) as never,
      protocolNow: () => Math.floor(Date.now() / 1000),
      log: silentLog(),
    });
    gossip = await startP2p({
      ...{ privateKey: world.key.privateKey, listen: [], bootstrap: relay.p2pAddresses, log: silentLog() },
      ...{ topic: offersTopic(DEPLOYMENT), judge: () => ({ ignore: "" }), onAccepted: () => {} },
    });
    await gossip.publish(announcement());
    client = new OpenAI({ baseURL: `${relay.url}/v1`, apiKey: key, maxRetries: 0 });
    for await (const model of client.models.list()) expect(model.object).to.equal("model");
  });
  after(async () => {
    await gossip?.close();
    await relay?.close();
    await world?.provider.close(0);
    await demo?.close();
  });

  function announcement(): Uint8Array {
    const now = Date.now();
    const offered = models.map(({ modelId, slug, route, contextTokens, maxOutputTokens, description }) => ({
      ...{ modelId, slug, route, contextTokens, maxOutputTokens, description },
      ...{ priceVersion: 1, freeSlots: 8, queued: 0, latencyMs: 0 },
    }));
    const about = {
      version: PROTOCOL_VERSION,
      chainId,
      settlement: contracts.settlement,
      providerId: PROVIDER_ID,
      region: "here",
    };
    const times = { sequence: now, issuedAt: now, expiresAt: now + 30_000 };
    return encodeAnnouncement(
      { ...about, ...times, endpoint: world.provider.url, models: offered },
      world.key.privateKey,
    );
  }

  const lastOutcome = () => ledger.commits.at(-1)?.outcome;
  const messages = [{ role: "user" as const, content: "Tell me of the sea." }];

  it("chats", async () => {
    const reply: Json = await client.chat.completions.create({
      model: "acme/text",
      messages,
      max_tokens: 20,
    });
    expect(reply.choices[0].message.content).to.be.a("string").that.is.not.empty;
    expect(reply.usage.completion_tokens).to.be.within(1, 20);
    expect(lastOutcome()).to.include({ kind: "usage" });
    expect(reply.aimo.attempts).to.have.length(1);
  });

  it("streams, and the relay's count bears the provider's statement out", async () => {
    const options = {
      model: "acme/text",
      messages,
      stream: true,
      stream_options: { include_usage: true },
    } as const;
    const stream = await client.chat.completions.create({ ...options, max_tokens: 30 });
    let text = "";
    let last: Json;
    for await (const chunk of stream) {
      text += chunk.choices[0]?.delta.content ?? "";
      last = chunk;
    }
    expect(text).to.not.equal("");
    expect(last.usage.completion_tokens).to.be.within(1, 30);
    expect(last.aimo.receipt_hash).to.match(/^0x/);
    expect(lastOutcome()).to.include({ kind: "usage", cancelled: false });
  });

  it("bills a stream that the client leaves for what it got", async () => {
    const stream = await client.chat.completions.create({ model: "acme/text", messages, stream: true });
    const before = ledger.commits.length;
    let seen = 0;
    for await (const _chunk of stream) if (++seen === 3) break;
    await until(() => ledger.commits.length > before);
    const outcome = lastOutcome();
    // The demo model may have finished by then; in both cases the statement is for what the relay handed on.
    expect(outcome?.kind).to.equal("usage");
  });

  it("embeds, as numbers and as the client's default base64", async () => {
    for (const encoding_format of ["float", undefined] as const) {
      const format = encoding_format ? { encoding_format } : {};
      const reply = await client.embeddings.create({
        model: "acme/embed",
        input: ["sea", "ocean"],
        ...format,
      });
      expect(reply.data).to.have.length(2);
      expect(reply.data[0]?.embedding[0]).to.be.a("number");
      expect(lastOutcome()).to.include({ kind: "usage" });
    }
  });

  it("draws", async () => {
    const reply = await client.images.generate({
      model: "acme/image",
      prompt: "a red boat",
      response_format: "b64_json",
    });
    expect(reply.data?.[0]?.b64_json).to.be.a("string");
    const outcome = lastOutcome();
    expect(outcome?.kind === "usage" && outcome.statement.units).to.deep.equal([0, 0, 1]);
  });

  it("gets the receipts of all of it in signed groups", async () => {
    const billed = ledger.commits.filter(({ outcome }) => outcome.kind === "usage").length;
    await until(() => signed.reduce((sum, { count }) => sum + count, 0) >= billed);
    expect(signed.every(({ genuine }) => genuine)).to.equal(true);
  });

  it("raises the official client's own errors", async () => {
    const error = await client.chat.completions
      .create({ model: "nobody/none", messages })
      .catch((caught: unknown) => caught);
    expect(error).to.be.instanceOf(OpenAI.NotFoundError);
    expect(error).to.include({ code: "model_not_found" });
  });
});
