import { expect } from "chai";
import { type LineModules, runLine } from "../../../relay/src/flow/batch-line.ts";
import type { JobLine } from "../../../relay/src/flow/batch-ports.ts";
import { providerOf, startTestRelay, type TestRelay } from "../support/test-relay.ts";

const ENDPOINT = "/v1/chat/completions";
const LINE = JSON.stringify({
  ...{ custom_id: "one", method: "POST", url: ENDPOINT },
  body: { model: "stand-in", messages: [{ role: "user", content: "Hello" }], max_tokens: 8 },
});

describe("a line of a batch", () => {
  let relay: TestRelay;
  let saved: JobLine[];
  let waits: number[];
  beforeEach(async () => {
    relay = await startTestRelay();
    saved = [];
    waits = [];
  });
  afterEach(() => relay.close());

  const run = async (change: Partial<LineModules> = {}, line = LINE) => {
    const { record } = relay.keys.authenticate(relay.key);
    const modules: LineModules = {
      ...{ serving: relay.serving, keys: relay.keys, isFull: false, isYoung: () => false },
      save: (line) => void saved.push(line),
      note: () => {},
      waitBefore: async (tries) => {
        waits.push(tries);
        return "again";
      },
      randomHex: () => "0x00",
      ...change,
    };
    return runLine(modules, { endpoint: ENDPOINT, keyHash: record.hash }, line);
  };
  const bodyOf = ({ text }: JobLine) => JSON.parse(text).response.body;

  it("is kept in the same turn in which its request is charged, so that no crash comes between", async () => {
    const { ledger } = relay;
    const commit = ledger.commit.bind(ledger);
    let isSameTurn = false;
    ledger.commit = (id, outcome) => {
      commit(id, outcome);
      isSameTurn = true;
      queueMicrotask(() => {
        isSameTurn = false;
      });
    };
    const turns: boolean[] = [];
    await run({ save: () => void turns.push(isSameTurn) });
    expect(turns).to.deep.equal([true]);
  });

  it("is tried again when a provider fails, three times in all", async () => {
    providerOf(relay).onAsk = (ask) => void ask.response.writeHead(500).end("{}");
    await run();
    expect(waits).to.deep.equal([1, 2]);
    expect(saved.map(({ isError }) => isError)).to.deep.equal([true]);
    expect(bodyOf(saved[0] as JobLine).error.code).to.equal("provider_unavailable");
    expect(relay.ledger.holds.size).to.equal(0);
  });

  it("holds its place no longer than it takes to hear that all are busy, and is served another time", async () => {
    let asks = 0;
    providerOf(relay).onAsk = (ask) =>
      void (++asks < 2 ? ask.response.writeHead(429).end("{}") : ask.reply("At last."));
    expect((await run())?.code).to.equal("overloaded");
    expect([waits, saved]).to.deep.equal([[], []]);
    expect(await run()).to.equal(undefined);
    expect(saved.map(({ isError }) => isError)).to.deep.equal([false]);
    expect(bodyOf(saved[0] as JobLine).choices[0].message.content).to.equal("At last.");
  });

  it("says how long its rate lasts to come back", async () => {
    const { record } = relay.keys.authenticate(relay.key);
    await relay.keys.change(record.userId, record.hash, { tokensPerMinute: 100 });
    relay.admission.takeTokens(relay.keys.byHash(record.hash).caller, 100);
    const refusal = await run();
    expect(refusal?.code).to.equal("rate_limit_exceeded");
    expect(refusal?.retryAfterSeconds).to.be.within(1, 60);
    expect([waits, saved]).to.deep.equal([[], []]);
  });

  it("is left for another time, or ended, as it is told", async () => {
    providerOf(relay).onAsk = (ask) => void ask.response.writeHead(500).end("{}");
    await run({ waitBefore: async () => "left" });
    expect(saved).to.deep.equal([]);
    await run({ waitBefore: async () => "over" });
    expect(bodyOf(saved[0] as JobLine).error.code).to.equal("provider_unavailable");
  });

  it("ends at once when it may use more tokens than its key may in a whole minute", async () => {
    const { record } = relay.keys.authenticate(relay.key);
    await relay.keys.change(record.userId, record.hash, { tokensPerMinute: 10 });
    await run();
    expect(waits).to.deep.equal([]);
    expect(bodyOf(saved[0] as JobLine).error).to.include({ code: "request_above_limit" });
    expect(JSON.parse(saved[0]?.text ?? "").response.status_code).to.equal(400);
    expect(providerOf(relay).asks.length).to.equal(0);
  });

  it("is for another time while its model may not have been heard of yet", async () => {
    const serving: LineModules["serving"] = {
      serve: (request, sink) =>
        relay.serving.serve(
          { ...request, ask: { ...request.ask, wanted: [{ model: "unheard", sort: undefined }] } },
          sink,
        ),
    };
    expect((await run({ serving, isYoung: () => true }))?.code).to.equal("model_not_found");
    expect([waits, saved]).to.deep.equal([[], []]);
    expect(await run({ serving })).to.equal(undefined);
    expect(bodyOf(saved[0] as JobLine).error.code).to.equal("model_not_found");
  });

  it("is told that presets are not for it", async () => {
    await run({}, LINE.replace('"model"', '"preset":"brief","model"'));
    expect(saved.map((line) => bodyOf(line).error.param)).to.deep.equal(["preset"]);
    expect(providerOf(relay).asks.length).to.equal(0);
  });

  it("is not sent for a key that was revoked, nor without room for its reply", async () => {
    await run({ isFull: true });
    const { record } = relay.keys.authenticate(relay.key);
    await relay.keys.remove(record.userId, record.hash);
    const gone = relay.keys;
    const modules = { keys: { byHash: (hash: string) => gone.byHash(hash) } };
    await runLine(
      {
        ...{ serving: relay.serving, isFull: false, isYoung: () => false, randomHex: () => "0x00" },
        ...modules,
        save: (line) => void saved.push(line),
        note: () => {},
        waitBefore: async () => "again",
      },
      { endpoint: ENDPOINT, keyHash: record.hash },
      LINE,
    );
    expect(saved.map((line) => bodyOf(line).error.code)).to.deep.equal([
      "payload_too_large",
      "authentication_failed",
    ]);
    expect(providerOf(relay).asks.length).to.equal(0);
  });
});
