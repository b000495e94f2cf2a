import {
  binaryResponseHash,
  embeddingsResponseHash,
  requestHash,
  textResponseHash,
} from "@aimo/protocol/receipts";
import { chargeBound, costOf } from "@aimo/protocol/units";
import { expect } from "chai";
import {
  CHAT,
  eventsOf,
  FEE_BPS,
  jsonOf,
  providerOf,
  startTestRelay,
  type TestRelay,
  USER_ID,
  until,
} from "../support/test-relay.ts";

const PRICES = [100_000n, 50_000n, 400_000n] as const;

describe("serving a chat", () => {
  let relay: TestRelay;
  beforeEach(async () => {
    relay = await startTestRelay();
  });
  afterEach(() => relay.close());

  it("answers JSON with the provider's body, the cost and what a bill check needs", async () => {
    const response = await relay.post("/v1/chat/completions", CHAT);
    const body = await jsonOf(response);
    expect(response.status).to.equal(200);
    const cost = costOf([10, 0, 3], PRICES);
    const charge = chargeBound(cost, FEE_BPS);
    expect(body.choices[0].message.content).to.equal("Hello there.");
    expect(body.id).to.equal(body.aimo.generation_id).and.to.equal(response.headers.get("x-generation-id"));
    expect(body.usage).to.include({ prompt_tokens: 10, completion_tokens: 3, total_tokens: 13 });
    expect(body.usage.cost).to.equal(Number(charge) / 1e12);
    expect(body.aimo.cost_pusd).to.equal(charge.toString());
    expect(body.aimo.attempts).to.have.length(1);
    const bound = requestHash({
      userId: USER_ID,
      channelEpoch: 1,
      nonce: body.aimo.nonce,
      body: Buffer.from(JSON.stringify(CHAT)),
    });
    expect(body.aimo.request_hash).to.equal(bound);
    const [commit] = relay.ledger.commits;
    expect(commit?.outcome).to.include({ kind: "usage", charge });
    expect(relay.ledger.holds.size).to.equal(0);
  });

  it("sends the client's body byte for byte, and its limits beside it", async () => {
    const text = `{ "model":"stand-in",  "messages":[{"role":"user","content":"h\\u00e9"}],"max_tokens":64 }`;
    await jsonOf(await relay.post("/v1/chat/completions", text));
    const [ask] = providerOf(relay).asks;
    expect(ask?.body.toString()).to.equal(text);
    expect(ask?.query.get("max")).to.equal("64");
    expect(ask?.query.get("id")).to.match(/^gen-/);
  });

  it("streams the provider's frames untouched, then its own chunk with the bill", async () => {
    providerOf(relay).onAsk = (ask) => {
      for (const piece of ["One", " two", " thrée"]) ask.say(piece);
      ask.finish();
    };
    const body = { ...CHAT, stream: true, stream_options: { include_usage: true } };
    const response = await relay.post("/v1/chat/completions", body);
    const events = eventsOf(await response.text());
    expect(response.headers.get("content-type")).to.equal("text/event-stream; charset=utf-8");
    expect(events).to.have.length(5);
    const text = events.slice(0, 3).map((event) => event.choices[0].delta.content);
    expect(text.join("")).to.equal("One two thrée");
    const last = events[3];
    expect(last.choices).to.deep.equal([]);
    expect(last.usage.completion_tokens).to.equal(3);
    expect(last.aimo.receipt_hash).to.match(/^0x/);
    expect(last.id).to.equal(last.aimo.generation_id);
    expect(events[4]).to.equal("[DONE]");
    const outcome = relay.ledger.commits[0]?.outcome;
    expect(outcome?.kind === "usage" && outcome.statement.responseHash).to.equal(
      textResponseHash([{ text: "One two thrée" }]),
    );
  });

  it("leaves usage out of a stream whose client did not ask, but not the bill", async () => {
    providerOf(relay).onAsk = (ask) => {
      ask.say("Hi");
      ask.finish();
    };
    const response = await relay.post("/v1/chat/completions", { ...CHAT, stream: true });
    const last = eventsOf(await response.text()).at(-2);
    expect(last).to.not.have.property("usage");
    expect(last.aimo.cost_pusd).to.match(/^\d+$/);
  });

  it("shows usage in a stream to who asks in OpenRouter's words, and names a request for it that makes no sense", async () => {
    providerOf(relay).onAsk = (ask) => {
      ask.say("Hi");
      ask.finish();
    };
    const asking = (usage: unknown) => relay.post("/v1/chat/completions", { ...CHAT, stream: true, usage });
    const lastOf = async (usage: unknown) => eventsOf(await (await asking(usage)).text()).at(-2);
    expect((await lastOf({ include: true })).usage).to.include({ prompt_tokens: 10 });
    for (const usage of [{ include: false }, {}, null])
      expect(await lastOf(usage)).to.not.have.property("usage");
    for (const [usage, param] of [
      [true, "usage"],
      [{ include: "yes" }, "usage.include"],
    ]) {
      const refused = await asking(usage);
      expect([refused.status, (await jsonOf(refused)).error.param]).to.deep.equal([400, param]);
    }
  });

  it("serves embeddings, as numbers and in base64, and hashes both alike", async () => {
    const vector = [0.5, -1.25, 3];
    const base64 = Buffer.from(Float32Array.from(vector).buffer).toString("base64");
    const offer = providerOf(relay).offer();
    relay.offers = [{ ...offer, model: { ...offer.model, route: "embeddings" } }];
    for (const embedding of [vector, base64]) {
      providerOf(relay).onAsk = (ask) =>
        ask.replyJson(
          {
            object: "list",
            data: [{ object: "embedding", index: 0, embedding }],
            model: "stand-in",
            usage: {},
          },
          { units: [4, 0, 0], responseHash: embeddingsResponseHash([vector]) },
        );
      const body = await jsonOf(await relay.post("/v1/embeddings", { model: "stand-in", input: "text" }));
      expect(body.data[0].embedding).to.deep.equal(embedding);
      expect(body.aimo.provider_cost_pusd).to.equal("400000");
    }
  });

  it("serves images, and bills those that came", async () => {
    const offer = providerOf(relay).offer();
    const kinds = ["none", "none", "image"] as const;
    relay.offers = [
      {
        ...offer,
        model: { ...offer.model, route: "images" },
        price: { version: 1, prices: [0n, 0n, 400_000n], kinds },
      },
    ];
    const png = Buffer.from("not really a picture");
    providerOf(relay).onAsk = (ask) =>
      ask.replyJson(
        { created: 1, data: [{ b64_json: png.toString("base64") }] },
        { units: [0, 0, 1], responseHash: binaryResponseHash([png]) },
      );
    const body = await jsonOf(
      await relay.post("/v1/images/generations", { model: "stand-in", prompt: "a cat" }),
    );
    expect(body.aimo.provider_cost_pusd).to.equal("400000");
    expect(body.data).to.have.length(1);
    expect(relay.ledger.commits[0]?.outcome.kind).to.equal("usage");
  });

  it("answers a provider's group with what the relay owes by now", async () => {
    await jsonOf(await relay.post("/v1/chat/completions", CHAT));
    providerOf(relay).sendGroup();
    await until(() => providerOf(relay).acks.length === 1);
    expect(relay.groups).to.have.length(1);
    expect(providerOf(relay).acks).to.deep.equal([costOf([10, 0, 3], PRICES)]);
  });

  it("opens a new session, unseen by the client, when the provider forgot the old one", async () => {
    await jsonOf(await relay.post("/v1/chat/completions", CHAT));
    providerOf(relay).forget();
    const response = await relay.post("/v1/chat/completions", CHAT);
    expect(response.status).to.equal(200);
    expect((await jsonOf(response)).aimo.attempts).to.have.length(1);
  });
});
