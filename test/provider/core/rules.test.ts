import { textResponseHash } from "@aimo/protocol/receipts";
import { costOf } from "@aimo/protocol/units";
import { PRICE_GRACE_SECONDS } from "@aimo/protocol/windows";
import { ChatRecord } from "@aimo/provider/core/chat-record";
import { prepareBody } from "@aimo/provider/core/client-body";
import { currentVersion, usableVersion } from "@aimo/provider/core/prices";
import { isMaterial, Slots } from "@aimo/provider/core/slots";
import { readUsage, statedUnits } from "@aimo/provider/core/usage";
import { VENDORS } from "@aimo/provider/core/vendors";
import { worstCaseCost } from "@aimo/provider/core/worst-case";
import { expect } from "chai";
import fc from "fast-check";
import { readAsk } from "../../../relay/src/core/ask.ts";
import { MODELS } from "../support/provider.ts";

const [CHAT] = MODELS;
if (!CHAT) throw new Error("No model.");
const ASK = { route: "chat", bodyBytes: 100, hasMedia: false, count: 1, maxTokens: 256 } as const;

describe("provider/core prices", () => {
  const versions = [100, 200].map((effectiveFrom, index) => ({
    version: index + 1,
    prices: [1n, 1n, 1n] as const,
    effectiveFrom,
  }));

  it("allows the version in force, and the one before for as long as requests may be on their way", () => {
    const usable = (version: number, at: number) => usableVersion(versions, version, at)?.version;
    expect([usable(1, 99), usable(1, 100), usable(2, 199), usable(2, 200)]).to.deep.equal([
      undefined,
      1,
      undefined,
      2,
    ]);
    expect(usable(1, 199 + PRICE_GRACE_SECONDS)).to.equal(1);
    expect(usable(1, 200 + PRICE_GRACE_SECONDS)).to.equal(undefined);
    expect([currentVersion(versions, 99), currentVersion(versions, 500)?.version]).to.deep.equal([
      undefined,
      2,
    ]);
  });
});

describe("provider/core worst case", () => {
  it("is never below the cost of usage within the ask", () => {
    const prices = [150_000n, 75_000n, 600_000n] as const;
    fc.assert(
      fc.property(
        fc.nat(8_192),
        fc.nat(8_192),
        fc.nat(256),
        fc.integer({ min: 1, max: 8 }),
        (prompt, cached, out, count) => {
          const ask = { ...ASK, bodyBytes: prompt, count };
          const hit = Math.min(cached, prompt);
          const cost = costOf([prompt - hit, hit, out * count], prices);
          expect(cost <= worstCaseCost(CHAT, prices, ask)).to.equal(true);
        },
      ),
    );
  });
});

describe("provider/core usage", () => {
  it("splits cached from other prompt tokens and refuses numbers that make no sense", () => {
    const usage = { prompt_tokens: 9, completion_tokens: 4, prompt_tokens_details: { cached_tokens: 12 } };
    expect(readUsage(usage)).to.deep.equal({ prompt: 9, cached: 9, completion: 4 });
    for (const bad of [
      undefined,
      null,
      {},
      { prompt_tokens: -1 },
      { prompt_tokens: 1, completion_tokens: 2 ** 40 },
    ])
      expect(readUsage(bad)).to.equal(undefined);
  });

  it("states nothing when nothing was delivered", () => {
    const counted = { units: [9, 0, 4] as const, delivered: { bytes: 0, count: 1 } };
    expect(statedUnits(counted, CHAT, ASK)).to.deep.equal([0, 0, 0]);
  });
});

describe("provider/core stated units", () => {
  const stated = (units: readonly [number, number, number], changes: object = {}, bytes = 5_000) =>
    statedUnits({ units, delivered: { bytes, count: 1 } }, CHAT, { ...ASK, ...changes });

  it("are at most a token per byte of the body and the template's, and a context", () => {
    expect(stated([356, 0, 1])).to.deep.equal([356, 0, 1]);
    expect(stated([9_000, 0, 1])).to.deep.equal([356, 0, 1]);
    expect(stated([90_000, 0, 1], { bodyBytes: 100_000 })).to.deep.equal([8_192, 0, 1]);
    expect(stated([9_000, 0, 1], { hasMedia: true })).to.deep.equal([8_192, 0, 1]);
  });

  it("give up the dearer prompt tokens first", () => {
    expect(stated([300, 100, 1])).to.deep.equal([256, 100, 1]);
    expect(stated([300, 400, 1])).to.deep.equal([0, 356, 1]);
  });

  it("are at most what may be written, and what was delivered bears out", () => {
    expect(stated([1, 0, 9_000])).to.deep.equal([1, 0, 256]);
    expect(stated([1, 0, 9_000], { count: 2 })).to.deep.equal([1, 0, 512]);
    expect(stated([1, 0, 9_000], {}, 2)).to.deep.equal([1, 0, 10]);
  });
});

describe("provider/core stated units of a model that thinks unseen", () => {
  const thinker = { ...CHAT, claims: { hiddenReasoning: true } };
  const stated = (completion: number, bytes: number) =>
    statedUnits({ units: [1, 0, completion], delivered: { bytes, count: 1 } }, thinker, ASK)[2];

  it("are what its server counted, up to what may be written, and nothing for no answer", () => {
    expect([stated(200, 2), stated(900, 2), stated(200, 0)]).to.deep.equal([200, 256, 0]);
  });
});

describe("provider/core chat record", () => {
  const chunk = (index: number, delta: object, usage?: object) => ({
    choices: [{ index, delta }],
    ...(usage ? { usage } : {}),
  });

  it("hashes a stream and the same content in one body alike, tools and choices in index order", () => {
    const stream = new ChatRecord();
    const call = (index: number, name: string, args: string) => ({
      index,
      function: { name, arguments: args },
    });
    stream.addChunk(chunk(1, { content: "b" }));
    stream.addChunk(chunk(0, { content: "a", tool_calls: [call(0, "f", '{"x"'), call(1, "g", "")] }));
    stream.addChunk(chunk(0, { tool_calls: [call(0, "", ":1}"), call(1, "", "{}")] }));
    const body = new ChatRecord();
    const tools = [
      { name: "f", arguments: '{"x":1}' },
      { name: "g", arguments: "{}" },
    ];
    body.addBody({
      choices: [
        { index: 1, message: { content: "b" } },
        { index: 0, message: { content: "a", tool_calls: tools.map((one) => ({ function: one })) } },
      ],
    });
    const hash = textResponseHash([{ text: "a", tools }, { text: "b" }]);
    expect(textResponseHash(stream.deliveredUpTo(3).choices)).to.equal(hash);
    expect(textResponseHash(body.deliveredUpTo(1).choices)).to.equal(hash);
  });

  it("knows the upstream's running count at each frame where it has one", () => {
    const record = new ChatRecord();
    record.addChunk(chunk(0, { content: "a" }, { prompt_tokens: 3, completion_tokens: 1 }));
    record.addChunk(chunk(0, { content: "b" }, { prompt_tokens: 3, completion_tokens: 2 }));
    record.addChunk({ choices: [], usage: { prompt_tokens: 3, completion_tokens: 3 } });
    expect([1, 2].map((frames) => record.deliveredUpTo(frames).usage?.completion)).to.deep.equal([1, 3]);
    expect(record.frames).to.equal(2);
  });

  it("refuses errors and junk", () => {
    for (const junk of [null, [], {}, { error: { message: "x" } }, { choices: [{ index: 1_000 }] }])
      expect(() => new ChatRecord().addChunk(junk)).to.throw(RangeError);
  });
});

describe("provider/core client body", () => {
  const prepare = (body: object, rest: { vendor?: keyof typeof VENDORS; clamp?: number } = {}) =>
    prepareBody({
      model: CHAT,
      vendor: VENDORS[rest.vendor ?? "generic"],
      body: JSON.stringify(body),
      bodyBytes: 10,
      clamp: rest.clamp,
    });

  it("takes the lowest of the client's, the relay's and the model's limit, in one field", () => {
    const limit = (body: object, clamp?: number, vendor?: keyof typeof VENDORS) => {
      const { max_tokens, max_completion_tokens } = JSON.parse(
        prepare(body, { ...(clamp ? { clamp } : {}), ...(vendor ? { vendor } : {}) }).content as string,
      );
      return [max_tokens, max_completion_tokens];
    };
    expect(limit({})).to.deep.equal([256, undefined]);
    expect(limit({ max_tokens: 50 }, 40)).to.deep.equal([40, undefined]);
    expect(limit({ max_completion_tokens: 30, max_tokens: 99 }, 40)).to.deep.equal([30, undefined]);
    expect(limit({ max_completion_tokens: 30 }, 40)).to.deep.equal([undefined, 30]);
    expect(limit({ max_completion_tokens: 30 }, 40, "ollama")).to.deep.equal([30, undefined]);
    expect(limit({}, 40, "openai")).to.deep.equal([undefined, 40]);
  });

  it("keeps the client's stream options and asks for running usage where the server knows it", () => {
    const body = { stream: true, stream_options: { x: 1 } };
    expect(JSON.parse(prepare(body, { vendor: "vllm" }).content as string).stream_options).to.deep.equal({
      x: 1,
      include_usage: true,
      continuous_usage_stats: true,
    });
  });

  it("takes out what is for the relay, on every route: strict servers refuse fields that they do not know", () => {
    const forRelay = {
      ...{ models: ["a"], provider: { sort: "price" }, session_id: "s", metadata: { a: "b" }, preset: null },
      ...{ usage: { include: true }, aimo: { max_cost: "0.01" }, route: "fallback" },
      ...{ transforms: ["middle-out"], plugins: [{ id: "web" }] },
    };
    const kept = { seed: 7, user: "u", input: "text" };
    for (const model of [CHAT, MODELS[1]]) {
      if (!model) throw new Error("No model.");
      const body = JSON.stringify({ model: "acme/text", ...forRelay, ...kept });
      const about = { model, vendor: VENDORS.generic, body, bodyBytes: body.length, clamp: undefined };
      const { max_tokens: _limit, ...sent } = JSON.parse(prepareBody(about).content as string);
      expect(sent).to.deep.equal({ model: "served-name", ...kept });
    }
  });

  it("takes a prompt for as long as the context where the request brings a template, as the relay does", () => {
    const sent = { model: "m", messages: [{ role: "user", content: "x" }], chat_template: "{{ 9 }}" };
    for (const body of [sent, { ...sent, chat_template: null }]) {
      const { ask } = prepareBody({
        ...{ model: CHAT, vendor: VENDORS.generic, body: JSON.stringify(body), bodyBytes: 10 },
        clamp: undefined,
      });
      expect([ask.hasMedia, readAsk("chat", body, 10).hasMedia]).to.deep.equal(
        body.chat_template === null ? [false, false] : [true, true],
      );
    }
  });

  it("names the field at fault", () => {
    for (const field of ["n", "max_tokens", "max_completion_tokens"])
      expect(() => prepare({ [field]: "many" })).to.throw(`'${field}'`);
  });
});

describe("provider/core slots", () => {
  it("takes no more than there are and knows the median latency", () => {
    const slots = new Slots(2);
    expect([slots.take(), slots.take(), slots.take(), slots.free]).to.deep.equal([true, true, false, 0]);
    slots.give();
    expect(slots.free).to.equal(1);
    for (const latency of [900, 10, 30]) slots.note(latency);
    expect(slots.latencyMs).to.equal(30);
  });

  it("calls a change material when a model fills up, empties, or moves by a quarter", () => {
    expect([
      isMaterial(8, 7, 8),
      isMaterial(8, 6, 8),
      isMaterial(1, 0, 100),
      isMaterial(0, 1, 100),
    ]).to.deep.equal([false, true, true, true]);
  });
});
