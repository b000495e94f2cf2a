import { textResponseHash } from "@aimo/protocol/receipts";
import { expect } from "chai";
import type { Outcome } from "../../../relay/src/core/types.ts";
import {
  CHAT,
  eventsOf,
  jsonOf,
  openRaw,
  providerOf,
  startTestRelay,
  type TestRelay,
  until,
} from "../support/test-relay.ts";

const STREAM = { ...CHAT, stream: true };

describe("streams that do not end well", () => {
  let relay: TestRelay;
  afterEach(() => relay.close());

  /** Opens a stream, reads `frames` frames, hangs up, and gives how the request ended. */
  async function readAndLeave(frames: number): Promise<Outcome | undefined> {
    providerOf(relay).onAsk = (ask) => {
      for (let i = 0; i < frames; i++) ask.say(`piece ${i} `);
    };
    const socket = openRaw(relay, STREAM);
    let seen = "";
    await new Promise<void>((resolve) => {
      socket.on("data", (data) => {
        seen += data;
        if (seen.split("data: ").length > frames) resolve();
      });
    });
    socket.destroy();
    await until(() => relay.ledger.commits.length === 1);
    return relay.ledger.commits[0]?.outcome;
  }

  it("bill a client that left for the frames it got, and no more", async () => {
    relay = await startTestRelay();
    const outcome = await readAndLeave(3);
    expect(providerOf(relay).aborts).to.have.length(1);
    expect(providerOf(relay).aborts[0]?.frames).to.equal(3);
    expect(outcome).to.include({ kind: "usage", cancelled: true });
    if (outcome?.kind !== "usage") return;
    expect(outcome.statement.units).to.deep.equal([10, 0, 3]);
    expect(outcome.statement.responseHash).to.equal(textResponseHash([{ text: "piece 0 piece 1 piece 2 " }]));
    expect(relay.ledger.holds.size).to.equal(0);
  });

  it("are free when the client left and the provider states nothing", async () => {
    relay = await startTestRelay();
    providerOf(relay).statesAborts = false;
    expect(await readAndLeave(2)).to.include({ kind: "free", reason: "cancelled" });
  });

  it("are free when the client left before the first frame", async () => {
    relay = await startTestRelay();
    providerOf(relay).onAsk = () => {};
    const socket = openRaw(relay, STREAM);
    await until(() => providerOf(relay).asks.length === 1);
    socket.destroy();
    await until(() => relay.ledger.commits.length === 1);
    expect(relay.ledger.commits[0]?.outcome).to.include({ kind: "free", reason: "cancelled" });
    await until(() => providerOf(relay).aborts.length === 1);
    expect(providerOf(relay).aborts[0]?.frames).to.equal(0);
  });

  it("stop the provider when a client that waits for JSON leaves", async () => {
    relay = await startTestRelay();
    providerOf(relay).onAsk = () => {};
    const socket = openRaw(relay, CHAT);
    await until(() => providerOf(relay).asks.length === 1);
    const closed = new Promise((resolve) => providerOf(relay).asks[0]?.response.once("close", resolve));
    socket.destroy();
    await closed;
    await until(() => relay.ledger.commits.length === 1);
    expect(relay.ledger.commits[0]?.outcome).to.include({ kind: "free", reason: "cancelled" });
  });

  it("tell the client when the provider breaks off, and are free", async () => {
    relay = await startTestRelay();
    providerOf(relay).onAsk = (ask) => {
      ask.say("Half an ");
      ask.response.write(": on its way\n\n", () => ask.response.destroy());
    };
    const response = await relay.post("/v1/chat/completions", STREAM);
    const events = eventsOf(await response.text());
    expect(events).to.have.length(2);
    expect(events[1].error.code).to.equal("provider_unavailable");
    expect(events[1].choices).to.deep.equal([{ index: 0, delta: { content: "" }, finish_reason: "error" }]);
    expect(events[1].aimo.cost_pusd).to.equal("0");
    expect(relay.ledger.commits[0]?.outcome).to.include({ kind: "free", reason: "provider_unavailable" });
  });

  it("are free when the provider ends them without stating usage", async () => {
    relay = await startTestRelay();
    providerOf(relay).onAsk = (ask) => {
      ask.say("All there is");
      ask.response.end("data: [DONE]\n\n");
    };
    const events = eventsOf(await (await relay.post("/v1/chat/completions", STREAM)).text());
    expect(events.at(-1).error.code).to.equal("provider_unavailable");
    expect(relay.ledger.commits[0]?.outcome.kind).to.equal("free");
  });

  it("end with an error, and a bill for what came, when they take too long", async () => {
    relay = await startTestRelay({ limits: { totalMs: 50 } });
    providerOf(relay).onAsk = (ask) => void ask.say("slow");
    const events = eventsOf(await (await relay.post("/v1/chat/completions", STREAM)).text());
    expect(events.at(-1).error.code).to.equal("timeout");
    expect(relay.ledger.commits[0]?.outcome).to.include({ kind: "usage", cancelled: true });
  });

  it("get comments in a silence, with a single newline", async () => {
    relay = await startTestRelay({ limits: { keepAliveMs: 10 } });
    let finish = () => {};
    providerOf(relay).onAsk = (ask) => {
      ask.say("Well");
      finish = () => ask.finish();
    };
    const response = await relay.post("/v1/chat/completions", STREAM);
    let text = "";
    for await (const chunk of response.body ?? []) {
      text += Buffer.from(chunk).toString();
      if (text.includes(": aimo\n")) finish();
    }
    expect(text).to.match(/\n\n: aimo\n(: aimo\n)*data: /);
    expect(eventsOf(text.replaceAll(": aimo\n", "")).at(-1)).to.equal("[DONE]");
  });

  it("keep the provider waiting, not the memory full, while a client reads slowly", async () => {
    relay = await startTestRelay();
    const padding = "x".repeat(64 * 1024);
    const planned = 1_000;
    let written = 0;
    let slowed = false;
    providerOf(relay).onAsk = async (ask) => {
      for (; written < planned; written++) {
        if (ask.say("x", padding)) continue;
        slowed = true;
        await new Promise((resolve) => ask.response.once("drain", resolve));
      }
      // As many as were allowed; more are never stated.
      ask.finish({ completion: 64 });
    };
    const socket = openRaw(relay, STREAM);
    socket.pause();
    await until(() => slowed);
    const before = written;
    expect(before * padding.length, "bytes taken from the provider").to.be.below(32 * 1024 * 1024);
    let received = 0;
    let tail = "";
    socket.on("data", (data: Buffer) => {
      received += data.length;
      tail = (tail + data.toString("latin1")).slice(-200);
      if (tail.includes("[DONE]")) socket.destroy();
    });
    socket.resume();
    await new Promise((resolve) => socket.once("close", resolve));
    expect(written).to.equal(planned);
    expect(received).to.be.above(planned * padding.length);
  }).timeout(30_000);

  it("finish or are cut when the relay drains, which admits nothing more", async () => {
    relay = await startTestRelay();
    providerOf(relay).onAsk = (ask) => void ask.say("Going on");
    const open = await relay.post("/v1/chat/completions", STREAM);
    const drained = relay.admission.close(50, () => relay.serving.stop());
    const refused = await relay.post("/v1/chat/completions", CHAT);
    expect(refused.status).to.equal(503);
    expect((await jsonOf(refused)).error.code).to.equal("shutting_down");
    expect(eventsOf(await open.text()).at(-1).error.code).to.equal("shutting_down");
    await drained;
    expect(relay.ledger.holds.size).to.equal(0);
    expect(relay.ledger.commits[0]?.outcome).to.include({ kind: "usage", cancelled: true });
  });
});
