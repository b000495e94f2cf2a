import { expect } from "chai";
import { textOfMember } from "../../../relay/src/upstream/session-keys.ts";
import {
  CHAT,
  jsonOf,
  openRaw,
  providerOf,
  startTestRelay,
  type TestRelay,
  until,
} from "../support/test-relay.ts";

describe("the session with a provider", () => {
  let relay: TestRelay;
  afterEach(() => relay.close());

  it("is opened ahead of the first request when an offer is heard", async () => {
    relay = await startTestRelay();
    const [offer] = relay.offers;
    if (offer) relay.upstream.prepare(offer);
    expect((await relay.post("/v1/chat/completions", CHAT)).status).to.equal(200);
  });

  it("is refused to a provider that does not hold the registered key", async () => {
    relay = await startTestRelay({ providers: 2 });
    const [first, second] = relay.providers;
    if (first && second) relay.offers = [{ ...first.offer(), signer: second.signer }, second.offer()];
    const body = await jsonOf(await relay.post("/v1/chat/completions", CHAT));
    expect(body.aimo.provider.id).to.equal(2);
    expect(first?.asks).to.have.length(0);
  });

  it("takes no usage whose MAC is wrong", async () => {
    relay = await startTestRelay();
    providerOf(relay).onAsk = (ask) => {
      ask.response.setHeader("aimo-usage-mac", `0x${"00".repeat(32)}`);
      const { writeHead } = ask.response;
      ask.response.writeHead = ((status: number, headers: Record<string, string>) =>
        writeHead.call(ask.response, status, {
          ...headers,
          "aimo-usage-mac": `0x${"00".repeat(32)}`,
        })) as never;
      ask.reply("Hello.");
    };
    const response = await relay.post("/v1/chat/completions", CHAT);
    expect(response.status).to.equal(502);
    expect(relay.ledger.commits[0]?.outcome.kind).to.equal("free");
  });

  it("bills groups in order and acknowledges the running total", async () => {
    relay = await startTestRelay();
    for (let i = 1; i <= 3; i++) {
      await jsonOf(await relay.post("/v1/chat/completions", CHAT));
      providerOf(relay).sendGroup();
      await until(() => providerOf(relay).acks.length === i);
    }
    const { acks } = providerOf(relay);
    expect(acks).to.deep.equal([...acks].sort((a, b) => (a < b ? -1 : 1)));
    expect(new Set(acks).size).to.equal(3);
  });

  it("bills a group for a request whose answer a slow client still holds up", async () => {
    relay = await startTestRelay();
    const padding = "x".repeat(64 * 1024);
    providerOf(relay).onAsk = (ask) => {
      // More than the sockets on the way hold.
      for (let i = 0; i < 750; i++) ask.say("x", padding);
      ask.finish({ completion: 8 });
      providerOf(relay).sendGroup();
    };
    const socket = openRaw(relay, { ...CHAT, stream: true });
    socket.pause();
    await until(() => providerOf(relay).acks.length === 1);
    expect(relay.ledger.commits, "nothing is charged before it was read").to.have.length(0);
    socket.resume();
    await until(() => providerOf(relay).acks.length === 2);
    expect(relay.ledger.commits).to.have.length(1);
    expect(relay.groups).to.have.length(2);
    expect(relay.groups[1], "the same group").to.deep.equal(relay.groups[0]);
    socket.destroy();
  });

  it("goes with a provider that moved", async () => {
    relay = await startTestRelay({ providers: 2 });
    await jsonOf(await relay.post("/v1/chat/completions", CHAT));
    const [first, second] = relay.providers;
    if (!first || !second) return;
    relay.offers = [{ ...second.offer(), providerId: 1 }];
    // The second stand-in signs as provider 2, so a session as provider 1 must fail at it.
    expect((await relay.post("/v1/chat/completions", CHAT)).status).to.equal(502);
    relay.offers = [first.offer()];
    expect((await relay.post("/v1/chat/completions", CHAT)).status).to.equal(200);
  });
});

describe("textOfMember", () => {
  it("gives the text under the MAC exactly as it was sent", () => {
    expect(textOfMember('{"seq":1,"event":{"a": 1.0},"mac":"0x"}', "event")).to.equal('{"a": 1.0}');
    expect(textOfMember('{"mac":"0x","event":{}}', "event")).to.equal(undefined);
    expect(textOfMember("", "event")).to.equal(undefined);
  });
});
