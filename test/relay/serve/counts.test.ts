import { countText } from "@aimo/node/tokens";
import { textResponseHash } from "@aimo/protocol/receipts";
import { expect } from "chai";
import fc from "fast-check";
import { isFlagged } from "../../../relay/src/core/count-flag.ts";
import type { CountFlag } from "../../../relay/src/core/types.ts";
import type { DeliveredChat } from "../../../relay/src/flow/serve-ports.ts";
import { type CountResult, TokenCounter } from "../../../relay/src/token-counter.ts";
import { CHAT, jsonOf, providerOf, startTestRelay, until } from "../support/test-relay.ts";

const TEXT = "The sea is wide, and the boats on it are few. ".repeat(10);

/** A counter with a real thread, and what it has said. */
function startCounter(percent = 100) {
  const results: CountResult[] = [];
  const flags: (CountFlag & { readonly id: string })[] = [];
  const counter = new TokenCounter({
    ...{ percent, random: () => 0.5 },
    onResult: (result) => results.push(result),
    onFlag: ({ generationId: id }, flag) => flags.push({ id, ...flag }),
    onFault: (error) => {
      throw error;
    },
  });
  return { counter, results, flags };
}

const chat = (change: Partial<DeliveredChat> = {}): DeliveredChat => ({
  ...{ generationId: "gen-1", providerId: 1, stated: countText(TEXT), texts: [TEXT] },
  ...change,
});

describe("the relay's own count", () => {
  it("flags what is above 1.25 times itself and 16, and nothing else", () => {
    const count = fc.integer({ min: 0, max: 10_000_000 });
    fc.assert(
      fc.property(count, count, (stated, counted) => {
        expect(isFlagged({ stated, counted })).to.equal(stated > 1.25 * counted + 16);
      }),
    );
    expect([
      isFlagged({ stated: 141, counted: 100 }),
      isFlagged({ stated: 142, counted: 100 }),
    ]).to.deep.equal([false, true]);
  });

  it("is made by a thread, in the order of the requests, long unbroken runs too", async () => {
    const { counter, results, flags } = startCounter();
    counter.take(chat());
    counter.take(chat({ generationId: "gen-2", stated: 2 * countText(TEXT) }));
    counter.take(chat({ generationId: "gen-3", texts: ["x".repeat(200_000)], stated: 10 }));
    await until(() => results.length === 3, 20_000);
    expect(results).to.deep.equal(["agrees", "flagged", "agrees"]);
    expect(flags).to.deep.equal([{ id: "gen-2", stated: 2 * countText(TEXT), counted: countText(TEXT) }]);
    await counter.close();
  }).timeout(30_000);

  it("skips what it has no room for, and what is too long, without waiting", async () => {
    const { counter, results } = startCounter();
    const tooLong = chat({ texts: ["y".repeat(300_000)] });
    counter.take(tooLong);
    expect(results).to.deep.equal(["skipped"]);
    for (let i = 0; i < 1_100; i++) counter.take(chat());
    expect(results.filter((result) => result === "skipped").length).to.be.at.least(77);
    await counter.close();
    expect(results).to.have.length(1_101);
    counter.take(chat());
    expect(results.at(-1)).to.equal("skipped");
    expect(counter.wants()).to.equal(false);
  });

  it("is made of each choice apart: no two of them share a token", async () => {
    const { counter, results } = startCounter();
    const texts = Array.from({ length: 64 }, () => "7");
    counter.take(chat({ texts, stated: 64 }));
    await until(() => results.length === 1, 20_000);
    expect(results).to.deep.equal(["agrees"]);
    await counter.close();
  }).timeout(30_000);

  it("is made of a part of the requests", () => {
    const wants = (percent: number) => startCounter(percent).counter.wants();
    expect([wants(0), wants(50), wants(51), wants(100)]).to.deep.equal([false, false, true, true]);
  });

  it("flags a provider that says too much, and not an honest one; the charge stays", async () => {
    const { counter, results, flags } = startCounter();
    const relay = await startTestRelay({ counts: counter });
    try {
      const provider = providerOf(relay);
      const max_tokens = 400;
      const honest = countText(TEXT);
      for (const completion of [honest, honest + 60]) {
        provider.onAsk = (ask) => ask.reply(TEXT, { completion });
        const reply = await relay.post("/v1/chat/completions", { ...CHAT, max_tokens });
        expect((await jsonOf(reply)).usage.completion_tokens).to.equal(completion);
      }
      await until(() => results.length === 2, 20_000);
      expect(results).to.deep.equal(["agrees", "flagged"]);
      expect(flags[0]).to.deep.include({ stated: honest + 60, counted: honest });
    } finally {
      await relay.close();
      await counter.close();
    }
  }).timeout(30_000);

  it("counts streams with their reasoning, and leaves sound alone, and models that think unseen", async () => {
    const { counter, results } = startCounter();
    const relay = await startTestRelay({ counts: counter });
    try {
      const provider = providerOf(relay);
      provider.onAsk = (ask) => {
        ask.say(TEXT);
        ask.finish({ completion: countText(TEXT) });
      };
      const stream = await relay.post("/v1/chat/completions", { ...CHAT, max_tokens: 400, stream: true });
      await stream.text();
      await until(() => results.length === 1, 20_000);
      expect(results).to.deep.equal(["agrees"]);
      const audio = { data: "AAEC".repeat(100), transcript: "Yes." };
      const choices = [{ index: 0, message: { content: null, audio }, finish_reason: "stop" }];
      const responseHash = textResponseHash([{ text: "" }]);
      provider.onAsk = (ask) => ask.replyJson({ choices }, { units: [10, 0, 300], responseHash });
      expect((await relay.post("/v1/chat/completions", { ...CHAT, max_tokens: 400 })).status).to.equal(200);
      relay.offers = relay.offers.map((offer) => ({
        ...offer,
        model: { ...offer.model, hiddenReasoning: true },
      }));
      provider.onAsk = (ask) => ask.reply("Yes.", { completion: 300 });
      const reply = await relay.post("/v1/chat/completions", { ...CHAT, max_tokens: 400 });
      expect((await jsonOf(reply)).usage.completion_tokens).to.equal(300);
      expect(results).to.have.length(1);
    } finally {
      await relay.close();
      await counter.close();
    }
  }).timeout(30_000);
});
