import { expect } from "chai";
import { buildEmbeddingModel, EMBEDDING_DIMENSIONS, embed } from "../../../provider/src/demo/embed.ts";

const model = buildEmbeddingModel();

function similarity(one: string, other: string, dimensions = EMBEDDING_DIMENSIONS): number {
  const [a, b] = [embed(model, one, dimensions), embed(model, other, dimensions)];
  return a.reduce((sum, value, i) => sum + value * (b[i] ?? 0), 0);
}

const PAIRS: readonly (readonly [string, string])[] = [
  ["The weather is beautiful today", "It's sunny and warm outside"],
  ["I love pizza and pasta", "Italian food is delicious"],
  ["The stock market fell sharply", "Investors sold their shares"],
  ["My dog likes to play", "A puppy runs in the garden"],
  ["The doctor treats patients", "The hospital gave her medicine"],
  ["How do I fix a bug in my code?", "Software developers write tests"],
];

describe("demo/embed", () => {
  for (const [i, [one, other]] of PAIRS.entries()) {
    it(`puts "${one}" nearer to "${other}" than to the texts of the other pairs`, () => {
      const near = similarity(one, other);
      const far = PAIRS.filter((_, j) => j !== i).flatMap((pair) =>
        pair.map((text) => similarity(one, text)),
      );
      expect(near).to.be.greaterThan(Math.max(...far));
    });
  }

  it("keeps similar texts near in fewer dimensions", () => {
    const [weather, food] = [PAIRS[0] ?? ["", ""], PAIRS[1] ?? ["", ""]];
    expect(similarity(weather[0], weather[1], 64)).to.be.greaterThan(
      similarity(weather[0], food[0], 64) + 0.2,
    );
  });

  it("gives vectors of length 1, also for texts without words", () => {
    for (const text of ["hello", "the", "!!!", " ", "你好世界", "constructor __proto__"]) {
      expect(similarity(text, text), text).to.be.closeTo(1, 1e-9);
    }
  });

  it("gives the same vector for the same text, and puts misspelt words near", () => {
    expect(embed(model, "a b c")).to.deep.equal(embed(buildEmbeddingModel(), "a b c"));
    expect(similarity("zeppelins", "zepelins")).to.be.greaterThan(similarity("zeppelins", "quantum") + 0.1);
  });
});
