import { countChat, countText, textOf, tokensOf } from "@aimo/node/tokens";
import { expect } from "chai";
import { complete } from "../../../provider/src/demo/completion.ts";
import { buildNgramModel, type GenerationAsk, generate } from "../../../provider/src/demo/ngram.ts";

const model = buildNgramModel();

function tokensFor(ask: Partial<GenerationAsk> = {}) {
  const full = {
    prompt: "How does the weather work?",
    seed: 1,
    index: 0,
    temperature: 1,
    endless: false,
    ...ask,
  };
  return [...generate(model, full)];
}
const textFor = (ask: Partial<GenerationAsk> = {}) =>
  tokensFor(ask)
    .map(({ text }) => text)
    .join("");

function limited(texts: string[], limits: { maxTokens?: number; stops?: string[] }) {
  const pieces: string[] = [];
  const tokens = texts.map((text, id) => ({ id, text }));
  const run = complete(tokens, { maxTokens: limits.maxTokens ?? 100, stops: limits.stops ?? [] });
  for (let step = run.next(); ; step = run.next()) {
    if (step.done) return { pieces, reason: step.value };
    pieces.push(step.value);
  }
}

describe("demo/ngram", () => {
  it("writes the same text for the same prompt and seed", () => {
    expect(textFor()).to.equal(textFor());
  });

  it("writes another text for another seed, choice or prompt", () => {
    const texts = [
      textFor(),
      textFor({ seed: 2 }),
      textFor({ index: 1 }),
      textFor({ prompt: "What is a ledger?" }),
    ];
    expect(new Set(texts).size).to.equal(texts.length);
  });

  it("writes the likeliest text at temperature 0, whatever the seed", () => {
    const [one, two] = [textFor({ temperature: 0 }), textFor({ temperature: 0, seed: 2 })];
    const shorter = Math.min(one.length, two.length);
    expect(one.slice(0, shorter)).to.equal(two.slice(0, shorter));
  });

  it("writes about what the prompt asks", () => {
    expect(textFor({ prompt: "How does a blockchain work?", temperature: 0 })).to.match(/blockchain/);
    expect(textFor({ prompt: "I want pizza and pasta", temperature: 0 })).to.match(/pizza/);
  });

  it("writes exactly the tokens that the tokenizer finds in the text, wherever it is cut", () => {
    for (let seed = 0; seed < 60; seed++) {
      const tokens = tokensFor({ seed, temperature: 2, prompt: `prompt ${seed}` });
      for (let length = 1; length <= tokens.length; length += 7) {
        const cut = tokens.slice(0, length);
        const found = tokensOf(cut.map(({ text }) => text).join(""));
        expect(found, `seed ${seed}`).to.deep.equal(cut.map(({ id }) => id));
      }
    }
  });

  it("does not end when the ask is endless", () => {
    const run = generate(model, { prompt: "rain", seed: 3, index: 0, temperature: 1, endless: true });
    for (let i = 0; i < 3_000; i++) expect(run.next().done).to.equal(false);
  });
});

describe("demo/completion", () => {
  it("ends with length at the token limit and with stop at the end of the text", () => {
    expect(limited(["a", "b", "c"], { maxTokens: 2 })).to.deep.equal({
      pieces: ["a", "b"],
      reason: "length",
    });
    expect(limited(["a", "b"], {})).to.deep.equal({ pieces: ["a", "b"], reason: "stop" });
  });

  it("leaves out a stop sequence that spans tokens", () => {
    const result = limited(["one", " tw", "o three", " four"], { stops: ["two t"] });
    expect(result).to.deep.equal({ pieces: ["one", " "], reason: "stop" });
  });

  it("gives back the tokens it held when they turn out not to be a stop sequence", () => {
    const result = limited(["one", " tw", "in"], { stops: ["two"] });
    expect(result).to.deep.equal({ pieces: ["one", " tw", "in"], reason: "stop" });
    expect(limited(["one", " tw"], { stops: ["two"] }).pieces).to.deep.equal(["one", " tw"]);
  });
});

describe("tokens", () => {
  it("counts a chat with 3 tokens around each message, 1 beside a name and 3 for the reply", () => {
    const text = "How are you?";
    const bare = countText("user") + countText(text);
    expect(countChat([{ role: "user", text }])).to.equal(bare + 6);
    expect(countChat([{ role: "user", text, name: "ann" }])).to.equal(bare + 7 + countText("ann"));
  });

  it("counts text that looks like a control token as text", () => {
    expect(countText("<|endoftext|>")).to.be.greaterThan(1);
  });

  it("counts a million unbroken letters in bounded time, and loses none", () => {
    const text = "a".repeat(1_000_000);
    expect(textOf(tokensOf(text))).to.equal(text);
  }).timeout(2_000);
});
