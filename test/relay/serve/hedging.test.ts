import { expect } from "chai";
import type { Ask } from "../support/stand-in-provider.ts";
import {
  CHAT,
  eventsOf,
  type Json,
  jsonOf,
  openRaw,
  providerOf,
  startTestRelay,
  type TestRelay,
  until,
} from "../support/test-relay.ts";

const STREAM = { ...CHAT, stream: true };
/** The share that may be hedged is of the requests of ten seconds: as if so many had come. */
const ENOUGH_FOR_ONE = 20;

describe("hedging", () => {
  let relay: TestRelay;
  afterEach(() => relay.close());

  /** A relay whose first provider is silent; gives what it was asked. */
  async function start(requestsBefore = ENOUGH_FOR_ONE): Promise<{ readonly silent: Promise<Ask> }> {
    relay = await startTestRelay({ providers: 2, limits: { hedgeAfterMs: 5 } });
    for (let i = 0; i < requestsBefore; i++) relay.routing.hedges.onRequest(Date.now());
    const { promise, resolve } = Promise.withResolvers<Ask>();
    providerOf(relay, 0).onAsk = resolve;
    return { silent: promise };
  }
  const statusesOf = (aimo: Json) =>
    aimo.attempts.map(({ provider, status, error }: Json) => [provider, error ?? status]);
  const framesAborted = (index: number) => providerOf(relay, index).aborts.map(({ frames }) => frames);
  const inFlight = () => relay.offers.map((offer) => relay.routing.find(offer)?.inFlight ?? 0);

  it("asks a second provider when a stream does not begin, and bills it alone", async () => {
    await start();
    providerOf(relay, 1).onAsk = (ask) => {
      ask.say("Here.");
      ask.finish();
    };
    const response = await relay.post("/v1/chat/completions", STREAM);
    const { aimo } = eventsOf(await response.text()).at(-2);
    expect(statusesOf(aimo)).to.deep.equal([
      [1, "cancelled"],
      [2, "ok"],
    ]);
    expect(aimo.provider.id).to.equal(2);
    await until(() => framesAborted(0).length === 1);
    expect(framesAborted(0)).to.deep.equal([0]);
    expect(relay.ledger.commits).to.have.length(1);
    expect(relay.ledger.commits[0]?.outcome).to.include({ kind: "usage", providerId: 2 });
    expect(relay.ledger.holds.size).to.equal(0);
    expect(inFlight()).to.deep.equal([0, 0]);
  });

  it("keeps the first when it begins before the second, and stops that one", async () => {
    const { silent } = await start();
    const rival = Promise.withResolvers<Ask>();
    providerOf(relay, 1).onAsk = rival.resolve;
    const response = relay.post("/v1/chat/completions", STREAM);
    const [first] = await Promise.all([silent, rival.promise]);
    first.say("Sorry, ");
    await until(() => framesAborted(1).length === 1);
    first.say("I was asleep.");
    first.finish();
    const text = await (await response).text();
    expect(text).to.include("asleep");
    const { aimo } = eventsOf(text).at(-2);
    expect(statusesOf(aimo)).to.deep.equal([
      [2, "cancelled"],
      [1, "ok"],
    ]);
    expect([framesAborted(0), framesAborted(1)]).to.deep.equal([[], [0]]);
    expect(relay.ledger.commits[0]?.outcome).to.include({ kind: "usage", providerId: 1 });
    expect(inFlight()).to.deep.equal([0, 0]);
  });

  it("takes the whole answer that comes first where nothing is streamed", async () => {
    await start();
    const body = await jsonOf(await relay.post("/v1/chat/completions", CHAT));
    expect(body.choices[0].message.content).to.equal("Hello there.");
    expect(statusesOf(body.aimo)).to.deep.equal([
      [1, "cancelled"],
      [2, "ok"],
    ]);
    await until(() => framesAborted(0).length === 1);
  });

  it("goes on with the other when one of both fails", async () => {
    const { silent } = await start();
    const rival = Promise.withResolvers<Ask>();
    providerOf(relay, 1).onAsk = rival.resolve;
    const response = relay.post("/v1/chat/completions", CHAT);
    const [first, second] = await Promise.all([silent, rival.promise]);
    second.response.writeHead(500).end("{}");
    await until(() => inFlight()[1] === 0);
    first.reply("Mine.");
    const { aimo } = await jsonOf(await response);
    expect(statusesOf(aimo)).to.deep.equal([
      [2, "provider_unavailable"],
      [1, "ok"],
    ]);
  });

  it("stops both when the client leaves, and charges nothing", async () => {
    const { silent } = await start();
    const rival = Promise.withResolvers<Ask>();
    providerOf(relay, 1).onAsk = rival.resolve;
    const socket = openRaw(relay, STREAM);
    await Promise.all([silent, rival.promise]);
    socket.destroy();
    await until(() => framesAborted(0).length + framesAborted(1).length === 2);
    expect([framesAborted(0), framesAborted(1)]).to.deep.equal([[0], [0]]);
    await until(() => relay.ledger.commits.length === 1);
    expect(relay.ledger.commits[0]?.outcome).to.include({ kind: "free", reason: "cancelled" });
    expect(relay.ledger.holds.size).to.equal(0);
    await until(() => relay.admission.inFlight === 0);
    expect(inFlight()).to.deep.equal([0, 0]);
  });

  it("sends one request in twenty twice, at most", async () => {
    const { silent } = await start(0);
    const response = relay.post("/v1/chat/completions", CHAT);
    const first = await silent;
    // Far more than the silence after which a second one would be asked.
    await new Promise((resolve) => setTimeout(resolve, 60));
    expect(providerOf(relay, 1).asks).to.have.length(0);
    first.reply("At last.");
    expect(statusesOf((await jsonOf(await response)).aimo)).to.deep.equal([[1, "ok"]]);
  });
});
